"""What the agent measures on this host, recorded tick by tick, to be used as the input of benchmarks.

``record`` drives the agent's own probes at its own pace; a recording of an hour takes an hour. What is there for a part
of the time only, as a disk that is mounted in the middle, is NaN for the rest.

    python -m benchmarks.recording FILE [--minutes 60]
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcisd.agent import scope
from mcisd.agent.gather import Gatherer
from mcisd.agent.probes.base import ProcFiles
from mcisd.agent.probes.own import Stats
from mcisd.model.samples import Column, Schema
from mcisd.store.series.base import F64, I64

INTERVAL_MS = 2_000
Part = tuple[tuple[Column, ...], list[int], list[list[float]]]
"""Columns; times in ms; a row of values for each time."""


@dataclass(frozen=True, slots=True)
class Recording:
    """``values[tick, column]`` as measured at ``times_ms[tick]``; NaN: not measured."""

    columns: tuple[Column, ...]
    times_ms: I64
    values: F64

    @property
    def minutes(self) -> float:
        return len(self.times_ms) * INTERVAL_MS / 60_000

    def last(self, ticks: int) -> "Recording":
        """Its last ``ticks``."""
        return Recording(self.columns, self.times_ms[-ticks:], self.values[-ticks:])

    def rotated(self, ticks: int) -> "Recording":
        """The same times, with the values that begin ``ticks`` later and go on with the first ones."""
        return Recording(self.columns, self.times_ms, np.roll(self.values, -ticks, axis=0))

    def save(self, path: Path) -> None:
        columns = Schema.of(self.columns).to_json()
        np.savez_compressed(path, columns=np.array(columns), times_ms=self.times_ms, values=self.values)


def load(path: Path) -> Recording:
    """OSError, ValueError, KeyError if it is no recording."""
    with np.load(path) as file:
        return Recording(Schema.from_json(str(file["columns"])).columns, file["times_ms"], file["values"])


def record(minutes: float) -> Recording:
    """Measure this host for that long."""
    files, stats = ProcFiles("/"), Stats()
    files.start(time.monotonic())
    gatherer = Gatherer(files, scope.probes({}, files, stats), stats)
    parts: list[Part] = []
    schema = None
    end = time.time() + minutes * 60
    while time.time() < end:
        time.sleep((INTERVAL_MS - time.time() * 1000 % INTERVAL_MS) / 1000)
        now = int(time.time() * 1000)
        row = gatherer.gather(time.monotonic(), True)
        if gatherer.schema is not schema:
            schema = gatherer.schema
            parts.append((_columns(gatherer), [], []))
        _, times, rows = parts[-1]
        times.append(now - now % INTERVAL_MS)
        rows.append(row)
    return joined(parts)


def joined(parts: Sequence[Part]) -> Recording:
    """One recording of parts with schemas of their own."""
    columns = tuple(dict.fromkeys(column for part in parts for column in part[0]))
    place = {column: index for index, column in enumerate(columns)}
    tables = []
    for own, _, rows in parts:
        table = np.full((len(rows), len(columns)), np.nan)
        table[:, [place[column] for column in own]] = rows
        tables.append(table)
    times = [time_ms for part in parts for time_ms in part[1]]
    return Recording(columns, np.array(times, dtype=np.int64), np.concatenate(tables))


def _columns(gatherer: Gatherer) -> tuple[Column, ...]:
    return Schema.from_json(json.dumps(gatherer._columns())).columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=60, help="how long to record (default: %(default)s)")
    options = parser.parse_args()
    record(options.minutes).save(options.file)


if __name__ == "__main__":
    main()
