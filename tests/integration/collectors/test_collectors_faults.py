"""Samples in = samples stored, each once, on the right VM, whatever is cut, restarted, crashed or refused."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mcisd.aio.supervise import TaskSet
from mcisd.model import wire
from mcisd.store.series.base import SeriesQuery
from mcisd.store.series.duck import DuckSeriesStore
from tests.integration.collectors.collectors_agent import Connection
from tests.integration.collectors.collectors_process import Adapter, Process, Settings

FRAMES = 150
STEP_MS = 100


@pytest.fixture
async def adapter() -> AsyncIterator[Adapter]:
    store = await DuckSeriesStore.open(None, memory_limit="64MB", threads=1)
    yield Adapter(store)
    await store.close()


class FaultyAgent:
    """Has measured its frames already and must bring them home over a link that is cut at random."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.vm = f"vm-{number}"
        start = int(time.time() * 1000) - FRAMES * STEP_MS
        self.frames = [
            (seq, start + seq * STEP_MS + rng.randrange(STEP_MS), number * 1e6 + seq) for seq in range(1, FRAMES + 1)
        ]
        self.acked = 0
        self._rng = rng

    async def run(self, port: int, ca: str, over: asyncio.Event) -> None:
        """Link after link until the bad luck is over, then one that is left in peace."""
        while not over.is_set():
            try:
                await self._link(await Connection.open(port, ca), self._rng.uniform(0.1, 2.0), last=False)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.05)
        await self._link(await Connection.open(port, ca), 20.0, last=True)

    async def _link(self, connection: Connection, seconds: float, last: bool) -> None:
        try:
            kind, welcome = await connection.hello(self.vm)
            assert kind == wire.WELCOME
            self.acked = max(self.acked, int(str(welcome["acked"])))
            connection.schema()
            async with asyncio.timeout(seconds):
                await self._talk(connection, last)
        finally:
            connection.cut()

    async def _talk(self, connection: Connection, last: bool) -> None:
        for seq, at, value in self.frames:
            if seq > self.acked:
                connection.frame(seq, at, [value, value])
                if self._rng.random() < 0.1:
                    await connection.drain()
                    await asyncio.sleep(self._rng.uniform(0, 0.05))
        if last:
            connection.send(wire.pack_json(wire.BYE, {}))
        while True:
            try:
                kind, payload = await connection.receive()
            except ConnectionResetError:
                if last:
                    return  # the receiver has taken all up to our BYE
                raise
            if kind == wire.ACK:
                self.acked = max(self.acked, wire.unpack_ack(payload))


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


def expected(agent: FaultyAgent, width_ms: int) -> dict[int, list[float]]:
    windows: dict[int, list[float]] = {}
    for _, at, value in agent.frames:
        windows.setdefault(at // width_ms * width_ms, []).append(value)
    return windows


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
    running = [tasks.spawn(agent.run(port, ca, over)) for agent in agents]
    process = await wreck(process, adapter, settings, port, rng)
    adapter.refuse = 0
    over.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*running)
    await process.stop()
    assert any(agent.acked for agent in agents)
    for agent in agents:
        windows = expected(agent, settings.width_ms)
        for statistic, of in STATISTICS.items():
            found = await stored(adapter, agent.vm, statistic, settings.width_ms)
            assert found == {start: of(values) for start, values in windows.items()}
