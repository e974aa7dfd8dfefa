"""Grids of one VM after the other in, the steps that a query asks for out.

Each hour's grid is cut down to its steps at once, so a query over a day never holds a day of windows. What remains of
an hour is a ``Part``; parts of two hours, or of two widths, that share a step are put together at the end.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from mcisd.model.errors import InputError
from mcisd.model.samples import Column
from mcisd.store.series.base import F64, I64, STATISTICS, SeriesQuery, SeriesResult
from mcisd.store.series.grid import Grid

NEVER = np.iinfo(np.int64).min


@dataclass(slots=True)
class Part:
    """Steps of some series of a VM: ``values`` and ``weights`` are (series, step).

    A weight is the count of samples for an average (whose value is the sum as yet) and the start of the window for a
    last value; else it only says that there is a value. NEVER: there is none.
    """

    series: I64
    times_ms: I64
    values: F64
    weights: I64


def check(query: SeriesQuery) -> None:
    """InputError for a statistic that does not exist and for a negative step."""
    if query.statistic not in STATISTICS:
        remedy = f"use one of {', '.join(STATISTICS)}"
        raise InputError(f"there is no statistic {query.statistic!r}", field="statistic", remedy=remedy)
    if query.step_ms < 0:
        raise InputError("step_ms is negative", field="step_ms", remedy="use 0 for one value over the whole span")


def names(query: SeriesQuery) -> tuple[str, ...]:
    """The statistics besides the count that this query needs."""
    return () if query.statistic == "count" else (query.statistic,)


def part(grid: Grid, query: SeriesQuery) -> Part | None:
    """The steps of a merged grid; None if it has no window in the span."""
    grid = grid.between(query.start_ms, query.end_ms)
    if not len(grid.starts_ms):
        return None
    offset = grid.starts_ms - query.start_ms
    times = query.start_ms + (offset - offset % query.step_ms if query.step_ms else np.zeros_like(offset))
    firsts = np.flatnonzero(np.append(True, times[1:] != times[:-1]))
    values, weights = reduced(grid, firsts, query.statistic)
    return Part(grid.series, times[firsts], values, weights)


def results(uid: str, parts: list[Part], columns: dict[int, Column], statistic: str) -> list[SeriesResult]:
    """The parts of one VM put together; ordered by series."""
    whole = _side_by_side(parts)
    order = np.argsort(whole.times_ms, kind="stable")
    times = whole.times_ms[order]
    firsts = np.flatnonzero(np.append(True, times[1:] != times[:-1]))
    values, weights = whole.values[:, order], whole.weights[:, order]
    if len(firsts) < len(times):
        values, weights = _united(values, weights, firsts, statistic)
    if statistic == "avg":
        values = values / weights
    times, there = times[firsts], weights != NEVER
    everywhere = there.all(axis=1)
    return [
        SeriesResult(uid, columns[number], times, values[row])
        if everywhere[row]
        else SeriesResult(uid, columns[number], times[there[row]], values[row, there[row]])
        for row, number in enumerate(whole.series.tolist())
        if there[row].any()
    ]


def reduced(grid: Grid, firsts: I64, statistic: str) -> tuple[F64, I64]:
    """Values and weights (see Part) of the groups of windows that begin at ``firsts``."""
    count = grid.count
    total = np.add.reduceat(count, firsts, axis=1)
    weights = np.where(total > 0, total, NEVER)
    if statistic == "count":
        return total.astype(np.float64), weights
    values = grid.stats[statistic]
    full = bool(count.all())
    if statistic == "avg":
        return np.add.reduceat(values * count if full else np.where(count > 0, values * count, 0.0), firsts, 1), weights
    if statistic == "min":
        return np.minimum.reduceat(values if full else np.where(count > 0, values, np.inf), firsts, axis=1), weights
    if statistic == "max":
        return np.maximum.reduceat(values if full else np.where(count > 0, values, -np.inf), firsts, axis=1), weights
    place = np.maximum.reduceat(np.where(count > 0, np.arange(len(grid.starts_ms)), -1), firsts, axis=1)
    return np.take_along_axis(values, place, axis=1), np.where(place >= 0, grid.starts_ms[place], NEVER)


def _side_by_side(parts: list[Part]) -> Part:
    """All steps of all parts as columns, over the series of all."""
    series = parts[0].series
    alike = all(len(part.series) == len(series) and (part.series == series).all() for part in parts)
    if not alike:
        series = np.unique(np.concatenate([part.series for part in parts]))
        parts = [_spread(part, series) for part in parts]
    if len(parts) == 1:
        return parts[0]
    return Part(
        series,
        np.concatenate([part.times_ms for part in parts]),
        np.concatenate([part.values for part in parts], axis=1),
        np.concatenate([part.weights for part in parts], axis=1),
    )


def _spread(part: Part, series: I64) -> Part:
    shape, rows = (len(series), len(part.times_ms)), np.searchsorted(series, part.series)
    values, weights = np.zeros(shape), np.full(shape, NEVER)
    values[rows], weights[rows] = part.values, part.weights
    return Part(series, part.times_ms, values, weights)


def _united(values: F64, weights: I64, firsts: I64, statistic: str) -> tuple[F64, I64]:
    """Columns that are the same step, as one."""
    there = weights != NEVER
    best = np.maximum.reduceat(weights, firsts, axis=1)
    if statistic == "last":
        place = np.where(there, weights, NEVER)
        columns = _places_of_greatest(place, firsts)
        return np.take_along_axis(values, columns, axis=1), best
    if statistic in ("avg", "count"):
        total = np.add.reduceat(np.where(there, weights, 0), firsts, axis=1)
        return np.add.reduceat(np.where(there, values, 0.0), firsts, axis=1), np.where(best != NEVER, total, NEVER)
    if statistic == "min":
        return np.minimum.reduceat(np.where(there, values, np.inf), firsts, axis=1), best
    return np.maximum.reduceat(np.where(there, values, -np.inf), firsts, axis=1), best


def _places_of_greatest(weights: I64, firsts: I64) -> I64:
    """In each group of columns that begins at ``firsts``, where each row has its greatest."""
    bounds = np.append(firsts, weights.shape[1])
    found = [weights[:, low:high].argmax(axis=1) + low for low, high in itertools.pairwise(bounds)]
    return np.stack(found, axis=1)
