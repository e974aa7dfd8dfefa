"""The sieve: many frames at once come in, those that could change an alarm come out; the rest is done with. Pure.

Almost all frames change nothing: no alarm of their VM is pending or firing, and no value fulfils a condition. For rules
on plain newest values that is a comparison of each column with bounds, the tightest of the rules that read it, and so
one array operation for all frames of a schema. What it lets through is judged one by one (judge.py), which also tells
it the bounds; so it decides only about time, never about outcomes. One frame that matters lets through all frames of
its VM in the batch, as what follows depends on it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from mcisd.alarms.box import Box, Floats, Places
from mcisd.alarms.ports import Member
from mcisd.alarms.track import Probe
from mcisd.model.samples import REPLAYED, Schema

FEW = 8
"""Fewer frames than this are judged faster one by one."""
Calm = tuple[Places, Places, Floats]
"""Places in the batch, seats, and times of frames."""


class Sieve:
    """VMs have seats, numbers for the arrays. ``newest``: time of a VM's newest frame, ``heard``: when it arrived."""

    def __init__(self) -> None:
        self.newest = np.zeros(0)
        self.heard = np.zeros(0)
        self._reports = np.zeros(0, dtype=bool)
        self._flags = np.zeros(0, dtype=bool)
        self._seats: dict[bytes, int] = {}
        self._boxes: dict[bytes, Box] = {}
        self._box_of: dict[bytes, Box] = {}

    def renew(self, members: Iterable[Member], mono: float) -> None:
        """Exactly these VMs are there; who is newly expected to report counts as heard now. Bounds are forgotten."""
        there = list(members)
        old = np.array([self._seats.get(_key(member.vm), -1) for member in there], dtype=np.intp)
        self.newest = np.append(self.newest, 0.0)[old]
        expected = np.append(self._reports, False)[old]
        self.heard = np.where(expected, np.append(self.heard, 0.0)[old], mono)
        self._reports = np.array([member.reports for member in there], dtype=bool)
        self._flags = np.zeros(len(there), dtype=bool)
        self._seats = {_key(member.vm): seat for seat, member in enumerate(there)}
        self._boxes.clear()
        self._box_of.clear()

    def seat(self, vm: str) -> int:
        return self._seats[_key(vm)]

    def learn(self, vm: str, schema: Schema, probes: Sequence[Probe]) -> None:
        """These are all rules of a VM none of whose alarms is under way."""
        key = _key(vm)
        box = self._boxes.get(schema.key) or self._boxes.setdefault(schema.key, Box(schema))
        if self._box_of.get(key) is not box:
            self.forget(vm)
            self._box_of[key] = box
        box.learn(key, self._seats[key], probes)

    def forget(self, vm: str) -> None:
        """Something of this VM is under way, or a rule of it is not plain: all of its frames matter."""
        key = _key(vm)
        box = self._box_of.pop(key, None)
        if box is not None:
            box.drop(key)
            if not box.rows:
                self._boxes.pop(box.schema, None)

    def sort(self, values: Sequence[bytes], now: float, mono: float) -> Sequence[int]:
        """Places of the frames to be judged one by one, in order; of the others it is noted that they came."""
        if len(values) < FEW:
            return range(len(values))
        groups: defaultdict[bytes, list[int]] = defaultdict(list)
        for place, value in enumerate(values):
            groups[value[16:32]].append(place)
        left: list[int] = []
        calm: list[Calm] = []
        for key, places in groups.items():
            box = self._boxes.get(key)
            if box is None or len(places) < FEW:
                left += places
            else:
                left += _through(box, values, places, calm)
        if calm:
            left += self._note(calm, self._seats_of(left, values), now, mono)
        left.sort()
        return left

    def _seats_of(self, places: Sequence[int], values: Sequence[bytes]) -> list[int]:
        found = (self._seats.get(values[place][:16]) for place in places)
        return [seat for seat in found if seat is not None]

    def _note(self, calm: Iterable[Calm], flagged: list[int], now: float, mono: float) -> list[int]:
        """Note that frames came which do not matter, but for those of VMs with frames that do: these are given back."""
        back: list[int] = []
        self._flags[flagged] = True
        for places, seats, times in calm:
            also = self._flags[seats]
            back += places[also].tolist()
            np.maximum.at(self.newest, seats[~also], np.minimum(times[~also], now))
            self.heard[seats[~also]] = mono
        self._flags[flagged] = False
        return back


def _through(box: Box, values: Sequence[bytes], places: Sequence[int], calm: list[Calm]) -> list[int]:
    """Places of those frames of one schema that matter by themselves; the others are added to ``calm``."""
    size, row_of = box.frame.itemsize, box.rows.get
    rows = [row_of(value[:16], -1) if len(value := values[place]) == size else -1 for place in places]
    left = [place for place, row in zip(places, rows, strict=True) if row < 0]
    if left:
        places = [place for place, row in zip(places, rows, strict=True) if row >= 0]
        rows = [row for row in rows if row >= 0]
    at, row = np.array(places, dtype=np.intp), np.array(rows, dtype=np.intp)
    frames = np.frombuffer(b"".join([values[place] for place in places]), box.frame)
    matters = box.outside(frames["columns"], row) | ((frames["flags"] & REPLAYED) != 0)
    if matters.any():
        left += at[matters].tolist()
        at, row, frames = at[~matters], row[~matters], frames[~matters]
    calm.append((at, box.seats[row], frames["time"] / 1000))
    return left


def _key(vm: str) -> bytes:
    """A VM's uid as it is at the begin of its frames."""
    return vm.encode().ljust(16, b"\0")
