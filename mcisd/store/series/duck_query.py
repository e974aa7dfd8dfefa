"""A SeriesQuery in, one SQL statement and its parameters out; its answer's columns in, SeriesResults out."""

import itertools

import numpy as np
from numpy.typing import NDArray

from mcisd.model.errors import InputError
from mcisd.model.samples import Column
from mcisd.store.series.base import F64, I64, STATISTICS, SeriesQuery, SeriesResult

VALUE = {
    "avg": 'sum("avg" * "count") / sum("count")',
    "min": 'min("min")',
    "max": 'max("max")',
    "last": 'arg_max("last", start_ms)',
    "count": 'CAST(sum("count") AS DOUBLE)',
}
SELECT = """
SELECT vm, series, {time} AS time_ms, {value} AS value
FROM sample
WHERE start_ms >= $start AND start_ms < $end AND vm IN (SELECT unnest($vms)) AND series IN (SELECT unnest($series))
GROUP BY ALL ORDER BY ALL
"""
Parameters = dict[str, int | list[int]]


def statement(query: SeriesQuery, vms: list[int], series: list[int]) -> tuple[str, Parameters]:
    """The statement for these VM and series numbers. Steps are counted from ``start_ms`` of the query."""
    if query.statistic not in VALUE:
        remedy = f"use one of {', '.join(STATISTICS)}"
        raise InputError(f"there is no statistic {query.statistic!r}", field="statistic", remedy=remedy)
    if query.step_ms < 0:
        raise InputError("step_ms is negative", field="step_ms", remedy="use 0 for one value over the whole span")
    parameters: Parameters = {"start": query.start_ms, "end": query.end_ms, "vms": vms, "series": series}
    time = "CAST($start AS BIGINT)"
    if query.step_ms:
        time = "start_ms - (start_ms - $start) % $step"
        parameters["step"] = query.step_ms
    return SELECT.format(time=time, value=VALUE[query.statistic]), parameters


def results(
    answer: dict[str, NDArray[np.generic]], vms: dict[int, str], columns: dict[int, Column]
) -> list[SeriesResult]:
    """Cut an answer, ordered by VM and series, where either changes."""
    vm, series = np.asarray(answer["vm"], dtype=np.int64), np.asarray(answer["series"], dtype=np.int64)
    times: I64 = np.asarray(answer["time_ms"], dtype=np.int64)
    values: F64 = np.asarray(answer["value"], dtype=np.float64)
    if not len(vm):
        return []
    cuts = np.flatnonzero((vm[1:] != vm[:-1]) | (series[1:] != series[:-1])) + 1
    edges = [0, *cuts.tolist(), len(vm)]
    return [
        SeriesResult(vms[int(vm[low])], columns[int(series[low])], times[low:high], values[low:high])
        for low, high in itertools.pairwise(edges)
    ]
