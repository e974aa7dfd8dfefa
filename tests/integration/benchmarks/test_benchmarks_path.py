"""The load of the benchmarks against our own sample path: every frame it says it sent is stored, once."""

import time
from pathlib import Path

import pytest

from benchmarks.kit.load import agents
from benchmarks.kit.path import sample_path
from benchmarks.kit.payload import INTERVAL_MS, WIDTH
from mcisd.store.series.base import SeriesQuery

VMS, TICKS = 3, 20


@pytest.mark.parametrize("each", [1, 7])
async def test_all_that_is_pushed_is_stored(tmp_path: Path, each: int) -> None:
    start = int(time.time() * 1000) // 3_600_000 * 3_600_000 - 3 * 3_600_000
    vms = [(f"vm-{number}", "t") for number in range(VMS)]
    async with sample_path(tmp_path) as path, agents([("127.0.0.1", path.port)], path.ca, vms) as load:
        assert (await load.tell("link"))["links"] == VMS
        assert (await load.tell("push", TICKS, start, each))["frames"] == VMS * TICKS
        await path.stored(VMS * TICKS)
        asked = SeriesQuery([vm for vm, _ in vms], "system", start, start + TICKS * INTERVAL_MS, 0, "count", ["load1"])
        found = {result.vm: float(result.values.sum()) for result in await path.store.query(asked)}
        rates = 21  # one for each counter
        assert path.receiver.stats.samples == VMS * TICKS * (WIDTH + rates)
    assert found == {vm: TICKS for vm, _ in vms}


async def test_live_frames_come_at_their_pace(tmp_path: Path) -> None:
    async with sample_path(tmp_path) as path:
        async with agents([("127.0.0.1", path.port)], path.ca, [("vm-0", "t"), ("vm-1", "t")], 200) as load:
            await load.tell("link")
            await load.tell("done")
            told = await load.tell("live", 1)
        assert 6 <= told["frames"] <= 12
        await path.stored(int(told["frames"]))
        assert path.receiver.stats.frames == told["frames"]
