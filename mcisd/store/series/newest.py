"""Written cells in, the newest value of each series of each VM out, from memory.

One thread updates while another reads, so the arrays are never changed in place: a new set of them takes the old
one's place in one assignment.
"""

import numpy as np
from numpy.typing import NDArray

from mcisd.store.series.base import F64, I64
from mcisd.store.series.rows import Rows

SHIFT = 32
NEVER = np.iinfo(np.int64).min


class Newest:
    """Flat arrays sorted by key (VM number, series number): key, start of its newest window, last value in it."""

    def __init__(self) -> None:
        nothing = np.empty(0, dtype=np.int64)
        self._state: tuple[I64, I64, F64] = (nothing, nothing, np.empty(0, dtype=np.float64))

    def update(self, rows: Rows) -> None:
        """Take in rows that are ordered by start."""
        written = _key(rows.vm, rows.series)
        keys, starts, values = self._with(np.setdiff1d(written, self._state[0]))
        place = np.searchsorted(keys, written)
        newer = rows.start_ms >= starts[place]
        # Rows come in the order of time, and of several values for one place the last one stays.
        starts[place[newer]] = rows.start_ms[newer]
        values[place[newer]] = rows.last[newer]
        self._state = (keys, starts, values)

    def of(self, vm: int) -> tuple[I64, I64, F64]:
        """Series numbers, starts and values of one VM."""
        keys, starts, values = self._state
        low, high = np.searchsorted(keys, [vm << SHIFT, (vm + 1) << SHIFT])
        series = keys[low:high] & ((1 << SHIFT) - 1)
        return series, starts[low:high], values[low:high]

    def forget(self, vms: I64) -> None:
        self._keep(~np.isin(self._state[0] >> SHIFT, vms))

    def forget_before(self, before_ms: int) -> None:
        self._keep(self._state[1] >= before_ms)

    def _with(self, unknown: I64) -> tuple[I64, I64, F64]:
        """A copy of the arrays, with places for ``unknown`` keys."""
        keys, starts, values = self._state
        if not len(unknown):
            return keys, starts.copy(), values.copy()
        keys = np.concatenate([keys, unknown])
        starts = np.concatenate([starts, np.full(len(unknown), NEVER)])
        values = np.concatenate([values, np.full(len(unknown), np.nan)])
        order = np.argsort(keys)
        return keys[order], starts[order], values[order]

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        keys, starts, values = self._state
        self._state = (keys[mask], starts[mask], values[mask])


def _key(vm: I64, series: I64) -> I64:
    key: I64 = (vm << SHIFT) | series
    return key
