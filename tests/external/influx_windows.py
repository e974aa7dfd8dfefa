"""Small windows for the tests on InfluxDB, and the options of a store that is theirs alone."""

import time
from dataclasses import replace

import numpy as np

from mcisd.model.identity import Identity
from mcisd.model.samples import Column
from mcisd.store.series.base import SeriesQuery, WindowBlock
from mcisd.store.series.influx.options import InfluxOptions
from tests.engines import InfluxServer

WIDTH_MS = 10_000
USED = Column("mem", "used", (), "g")
RECEIVED = Column("net", "bytes_recv", (("interface", "eth0"),), "c")
WHO = {"vm-1": Identity("vm-1", "web-1", "default", "shop", "mock", "eu-1", "mock-eu")}


def options_of(server: InfluxServer, **changes: object) -> InfluxOptions:
    """Keeps for ever and without the buckets of minutes and hours, but for ``changes``."""
    base = InfluxOptions(server.url, server.org, server.bucket, server.token, 0, 0, 0, keep_downsampled=False)
    return replace(base, **changes)  # type: ignore[arg-type]  # the fields' own types are checked at run time by use


def window_now() -> int:
    """The start of the window we are in."""
    now_ms = int(time.time() * 1000)
    return now_ms - now_ms % WIDTH_MS


def windows(starts: list[int], value: float = 1.0, vm: str = "vm-1", column: Column = USED) -> WindowBlock:
    """One series of one VM: ``value``, ``value + 1``, … with four samples each."""
    average = (value + np.arange(len(starts), dtype=np.float64)).reshape(-1, 1)
    count = np.full(average.shape, 4)
    times = np.array(starts, dtype=np.int64)
    return WindowBlock(
        (column,), WIDTH_MS, [vm] * len(starts), times, average, average - 1, average + 2, average + 0.5, count
    )


def question(start_ms: int, end_ms: int, step_ms: int = WIDTH_MS, statistic: str = "avg") -> SeriesQuery:
    return SeriesQuery(["vm-1"], "mem", start_ms, end_ms, step_ms, statistic)
