"""What must be in the stores, from the journal alone: windows by VM, and alarm episodes. Pure."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.scenarios.faults.produce import COLUMNS, values

WIDTH_MS = 10_000
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Expected:
    """One row for each window: ``numbers[i]`` is its VM, ``starts[i]`` its begin in ms; statistics are (row, column).

    Every column has a value in every frame, so ``count`` has one column.
    """

    numbers: I64
    starts: I64
    count: I64
    total: F64
    low: F64
    high: F64
    last: F64

    @property
    def frames(self) -> int:
        return int(self.count.sum())


def windows(journal: NDArray[np.void]) -> Expected:
    """The windows that these frames make up."""
    number, seq, time_ms = (journal[name].astype(np.int64) for name in ("number", "seq", "time_ms"))
    start = time_ms - time_ms % WIDTH_MS
    order = np.lexsort((seq, start, number))
    number, seq, time_ms, start = number[order], seq[order], time_ms[order], start[order]
    table = values(number, seq, time_ms, journal["raised"].astype(np.int64)[order]).astype(np.float64)
    new = np.flatnonzero(np.r_[True, (np.diff(number) != 0) | (np.diff(start) != 0)]) if len(number) else I64_EMPTY
    ends = np.r_[new[1:], len(number)].astype(np.int64)
    if not len(number):
        empty = np.empty((0, len(COLUMNS)))
        return Expected(I64_EMPTY, I64_EMPTY, I64_EMPTY, empty, empty, empty, empty)
    return Expected(
        number[new], start[new], ends - new, np.add.reduceat(table, new), np.minimum.reduceat(table, new),
        np.maximum.reduceat(table, new), table[ends - 1],
    )  # fmt: skip


def dropped_by_window(wanted: Expected, journal: NDArray[np.void], drops: NDArray[np.void]) -> I64:
    """How many frames of each window the agents dropped."""
    times = {(one["number"], one["seq"]): int(one["time_ms"]) for one in journal} if len(drops) else {}
    counts = Counter(
        (int(one["number"]), time_ms - time_ms % WIDTH_MS)
        for one in drops
        for time_ms in (times[one["number"], one["seq"]],)
    )
    places = zip(wanted.numbers.tolist(), wanted.starts.tolist(), strict=True)
    return np.array([counts[place] for place in places], dtype=np.int64)


def episodes(journal: NDArray[np.void]) -> dict[int, tuple[int, int]]:
    """By VM how often its condition began and how often it ended, in the order of its frames."""
    found: dict[int, tuple[int, int]] = {}
    for number in np.unique(journal["number"]).tolist():
        own = journal[journal["number"] == number]
        steps = np.diff(np.r_[0, own["raised"][np.argsort(own["seq"])].astype(np.int64)])
        found[number] = int((steps > 0).sum()), int((steps < 0).sum())
    return found


I64_EMPTY: I64 = np.empty(0, dtype=np.int64)
