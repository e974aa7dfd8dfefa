"""A query and a picture of the hours in, results out; also the newest values, which after a restart are looked up."""

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence

import numpy as np

from mcisd.model.errors import StoreError
from mcisd.model.samples import Column
from mcisd.store.series import minutes
from mcisd.store.series.base import F64, I64, STATISTICS, SeriesQuery, SeriesResult
from mcisd.store.series.grid import Grid, merged
from mcisd.store.series.hours import Hour
from mcisd.store.series.rows import Rows
from mcisd.store.series.steps import Part, names, part, results

Stopped = Callable[[], bool]


def ask(
    query: SeriesQuery,
    hours: Sequence[Hour],
    vms: Mapping[int, str],
    wanted: Collection[int],
    mates: Collection[int],
    columns: dict[int, Column],
    stopped: Stopped,
) -> list[SeriesResult]:
    """``wanted`` are the series asked for, ``mates`` all of their measurement. Ordered by VM and series."""
    parts: dict[int, list[Part]] = {}
    numbers, series, together = np.sort(_array(vms)), _array(wanted), set(mates)
    for hour in hours:
        for grid in _grids(query, hour, numbers, series, together, names(query)):
            if stopped():
                raise StoreError("the query was cancelled")
            found = part(grid, query)
            if found is not None:
                parts.setdefault(grid.vm, []).append(found)
    answers = (results(vms[vm], parts[vm], columns, query.statistic) for vm in sorted(parts))
    return [item for answer in answers for item in answer]


def newest_of(hours: Sequence[Hour], vms: Collection[int], columns: Mapping[int, Column]) -> Iterator[Rows]:
    """What the last hours say of the newest values of these VMs: for each measurement the newest hour that has it."""
    numbers = np.sort(_array(vms))
    seen: set[tuple[int, str]] = set()
    for hour in reversed(hours):
        known = set(seen)
        for log in hour.logs:
            for grid in log.pieces(numbers, None, ("last",)):
                yield _rows(grid)
                seen |= {(grid.vm, columns[number].measurement) for number in grid.series.tolist()}
        if hour.cold is None:
            continue
        for place in hour.cold.find(numbers):
            vm, first = hour.cold.head(place)
            if (vm, columns[first].measurement) not in known:
                yield from (_rows(grid) for grid in hour.cold.grids([place], ("last",)))
                seen.add((vm, columns[first].measurement))


def _grids(
    query: SeriesQuery, hour: Hour, vms: I64, wanted: I64, mates: Container[int], statistics: Collection[str]
) -> Iterator[Grid]:
    """The hour's cells of ``wanted`` series: by the minute where that suffices and no log knows better."""
    late = any(np.isin(log.vms(), vms).any() for log in hour.logs)
    if hour.cold is None or late or not minutes.suffice(query):
        return _windows(hour, vms, wanted, mates, statistics)
    return minutes.of(hour.cold, vms, wanted, mates, statistics)


def _windows(hour: Hour, vms: I64, wanted: I64, mates: Container[int], statistics: Collection[str]) -> Iterator[Grid]:
    """The hour's cells of ``wanted`` series: for each VM and width one grid."""
    pieces: dict[tuple[int, int], list[Grid]] = {}
    if hour.cold is not None:
        for grid in hour.cold.grids(hour.cold.find(vms, mates), statistics):
            chosen = grid.of_series(wanted)
            if len(chosen.series):
                pieces.setdefault((grid.vm, grid.width_ms), []).append(chosen)
    for log in hour.logs:
        for grid in log.pieces(vms, wanted, statistics):
            pieces.setdefault((grid.vm, grid.width_ms), []).append(grid)
    for alike in pieces.values():
        yield merged(alike, statistics)


def _rows(grid: Grid) -> Rows:
    """Only as much as the newest values need."""
    values: F64 = np.zeros((len(grid.starts_ms), len(STATISTICS), len(grid.series)))
    values[:, STATISTICS.index("count")] = grid.count.T
    values[:, STATISTICS.index("last")] = grid.stats["last"].T
    return Rows(grid.width_ms, grid.series, np.full(len(grid.starts_ms), grid.vm), grid.starts_ms, values)


def _array(numbers: Collection[int]) -> I64:
    return np.fromiter(numbers, dtype=np.int64, count=len(numbers))
