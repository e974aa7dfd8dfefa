"""How long questions to the embedded store take, on real host data.

A day of 18 VMs (an MCIS) and the last windows of 1 000 VMs are written; all hours but the last are packed. The day is
the recording over and over, begun at another place for each VM.

    python -m benchmarks.series_query [--minutes 10 | --recording FILE] [--rounds 40] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recording import Recording, load, record
from benchmarks.storage_size import HOUR_MS, WIDTH_MS, blocks
from mcisd.store.series.base import I64, SeriesQuery, SeriesResult, WindowBlock
from mcisd.store.series.duck import DuckSeriesStore

VMS, HOURS, MANY = 18, 24, 1_000
WINDOWS = HOUR_MS // WIDTH_MS
BASE_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS
Ask = Callable[[int], Coroutine[Any, Any, list[SeriesResult]]]


def cut(block: WindowBlock, first: int) -> WindowBlock:
    """Its windows from ``first`` on."""
    parts = (block.avg[first:], block.min[first:], block.max[first:], block.last[first:], block.count[first:])
    return WindowBlock(block.columns, WIDTH_MS, block.vms[first:], block.starts_ms[first:], *parts)


def hour_of(whole: WindowBlock, vm: int, hour: int) -> WindowBlock:
    """One hour of one VM, cut from the windows of the recording."""
    count = len(whole.starts_ms)
    rows: I64 = (np.arange(WINDOWS) + hour * WINDOWS + vm * count // VMS) % count
    starts = BASE_MS + hour * HOUR_MS + np.arange(WINDOWS, dtype=np.int64) * WIDTH_MS
    parts = (whole.avg[rows], whole.min[rows], whole.max[rows], whole.last[rows], whole.count[rows])
    return WindowBlock(whole.columns, WIDTH_MS, [f"vm-{vm}"] * WINDOWS, starts, *parts)


async def fill(store: DuckSeriesStore, recording: Recording) -> WindowBlock:
    made = [block for hour in blocks("host", recording) for block in hour]
    whole = WindowBlock(
        made[0].columns,
        WIDTH_MS,
        [vm for block in made for vm in block.vms],
        *(np.concatenate([getattr(b, n) for b in made]) for n in ("starts_ms", "avg", "min", "max", "last", "count")),
    )
    for hour in range(HOURS):
        await store.write([hour_of(whole, vm, hour) for vm in range(VMS)])
    end = BASE_MS + HOURS * HOUR_MS
    await store.compact(end)  # the hours must come to rest before they are packed
    while await store.compact(end):
        pass
    newest = hour_of(whole, 0, HOURS - 1)
    for number in range(MANY):
        newest.vms = [f"many-{number}"] * WINDOWS
        await store.write([cut(newest, WINDOWS - 6)])
    return whole


def questions(store: DuckSeriesStore, whole: WindowBlock) -> dict[str, Ask]:
    measurements = sorted({column.measurement for column in whole.columns})
    mcis = [f"vm-{vm}" for vm in range(VMS)]

    def last(measurement: str | None) -> Ask:
        async def ask(_: int) -> list[SeriesResult]:
            return await store.last([f"many-{number}" for number in range(MANY)], measurement)

        return ask

    def hour(which: int) -> Ask:
        async def ask(number: int) -> list[SeriesResult]:
            start, vm = BASE_MS + which * HOUR_MS, [mcis[number % VMS]]
            asked = [SeriesQuery(vm, name, start, start + HOUR_MS, WIDTH_MS) for name in measurements]
            return [item for query in asked for item in await store.query(query)]

        return ask

    def day(measurement: str) -> Ask:
        async def ask(_: int) -> list[SeriesResult]:
            return await store.query(SeriesQuery(mcis, measurement, BASE_MS, BASE_MS + HOURS * HOUR_MS, 60_000))

        return ask

    found = {"last values of 1 000 VMs, load": last("system"), "last values of 1 000 VMs, all": last(None)}
    found["an hour of one VM, packed"] = hour(HOURS // 2)
    found["an hour of one VM, the last"] = hour(HOURS - 1)
    for name in ("cpu", "mem"):
        found[f"a day by the minute of 18 VMs, {name}"] = day(name)
    return found


async def measure(recording: Recording, rounds: int) -> dict[str, tuple[int, list[float]]]:
    """For each question the number of values in an answer, and milliseconds of each round."""
    result: dict[str, tuple[int, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="mcisd-query-") as directory:
        store = await DuckSeriesStore.open(Path(directory) / "series.duckdb")
        whole = await fill(store, recording)
        for name, ask in questions(store, whole).items():
            taken: list[float] = []
            for number in range(rounds):
                began = time.perf_counter()
                answer = await ask(number)
                taken.append((time.perf_counter() - began) * 1000)
            result[name] = (sum(len(item.values) for item in answer), taken)
        print(await store.check())
        await store.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long to record (default: %(default)s)")
    parser.add_argument("--recording", type=Path, help="use this recording instead")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    found = asyncio.run(
        measure(load(options.recording) if options.recording else record(options.minutes), options.rounds)
    )
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}")
    print(f"{'milliseconds':40}{'values':>10}{'p50':>10}{'p99':>10}")
    figures = {
        name: (count, statistics.median(ms), float(np.quantile(ms, 0.99))) for name, (count, ms) in found.items()
    }
    for name, (count, p50, p99) in figures.items():
        print(f"{name:40}{count:>10}{p50:>10.1f}{p99:>10.1f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
