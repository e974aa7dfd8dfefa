"""Samples in = samples stored, each once, on the right VM, whatever is cut, restarted, crashed or refused."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mcisd.aio.supervise import TaskSet
from mcisd.store.series.base import SeriesQuery
from mcisd.store.series.duck import DuckSeriesStore
from tests.integration.collectors.collectors_faulty import FRAMES, FaultyAgent
from tests.integration.collectors.collectors_process import Adapter, Process, Settings


@pytest.fixture
async def adapter() -> AsyncIterator[Adapter]:
    store = await DuckSeriesStore.open(None, memory_limit="64MB", threads=1)
    yield Adapter(store)
    await store.close()


STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "count": lambda values: float(len(values)),
    "min": min,
    "max": max,
    "last": lambda values: values[-1],
}


async def stored(adapter: Adapter, vm: str, statistic: str, width_ms: int) -> dict[int, float]:
    query = SeriesQuery([vm], "cpu", 0, 1 << 48, width_ms, statistic, ["usage"])
    (result,) = await adapter.store.query(query)
    return dict(zip(result.times_ms.tolist(), result.values.tolist(), strict=True))


async def wreck(process: Process, adapter: Adapter, settings: Settings, port: int, rng: random.Random) -> Process:
    """Two seconds of bad luck; returns the process that is alive at the end."""
    for _ in range(8):
        await asyncio.sleep(rng.uniform(0.05, 0.4))
        match rng.randrange(3):
            case 0:
                adapter.refuse = rng.randrange(1, 6)
            case 1:
                await process.restart_receiver(port)
            case _:
                await process.crash()
                process = Process(adapter, settings)
                await process.start(port)
    return process


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_each_sample_is_stored_once_on_its_vm(adapter: Adapter, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    settings = Settings(tmp_path / "tls")
    process = Process(adapter, settings)
    port = await process.start()
    ca = process.certificates().ca_pem()
    agents = [FaultyAgent(i, random.Random(f"{seed}-{i}")) for i in range(1, 4)]
    tasks, over = TaskSet("agents"), asyncio.Event()
    running = [tasks.spawn(agent.run(lambda: port, ca, over)) for agent in agents]
    process = await wreck(process, adapter, settings, port, rng)
    adapter.refuse = 0
    over.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*running)
    await process.stop()
    assert any(len(agent.kept) < FRAMES for agent in agents)
    for agent in agents:
        windows = agent.windows(settings.width_ms)
        for statistic, of in STATISTICS.items():
            found = await stored(adapter, agent.vm, statistic, settings.width_ms)
            assert found == {start: of(values) for start, values in windows.items()}
