"""What the agent measures on this host, recorded tick by tick, to be used as the input of benchmarks.

``record`` drives the agent's own probes at its own pace; a recording of an hour takes an hour. Of a schema that changes
in the middle only the part with the last one is kept.

    python -m benchmarks.recording FILE [--minutes 60]
"""

import argparse
import json
import time
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
    times: list[int] = []
    rows: list[list[float]] = []
    schema = None
    end = time.time() + minutes * 60
    while time.time() < end:
        time.sleep((INTERVAL_MS - time.time() * 1000 % INTERVAL_MS) / 1000)
        now = int(time.time() * 1000)
        row = gatherer.gather(time.monotonic(), True)
        if gatherer.schema is not schema:
            schema, times, rows = gatherer.schema, [], []
            columns = _columns(gatherer)
        times.append(now - now % INTERVAL_MS)
        rows.append(row)
    return Recording(columns, np.array(times, dtype=np.int64), np.array(rows, dtype=np.float64))


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
