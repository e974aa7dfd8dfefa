"""InfluxDB's CSV in, series out: one row for each step of each series, in tables of like columns."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from mcisd.model.errors import StoreError
from mcisd.model.samples import Column
from mcisd.store.series.base import SeriesResult
from mcisd.store.series.influx.names import decode, decode_field, decode_key, decode_measurement, without_suffix

NO_TAGS = frozenset(("", "result", "table", "_time", "_value", "_field", "_measurement", "vm"))
KindOf = Callable[[str, str], str]
MERGE: dict[str, Callable[[float, float], float]] = {
    "sum": lambda old, new: old + new,
    "count": lambda old, new: old + new,
    "min": min,
    "max": max,
    "last": lambda _, new: new,
}


@dataclass(frozen=True, slots=True)
class Series:
    """What a table of an answer is about. ``measurement`` is empty where the question names the only one."""

    vm: str
    measurement: str
    tags: tuple[tuple[str, str], ...]
    field: str


@dataclass(slots=True)
class Answer:
    """Values by series, statistic and time. The same step from two tables is merged as the statistic wants it: that
    happens where a VM's series has changed its tags, or where two buckets share a question.

    Times become the start of their step: steps of ``every_ms`` from ``start_ms``, or as they are where it is 0."""

    start_ms: int = 0
    every_ms: int = 0
    values: dict[Series, dict[str, dict[int, float]]] = field(default_factory=dict)

    def add(self, text: str) -> None:
        for series, statistic, times, values in tables(text, self._step):
            have = self.values.setdefault(series, {}).setdefault(statistic, {})
            steps = dict(zip(times, values, strict=True))
            if not have and len(steps) == len(times):
                have.update(steps)
                continue
            merge = MERGE[statistic]
            for time, value in zip(times, values, strict=True):
                have[time] = merge(have[time], value) if time in have else value

    def _step(self, time_ms: int) -> int:
        """A step that the span of a bucket cuts begins, for InfluxDB, at the cut."""
        return time_ms - (time_ms - self.start_ms) % self.every_ms if self.every_ms else time_ms

    def results(self, statistic: str, measurement: str | None, kind_of: KindOf) -> list[SeriesResult]:
        found = []
        for series, parts in self.values.items():
            steps = _averages(parts) if statistic == "avg" else parts.get(statistic, {})
            if steps:
                times = sorted(steps)
                name = series.measurement if measurement is None else measurement
                column = Column(name, series.field, series.tags, kind_of(name, series.field))
                values = np.array([steps[time] for time in times])
                found.append(SeriesResult(series.vm, column, np.array(times, dtype=np.int64), values))
        return found


def tables(text: str, step: Callable[[int], int]) -> Iterator[tuple[Series, str, list[int], list[float]]]:
    """Series, statistic, steps' times and values of each table. StoreError if InfluxDB ended it with an error."""
    known: dict[str, int] = {}
    table, times, values = "", list[int](), list[float]()
    head: list[str] = []
    about = (Series("", "", (), ""), "")
    for found, row in _rows(text):
        if row[2] != table:
            if values:
                yield *about, times, values
            if found is not head:
                head, time, value = found, found.index("_time"), found.index("_value")
            table, times, values, about = row[2], [], [], _series(head, row)
        at = row[time]
        if at not in known:
            known[at] = step(_ms(at))
        times.append(known[at])
        values.append(float(row[value]))
    if values:
        yield *about, times, values


def records(text: str) -> Iterator[dict[str, str]]:
    """All rows by the names of their columns."""
    for head, row in _rows(text):
        yield dict(zip(head, row, strict=True))


def _rows(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Each row with its header; an empty line ends a block, and the next one has a header of its own. The third column
    is the number of the table. No cell holds a line's end: none of our names does."""
    head: list[str] | None = None
    for line in text.split("\r\n"):
        row = next(csv.reader((line,))) if '"' in line else line.split(",")
        if not line:
            head = None
        elif head is None:
            head = row
        elif "error" in head:
            raise StoreError(f"InfluxDB broke off: {row[head.index('error')]:.300}", remedy="see InfluxDB's log")
        else:
            yield head, row


def _series(head: list[str], row: list[str]) -> tuple[Series, str]:
    cells = dict(zip(head, row, strict=True))
    tags = ((decode_key(key), decode(value)) for key, value in cells.items() if key not in NO_TAGS and value)
    stored, statistic = without_suffix(cells["_field"])
    measurement = decode_measurement(cells.get("_measurement", ""))
    return Series(decode(cells["vm"]), measurement, tuple(sorted(tags)), decode_field(stored)), statistic


def _ms(text: str) -> int:
    return int(np.datetime64(text.rstrip("Z"), "ms").astype(np.int64))


def _averages(parts: dict[str, dict[int, float]]) -> dict[int, float]:
    sums, counts = parts.get("sum", {}), parts.get("count", {})
    return {time: value / counts[time] for time, value in sums.items() if counts.get(time)}
