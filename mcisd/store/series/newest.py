"""Written rows in, the newest value of each series of each VM out, from memory.

One thread takes in while another reads: what is known of a VM is a state that is never changed, only replaced.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mcisd.store.series.base import F64, I64, STATISTICS
from mcisd.store.series.rows import Rows

NEVER = np.iinfo(np.int64).min
COUNT, LAST = STATISTICS.index("count"), STATISTICS.index("last")
MOST_LISTS = 16


@dataclass(frozen=True, slots=True)
class State:
    """Series in ascending order, the start of the newest window of each (NEVER: none) and the last value in it.

    ``places`` remembers where the series of a list of them are.
    """

    series: I64
    starts: I64
    values: F64
    places: dict[bytes, I64] = field(default_factory=dict)


NOTHING = State(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))


class Newest:
    """The states of all VMs."""

    def __init__(self) -> None:
        self._states: dict[int, State] = {}
        self._lock = threading.Lock()

    def update(self, rows: Rows) -> None:
        """Take in rows; of equal starts the later row counts."""
        key = rows.series.tobytes()
        order = np.lexsort((rows.starts_ms, rows.vms))[::-1]  # of each VM the newest first, of equal ones the later
        with self._lock:
            vm, left = NEVER, np.empty(0, dtype=np.bool_)
            for place, number in zip(order.tolist(), rows.vms[order].tolist(), strict=True):
                if number != vm:
                    vm, left = number, np.ones(len(rows.series), dtype=np.bool_)
                if left.any():  # series of which these rows have said nothing yet
                    cells = rows.values[place]
                    there = cells[COUNT] > 0
                    state = _with(self._states.get(vm, NOTHING), key, rows.series)
                    said = left & there & (rows.starts_ms[place] >= state.starts[state.places[key]])
                    starts = np.full(len(said), rows.starts_ms[place])
                    self._states[vm] = _after(state, key, starts, cells[LAST], said)
                    left &= ~there

    def fill(self, other: "Newest") -> None:
        """Take over what is newer in the other one."""
        with self._lock:
            for vm, found in other._states.items():
                key = found.series.tobytes()
                state = _with(self._states.get(vm, NOTHING), key, found.series)
                newer = found.starts > state.starts[state.places[key]]
                self._states[vm] = _after(state, key, found.starts, found.values, newer)

    def of(self, vm: int, wanted: I64 | None = None) -> tuple[I64, I64, F64]:
        """Series numbers, starts and values of one VM, ordered by series; only ``wanted`` ones, in ascending order."""
        state = self._states.get(vm, NOTHING)
        series, starts, values = state.series, state.starts, state.values
        if wanted is not None:
            places = np.searchsorted(series, wanted)
            places = places[places < len(series)]
            places = places[series[places] == wanted[: len(places)]]
            series, starts, values = series[places], starts[places], values[places]
        there = starts != NEVER
        return (series, starts, values) if there.all() else (series[there], starts[there], values[there])

    def forget(self, vms: Iterable[int]) -> None:
        with self._lock:
            for vm in vms:
                self._states.pop(vm, None)

    def forget_before(self, before_ms: int) -> None:
        """Windows that start before this are gone."""
        with self._lock:
            for vm, state in list(self._states.items()):
                kept = state.starts >= before_ms
                if not kept.all():
                    self._states[vm] = State(state.series[kept], state.starts[kept], state.values[kept])


def _with(state: State, key: bytes, series: I64) -> State:
    """The state with room for ``series`` and their places."""
    if key in state.places:
        return state
    unknown = np.setdiff1d(series, state.series)
    places = dict(state.places) if not len(unknown) and len(state.places) < MOST_LISTS else {}
    together = np.concatenate([state.series, unknown])
    order = np.argsort(together)
    starts = np.concatenate([state.starts, np.full(len(unknown), NEVER)])[order]
    values = np.concatenate([state.values, np.full(len(unknown), np.nan)])[order]
    places[key] = np.searchsorted(together[order], series)
    return State(together[order], starts, values, places)


def _after(state: State, key: bytes, new_starts: I64, new_values: F64, newer: NDArray[np.bool_]) -> State:
    places = state.places[key][newer]
    starts, values = state.starts.copy(), state.values.copy()
    starts[places], values[places] = new_starts[newer], new_values[newer]
    return State(state.series, starts, values, state.places)
