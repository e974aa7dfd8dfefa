"""All files of an hour in, one new cells file out. Slow, but it holds no more than one VM's hour at a time.

VMs of which the logs say nothing have their chunks copied as they are; those that are forgotten are left out.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from mcisd.model.errors import StoreError
from mcisd.model.samples import Column
from mcisd.store.series import cold, minutes
from mcisd.store.series.base import I64
from mcisd.store.series.chunks import encode
from mcisd.store.series.cold import ColdFile, Entry
from mcisd.store.series.grid import VALUES, Grid, merged
from mcisd.store.series.hours import Hour
from mcisd.store.series.minutes import Gathering

MOST_SERIES = 512  # in a chunk: bounds what a query of one series unpacks
Stopped = Callable[[], bool]
ALWAYS = np.iinfo(np.int64).min
END = np.iinfo(np.int64).max


def merge(
    hour: Hour, path: Path, vms: Collection[int], columns: Mapping[int, Column], stopped: Stopped, from_ms: int = ALWAYS
) -> int:
    """Write what ``vms`` have in the hour, from ``from_ms`` on, to a new file at ``path``; how many cells.

    StoreError if ``stopped`` says so in the middle, or a file is damaged.
    """
    known = np.fromiter(vms, dtype=np.int64, count=len(vms))
    return cold.write(path, _chunks(hour, known, columns, stopped, from_ms))


def cells(hour: Hour, vms: Collection[int]) -> int:
    """How many different cells these VMs have in the hour."""
    known = np.fromiter(vms, dtype=np.int64, count=len(vms))
    if not hour.logs:
        return hour.cold.cells_of(known) if hour.cold is not None else 0
    return sum(grid.cells() for vm in _present(hour, known) for grid in _grids(hour, vm, ()))


def _chunks(hour: Hour, known: I64, columns: Mapping[int, Column], stopped: Stopped, from_ms: int) -> Iterator[Entry]:
    written = [log.vms() for log in hour.logs]
    gathering = Gathering()
    for vm in _present(hour, known):
        if stopped():
            raise StoreError("the store is being closed")
        if hour.cold is not None and from_ms <= hour.start_ms and not any(vm in vms for vms in written):
            yield from _copied(hour.cold, vm, columns, gathering)
            continue
        for grid in _grids(hour, vm, VALUES):
            rest = grid.between(from_ms, END).compact()
            if rest.cells():
                yield from _entries(rest, columns, gathering)
    yield from gathering.rest()


def _copied(file: ColdFile, vm: int, columns: Mapping[int, Column], gathering: Gathering) -> Iterator[Entry]:
    one = np.array([vm], dtype=np.int64)
    yield from (file.entry(place) for place in file.find(one))
    for grid in minutes.of(file, one, None, None, VALUES):
        rest = grid.compact()
        yield from gathering.add(columns[int(rest.series[0])].measurement, rest)


def _present(hour: Hour, known: I64) -> list[int]:
    sources = [log.vms() for log in hour.logs]
    if hour.cold is not None:
        sources.append(hour.cold.vms())
    present: list[int] = np.intersect1d(np.concatenate(sources), known).tolist() if sources else []
    return present


def _grids(hour: Hour, vm: int, names: Collection[str]) -> Iterator[Grid]:
    """Everything of a VM: one grid for each width."""
    one = np.array([vm], dtype=np.int64)
    pieces: dict[int, list[Grid]] = {}
    for grid in hour.cold.grids(hour.cold.find(one), names) if hour.cold is not None else ():
        pieces.setdefault(grid.width_ms, []).append(grid)
    for log in hour.logs:
        for grid in log.pieces(one, None, names):
            pieces.setdefault(grid.width_ms, []).append(grid)
    for alike in pieces.values():
        yield merged(alike, names)


def _entries(grid: Grid, columns: Mapping[int, Column], gathering: Gathering) -> Iterator[Entry]:
    """Chunks of a grid: series of one measurement each, as they are asked for together and resemble each other."""
    groups: dict[str, list[int]] = {}
    for number in grid.series.tolist():
        groups.setdefault(columns[number].measurement, []).append(number)
    for measurement, numbers in groups.items():
        for first in range(0, len(numbers), MOST_SERIES):
            part = grid.of_series(np.array(numbers[first : first + MOST_SERIES], dtype=np.int64)).compact()
            yield Entry(part.vm, int(part.series[0]), part.cells(), encode(part))
            yield from gathering.add(measurement, minutes.shrunk(part))
