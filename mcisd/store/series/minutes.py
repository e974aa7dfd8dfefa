"""The same cells by the minute, beside the windows: what a query over a day needs, for many VMs in one chunk.

A chunk of minutes is a grid whose rows are named by VM and series together; it holds one measurement of up to MOST_VMS
VMs. In the index of the cells file these chunks belong to no VM (``NOBODY``) and count no cells.
"""

from collections.abc import Collection, Container, Iterator

import numpy as np

from mcisd.store.series.base import I64, SeriesQuery
from mcisd.store.series.chunks import decode, encode
from mcisd.store.series.cold import NOBODY, ColdFile, Entry
from mcisd.store.series.grid import VALUES, Grid, merged
from mcisd.store.series.steps import reduced

MINUTE_MS = 60_000
MOST_VMS = 32
SHIFT = 32
SERIES = (1 << SHIFT) - 1


def suffice(query: SeriesQuery) -> bool:
    """Whether the answer is the same from minutes."""
    return query.step_ms > 0 and not any(t % MINUTE_MS for t in (query.step_ms, query.start_ms, query.end_ms))


def shrunk(grid: Grid) -> Grid:
    """A merged grid by the minute. Minutes with no cell have a count of 0."""
    minutes = grid.starts_ms - grid.starts_ms % MINUTE_MS
    firsts = np.flatnonzero(np.append(True, minutes[1:] != minutes[:-1]))
    count = np.add.reduceat(grid.count, firsts, axis=1)
    stats = {name: reduced(grid, firsts, name)[0] for name in VALUES}
    with np.errstate(invalid="ignore", over="ignore"):
        stats["avg"] = stats["avg"] / np.maximum(count, 1)
    return Grid(grid.vm, grid.width_ms, grid.series, minutes[firsts], stats, count)


def of(
    cold: ColdFile, vms: I64, wanted: I64 | None, firsts: Container[int] | None, names: Collection[str]
) -> Iterator[Grid]:
    """By the minute, the cells of these VMs (in ascending order): of ``wanted`` series, in chunks that begin with one
    of ``firsts``; None: of all.
    """
    for place in cold.find_shared(vms, firsts):
        shared = decode(memoryview(cold.entry(place).data), names)
        mask = np.isin(shared.series >> SHIFT, vms)
        if wanted is not None:
            mask &= np.isin(shared.series & SERIES, wanted)
        rows = np.flatnonzero(mask)
        owners = shared.series[rows] >> SHIFT
        for vm in np.unique(owners).tolist():
            own = rows[owners == vm]
            stats = {name: values[own] for name, values in shared.stats.items()}
            yield Grid(vm, shared.width_ms, shared.series[own] & SERIES, shared.starts_ms, stats, shared.count[own])


class Gathering:
    """Takes grids by the minute, VM after VM in ascending order; gives chunks that hold those of several VMs."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], list[Grid]] = {}

    def add(self, measurement: str, grid: Grid) -> Iterator[Entry]:
        """A chunk, whenever the grids of MOST_VMS VMs have come together. Widths do not mix."""
        waiting = self._waiting.setdefault((measurement, grid.width_ms), [])
        if len({item.vm for item in waiting} | {grid.vm}) > MOST_VMS:
            yield _entry(waiting)
            waiting.clear()
        waiting.append(grid)

    def rest(self) -> Iterator[Entry]:
        """What still waits."""
        for waiting in self._waiting.values():
            yield _entry(waiting)


def _entry(grids: list[Grid]) -> Entry:
    named = [
        Grid(NOBODY, grid.width_ms, (grid.vm << SHIFT) | grid.series, grid.starts_ms, grid.stats, grid.count)
        for grid in grids
    ]
    span = (grids[0].vm, grids[-1].vm)
    return Entry(NOBODY, int(grids[0].series[0]), 0, encode(merged(named, VALUES)), span)
