"""How long questions take: the last value of 1 000 VMs, an hour of one VM, a day by the minute of an MCIS (18 VMs).

The same windows, as a daemon writes them, are put into both stores by the store's own ``write`` (no agent, no bus),
then DuckDB packs the hours that are over; InfluxDB is asked right after. Answers come as arrays from the same port, and
both stores must give as many values. The series are system, cpu and mem of ``kit.payload``: 50 for each VM.

    python -m benchmarks.queries [--rounds 40] [--hours 24] [--json FILE] [--quick]
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from benchmarks.kit.measure import machine, percentile, save
from benchmarks.kit.payload import COLUMNS, GROUPS, values
from mcisd.aio.clock import SystemClock
from mcisd.demo.engines import InfluxEngine
from mcisd.demo.engines_influx import missing_influx
from mcisd.model.identity import Identity
from mcisd.model.samples import Column
from mcisd.store.series.base import SeriesQuery, SeriesResult, SeriesStore, WindowBlock
from mcisd.store.series.duck import DuckSeriesStore
from mcisd.store.series.influx.options import InfluxOptions
from mcisd.store.series.influx.store import InfluxSeriesStore

MCIS = [f"vm-{number}" for number in range(18)]
WIDTH_MS, HOUR_MS = 10_000, 3_600_000
LEVELS = ("system", "cpu", "mem")
CHOSEN = tuple(
    Column(measurement, field, tuple(sorted(tags.items())), kind)
    for measurement, tags, fields, kind in GROUPS
    for field in fields
    if measurement in LEVELS
)
AT_ONCE = 60
"""Blocks in a write: about what the daemon hands over at once."""
Ask = Callable[[SeriesStore], Awaitable[list[SeriesResult]]]
Answers = dict[str, tuple[int, list[float]]]
"""Question → values in an answer, milliseconds of each time it was asked."""


class Span:
    """The times of the data: ``hours`` of the MCIS up to the last whole window, one minute of the many."""

    def __init__(self, hours: int, many: int) -> None:
        self.hours = hours
        self.many = [f"many-{number}" for number in range(many)]
        now = int(time.time() * 1000)
        self.end_ms = now - now % HOUR_MS
        self.start_ms = self.end_ms - hours * HOUR_MS


def windows(vm: str, number: int, start_ms: int, count: int) -> WindowBlock:
    """``count`` windows of one VM; each of 5 samples, which are near its average."""
    avg = np.array([values(number, start_ms // WIDTH_MS % 4096 + i)[: len(CHOSEN)] for i in range(count)])
    starts = start_ms + np.arange(count, dtype=np.int64) * WIDTH_MS
    return WindowBlock(
        CHOSEN, WIDTH_MS, [vm] * count, starts, avg, avg * 0.98, avg * 1.02, avg * 1.01, np.full(avg.shape, 5)
    )  # fmt: skip


async def fill(store: SeriesStore, span: Span) -> float:
    """Write everything; seconds it took, compaction included."""
    began = time.monotonic()
    everyone = [*MCIS, *span.many]
    identities = {vm: Identity(vm, vm, "bench", "bench") for vm in everyone}
    for hour in range(span.hours):
        start = span.start_ms + hour * HOUR_MS
        blocks = [windows(vm, number, start, HOUR_MS // WIDTH_MS) for number, vm in enumerate(MCIS)]
        await store.write(blocks, identities)
    for first in range(0, len(span.many), AT_ONCE):
        chosen = enumerate(span.many[first : first + AT_ONCE], first)
        await store.write([windows(vm, number, span.end_ms - 60_000, 6) for number, vm in chosen], identities)
    await store.compact(span.end_ms)  # the hours must come to rest before they are packed
    while await store.compact(span.end_ms):
        pass
    return time.monotonic() - began


def questions(span: Span) -> dict[str, Ask]:
    hour = SeriesQuery(MCIS[:1], "cpu", span.end_ms - HOUR_MS, span.end_ms, WIDTH_MS)
    day = SeriesQuery(MCIS, "cpu", span.start_ms, span.end_ms, 60_000, fields=["usage_active"])
    return {
        f"last values of {len(span.many)} VMs, system": lambda store: store.last(span.many, "system"),
        "an hour of one VM by 10 s, cpu": lambda store: store.query(hour),
        f"{span.hours} h by the minute of 18 VMs, cpu usage_active": lambda store: store.query(day),
    }


async def asked(store: SeriesStore, span: Span, rounds: int) -> Answers:
    found: Answers = {}
    for name, ask in questions(span).items():
        taken: list[float] = []
        for _ in range(rounds):
            began = time.perf_counter()
            answer = await ask(store)
            taken.append((time.perf_counter() - began) * 1000)
        found[name] = sum(len(result.values) for result in answer), taken
    return found


async def duckdb(span: Span, rounds: int, folder: Path) -> tuple[float, Answers]:
    store = await DuckSeriesStore.open(folder / "series.duckdb")
    try:
        return await fill(store, span), await asked(store, span, rounds)
    finally:
        await store.close()


async def influx(span: Span, rounds: int, folder: Path) -> tuple[float, Answers]:
    engine = await InfluxEngine.start(folder)
    try:
        options = InfluxOptions(url=engine.url, org=engine.org, bucket=engine.bucket, token=engine.token)
        store = await InfluxSeriesStore.open(options, SystemClock())
        try:
            return await fill(store, span), await asked(store, span, rounds)
        finally:
            await store.close()
    finally:
        await engine.stop()


def report(found: dict[str, tuple[float, Answers]]) -> None:
    for store, (filling, answers) in found.items():
        print(f"\n{store}: filled in {filling:.1f} s\n{'milliseconds':52}{'values':>9}{'p50':>9}{'p99':>9}{'max':>9}")
        for name, (count, taken) in answers.items():
            cells = (percentile(taken, 50), percentile(taken, 99), max(taken))
            print(f"{name:52}{count:>9}" + "".join(f"{value:9.1f}" for value in cells))
    counts = {tuple(count for count, _ in answers.values()) for _, answers in found.values()}
    if len(counts) > 1:
        raise SystemExit(f"the stores gave different numbers of values: {counts}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--many", type=int, default=1_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="1 hour, 100 VMs, 5 rounds")
    options = parser.parse_args()
    if options.quick:
        options.hours, options.many, options.rounds = 1, 100, 5
    assert [column[0] for column in COLUMNS[: len(CHOSEN)]] == [column.measurement for column in CHOSEN]
    print(machine())
    span = Span(options.hours, options.many)
    found: dict[str, tuple[float, Answers]] = {}
    with tempfile.TemporaryDirectory(prefix="mcisd-queries-") as folder:
        found["DuckDB, embedded"] = asyncio.run(duckdb(span, options.rounds, Path(folder)))
        if lack := missing_influx():
            print(f"left out: {lack}")
        else:
            found["InfluxDB 2.7"] = asyncio.run(influx(span, options.rounds, Path(folder) / "influxdb"))
    report(found)
    save(options.json, {"stores": found})


if __name__ == "__main__":
    main()
