"""The bounds of the VMs that send in one schema: within them no rule's condition can hold. Pure."""

import math
import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mcisd.alarms.rule import upward
from mcisd.alarms.track import Probe
from mcisd.model.alarms import Comparison
from mcisd.model.samples import FRAME_HEAD, Schema

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


class Box:
    """A row for each VM, by its key in frames. ``frame`` is the layout of a frame, ``seats`` whose row each is."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema.key
        self.frame = _layout(len(schema.columns))
        self.rows: dict[bytes, int] = {}
        self.seats = np.zeros(0, dtype=np.intp)
        self._free: list[int] = []
        self._used: dict[int, int] = {}
        self._low = np.empty((0, 0))
        self._high = np.empty((0, 0))

    def learn(self, vm: bytes, seat: int, probes: Iterable[Probe]) -> None:
        """Take the bounds of a VM from its rules, all of them plain."""
        row = self.rows.get(vm)
        if row is None:
            row = self.rows[vm] = self._row()
        self.seats[row] = seat
        self._low[row], self._high[row] = -math.inf, math.inf
        for probe in probes:
            low, high = _bounds(probe)
            for column, _ in probe.columns:
                at = self._column(column)
                self._low[row, at] = max(self._low[row, at], low)
                self._high[row, at] = min(self._high[row, at], high)

    def drop(self, vm: bytes) -> None:
        row = self.rows.pop(vm, None)
        if row is not None:
            self._free.append(row)

    def outside(self, columns: Floats, rows: Places) -> NDArray[np.bool_]:
        """For each frame, of the VM in that row: a value is out of bounds. NaN, no value, never is."""
        values = columns[:, list(self._used)]
        beyond: NDArray[np.bool_] = (values > self._high[rows]) | (values < self._low[rows])
        found: NDArray[np.bool_] = np.logical_or.reduce(beyond, axis=1)
        return found

    def _row(self) -> int:
        if not self._free:
            size = len(self.seats)
            more = max(16, size)
            self.seats = np.append(self.seats, np.zeros(more, dtype=np.intp))
            fill = np.full((more, len(self._used)), math.inf)
            self._low, self._high = np.vstack([self._low, -fill]), np.vstack([self._high, fill])
            self._free = list(range(size + more - 1, size - 1, -1))
        return self._free.pop()

    def _column(self, column: int) -> int:
        at = self._used.get(column)
        if at is None:
            at = self._used[column] = len(self._used)
            fill = np.full((len(self.seats), 1), math.inf)
            self._low, self._high = np.hstack([self._low, -fill]), np.hstack([self._high, fill])
        return at


def _layout(columns: int) -> np.dtype[np.void]:
    """Where in a frame (model/samples.py) that is which is looked at."""
    formats: list[object] = ["<i8", "<u4", ("<f8", (columns,))]
    offsets = [struct.calcsize("<16s16sQ"), FRAME_HEAD.size - struct.calcsize("<II"), FRAME_HEAD.size]
    size = FRAME_HEAD.size + 8 * columns
    return np.dtype({"names": ["time", "flags", "columns"], "formats": formats, "offsets": offsets, "itemsize": size})


def _bounds(probe: Probe) -> tuple[float, float]:
    """Within these, bounds included, no value fulfils the rule's condition."""
    rule = probe.rule
    edge = rule.threshold
    if rule.comparison in (Comparison.GE, Comparison.LE):
        edge = math.nextafter(edge, -math.inf if upward(rule.comparison) else math.inf)
    return (-math.inf, edge) if upward(rule.comparison) else (edge, math.inf)
