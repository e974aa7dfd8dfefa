"""Which frames make up which window: frames in, windows to write and positions to commit out. Pure.

A window is one VM × one span of time, its frames merged by their numbers, whatever lane and link they came on. It is
*final* when a lane that was in it goes on to a later one: then all its frames have come. A final window is written and
let go. One whose VM fell silent is written too, but its frames are kept, and when more come it is written again, whole.

After ``KEEP_S`` of silence it is let go as well: whatever comes of it then comes on a new link, from its first frame
on. (On a bus within this process, only once there is a new link, or after a day.) Frames that come without the first
one of their window are of a window that is stored whole; they are dropped.
``docs/delivery.md`` says why nothing is lost or counted twice.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from mcisd.collectors.stats import WriteStats
from mcisd.collectors.windows import FrameWindow
from mcisd.model.samples import FIRST, FRAME_HEAD, REPLAYED

KEEP_S = 120.0  # more than a link may be silent and then wait for the bus; see receive.Limits
FORGET_S = 90_000.0  # 25 hours: agents keep frames for a day
_DONE = 8  # windows remembered per VM, so that one that comes again is not written again
_SEQ = struct.Struct("<Q")
_SEQ_AT = 32


@dataclass(slots=True, eq=False)
class Batch:
    """Windows for the writer, and the first offset of theirs in each partition. Each is one of its own."""

    windows: list[FrameWindow]
    firsts: dict[int, int]
    given_up: set[int] = field(default_factory=set)
    finished: bool = False

    @property
    def frames(self) -> int:
        return sum(len(window.frames) for window in self.windows)

    def ours(self, windows: list[FrameWindow]) -> list[FrameWindow]:
        """Those of the windows whose partition is not another's by now."""
        return [w for w in windows if w.partition not in self.given_up] if self.given_up else windows


@dataclass(slots=True, eq=False)
class _Window:
    start_ms: int
    schema: bytes | None
    first: int  # offset of its first frame
    last_seq: int
    touched: float  # monotonic seconds of the last arrival
    pending: bool = True  # has frames that were not handed out
    final: bool = False
    written: bool = False  # was handed out before
    frames: list[bytes] = field(default_factory=list)


class _Lane:
    __slots__ = ("seq", "window")

    def __init__(self) -> None:
        self.seq = 0
        self.window: _Window | None = None


class _Vm:
    __slots__ = ("done", "heard", "lanes", "link", "name", "partition", "windows")

    def __init__(self, name: bytes, link: int, partition: int) -> None:
        self.name = name.rstrip(b"\0").decode()
        self.link = link
        self.partition = partition
        self.heard = 0.0
        self.lanes = (_Lane(), _Lane())
        self.windows: dict[int, _Window] = {}
        self.done: dict[int, int] = {}  # start → last number of windows that were final

    def leave(self, window: _Window) -> None:
        """A lane has left the window: it has all its frames."""
        if window.pending:
            window.final = True
        else:
            del self.windows[window.start_ms]
        self.done[window.start_ms] = max(window.last_seq, self.done.pop(window.start_ms, 0))
        if len(self.done) > _DONE:
            del self.done[next(iter(self.done))]

    def drop(self, window: _Window) -> None:
        """Let go of a window that is not final."""
        del self.windows[window.start_ms]
        for lane in self.lanes:
            if lane.window is window:
                lane.window = None


class WindowBook:
    """All open windows of ``width_ms``; ``lateness_s`` is how long to wait for what is under way.

    On a bus that is ``shared``, another process may go on where this one stops: then nothing is committed from the
    first frame of a window on until no frame can come that would need it.
    """

    def __init__(
        self,
        width_ms: int = 10_000,
        lateness_s: float = 2.0,
        *,
        shared: bool = False,
        stats: WriteStats | None = None,
    ) -> None:
        self.width_ms = width_ms
        self.stats = stats or WriteStats()
        self.unwritten = 0  # frames of windows that are to be handed out
        self.keep_s = max(KEEP_S, KEEP_S / 2 + 3 * width_ms / 1000)
        self._lateness = lateness_s
        self._shared = shared
        self._vms: dict[bytes, _Vm] = {}
        self._given: list[Batch] = []
        self._consumed: dict[int, int] = {}
        self._frozen: set[int] = set()

    def add(self, partition: int, offset: int, value: bytes, now: float) -> None:
        """A frame from the bus; one that was there before changes nothing. struct.error on what is no frame."""
        name, schema, seq, time_ms, link, flags, _ = FRAME_HEAD.unpack_from(value)
        self._consumed[partition] = offset
        vm = self._vms.get(name)
        if vm is None:
            vm = self._vms[name] = _Vm(name, link, partition)
        elif link != vm.link:
            if link < vm.link:
                self.stats.stale += 1
                return
            vm.link, vm.lanes = link, (_Lane(), _Lane())
        lane = vm.lanes[flags & REPLAYED]
        if seq <= lane.seq:
            self.stats.duplicates += 1
            return
        lane.seq, vm.heard = seq, now
        start = time_ms - time_ms % self.width_ms
        window = lane.window
        if window is None or window.start_ms != start:
            window = self._enter(vm, lane, start, schema, seq, offset if flags & FIRST else -1)
            if window is None:
                return
        self._put(window, schema, seq, value, now)

    def skip(self, partition: int, offset: int) -> None:
        """A message that is no frame: nothing to wait for."""
        self._consumed[partition] = offset

    def take(self, wall_ms: int, now: float, read_until: float | None = None) -> Batch | None:
        """What is to be written now, at wall clock ``wall_ms`` and monotonic second ``now``; None if nothing is.

        All that was on the bus at monotonic second ``read_until`` (None: now) has been added.
        """
        horizon = wall_ms - int(self._lateness * 1000) - self.width_ms
        quiet = (now if read_until is None else read_until) - self.keep_s
        due = []
        for name, vm in list(self._vms.items()):
            if vm.partition in self._frozen:
                continue
            for window in list(vm.windows.values()):
                if not window.pending:
                    if window.touched < quiet and self._may_drop(vm, window, now):
                        vm.drop(window)
                elif window.start_ms <= horizon and (window.final or now - window.touched >= self._lateness):
                    due.append((vm, window))
            if not vm.windows and now - vm.heard > FORGET_S:
                del self._vms[name]
        return self._hand_out(due)

    def take_all(self) -> Batch | None:
        """Everything that was not written yet, complete or not: for the end of the process."""
        every = [(vm, window) for vm in self._vms.values() for window in vm.windows.values()]
        return self._hand_out([(vm, w) for vm, w in every if w.pending and vm.partition not in self._frozen])

    def written(self, batch: Batch) -> None:
        """The store has this batch, but for what was given up: that counts as not stored until it is forgotten."""
        batch.firsts = {p: offset for p, offset in batch.firsts.items() if p in batch.given_up}
        batch.finished = True
        if not batch.firsts:
            self._given.remove(batch)

    def positions(self, read_until: float) -> dict[int, int]:
        """What may be committed: everything before the first frame of each window that is still needed."""
        firsts: dict[int, int] = {}
        recent = read_until - self.keep_s
        for vm in self._vms.values():
            for window in vm.windows.values():
                if window.pending or (self._shared and window.touched >= recent):
                    _least(firsts, vm.partition, window.first)
        for batch in self._given:
            for partition, offset in batch.firsts.items():
                _least(firsts, partition, offset)
        return {partition: firsts.get(partition, last + 1) - 1 for partition, last in self._consumed.items()}

    def forget(self, name: str) -> None:
        """The VM is gone for good: what it has not finished is handed out with the next batch, then let go."""
        vm = self._vms.get(name.encode().ljust(16, b"\0"))
        if vm is not None:
            vm.heard, vm.lanes = -FORGET_S, (_Lane(), _Lane())
            for window in list(vm.windows.values()):
                vm.leave(window)

    def give_up(self, partitions: Iterable[int]) -> None:
        """Hand out nothing more of these partitions, nor write what was handed out."""
        self._frozen.update(partitions)
        for batch in self._given:
            batch.given_up.update(partitions)

    def begin(self, partitions: Iterable[int]) -> None:
        """Know nothing of these partitions."""
        gone = set(partitions)
        for name, vm in list(self._vms.items()):
            if vm.partition in gone:
                self.unwritten -= sum(len(w.frames) for w in vm.windows.values() if w.pending)
                del self._vms[name]
        for batch in self._given:
            batch.given_up |= gone
            batch.firsts = {p: offset for p, offset in batch.firsts.items() if p not in gone}
        self._given = [batch for batch in self._given if batch.firsts or not batch.finished]
        self._frozen -= gone
        for partition in gone:
            self._consumed.pop(partition, None)

    def _enter(self, vm: _Vm, lane: _Lane, start: int, schema: bytes, seq: int, first: int) -> _Window | None:
        """The window a lane goes on to, None if it is not to be written. ``first``: this offset begins it; or -1."""
        if lane.window is not None:
            vm.leave(lane.window)
        lane.window = window = vm.windows.get(start)
        if window is not None:
            window.final = False
        elif seq <= vm.done.get(start, 0):
            self.stats.duplicates += 1
        elif first < 0:
            self.stats.resumed += 1
        else:
            lane.window = window = vm.windows[start] = _Window(start, schema, first, 0, 0.0)
        return window

    def _may_drop(self, vm: _Vm, window: _Window, now: float) -> bool:
        """Silent for long. In one process a lane may just be waiting for room on the bus, and goes on where it was."""
        waits = any(lane.window is window for lane in vm.lanes)
        return self._shared or not waits or now - window.touched > FORGET_S

    def _put(self, window: _Window, schema: bytes, seq: int, value: bytes, now: float) -> None:
        window.touched = now
        if seq > window.last_seq:
            window.frames.append(value)
            window.last_seq = seq
        else:
            seqs = [_SEQ.unpack_from(frame, _SEQ_AT)[0] for frame in window.frames]
            at = bisect_left(seqs, seq)
            if seqs[at] == seq:
                self.stats.duplicates += 1
                return
            window.frames.insert(at, value)
        self.stats.frames += 1
        self.unwritten += 1
        if schema != window.schema:
            window.schema = None
        if not window.pending:
            window.pending = True
            self.unwritten += len(window.frames) - 1
        self.stats.late += window.written

    def _hand_out(self, due: list[tuple[_Vm, _Window]]) -> Batch | None:
        if not due:
            return None
        batch = Batch([], {})
        for vm, window in due:
            _least(batch.firsts, vm.partition, window.first)
            frames = tuple(window.frames)
            batch.windows.append(FrameWindow(vm.name, window.start_ms, window.schema, frames, vm.partition))
            window.pending, window.written = False, True
            if window.final:
                del vm.windows[window.start_ms]
        self.unwritten -= batch.frames
        self._given.append(batch)
        return batch


def _least(firsts: dict[int, int], partition: int, offset: int) -> None:
    firsts[partition] = min(offset, firsts.get(partition, offset))
