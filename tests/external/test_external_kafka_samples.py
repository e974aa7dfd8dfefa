"""Samples in = samples stored, with Kafka between two collectors and several writers that come and go."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcisd.aio.supervise import TaskSet
from mcisd.demo.engines import KafkaEngine
from tests.external import kafka_samples
from tests.external.kafka_kit import until
from tests.external.kafka_samples import CollectorProcess, Ledger, Place, Windows, WriterProcess, stored
from tests.integration.collectors.collectors_faulty import FRAMES, FaultyAgent

pytestmark = pytest.mark.engines


def expected(agents: list[FaultyAgent], width_ms: int) -> dict[tuple[str, int], tuple[int, float, float, float]]:
    return {
        (agent.vm, start): (len(values), min(values), max(values), values[-1])
        for agent in agents
        for start, values in agent.windows(width_ms).items()
    }


async def wreck(place: Place, store: Windows, collectors: list[CollectorProcess], writers: list[WriterProcess]) -> None:
    """Some seconds of bad luck: writers come and go, a collector ends and another begins."""
    await asyncio.sleep(2.0)
    writers.append(await WriterProcess.start(place, store))
    await asyncio.sleep(4.0)
    await writers.pop(0).stop()
    await collectors.pop(0).stop()
    collectors.append(await CollectorProcess.start(place))
    await asyncio.sleep(2.0)
    writers.append(await WriterProcess.start(place, store))
    await asyncio.sleep(3.0)


@pytest.mark.timeout(240)
async def test_each_sample_is_stored_once_whoever_comes_and_goes(place: Place) -> None:
    rng, store = random.Random(7), Windows(random.Random(8))
    collectors = [await CollectorProcess.start(place), await CollectorProcess.start(place)]
    writers = [await WriterProcess.start(place, store)]
    agents = [FaultyAgent(number, random.Random(number)) for number in range(1, 9)]
    tasks, over = TaskSet("agents"), asyncio.Event()
    ca = collectors[0].ca
    running = [tasks.spawn(agent.run(lambda: rng.choice(collectors).port, ca, over)) for agent in agents]
    await wreck(place, store, collectors, writers)
    over.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*running)
    wanted = expected(agents, place.width_ms)
    await stored(lambda: store.rows, wanted)
    assert any(len(agent.kept) < FRAMES for agent in agents)
    assert {name: one.host for name, one in store.names.items()} == {a.vm: f"host-{a.vm}" for a in agents}
    await asyncio.sleep(2.0)
    assert store.rows == wanted, "and nothing comes after it"
    for writer in writers:
        await writer.stop()
    for collector in collectors:
        await collector.stop()


class Writers:
    """Writers in processes of their own."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._arguments = ["-m", kafka_samples.__name__, place.servers, place.prefix, str(folder), str(place.width_ms)]
        self.alive: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        self.alive.append(await asyncio.create_subprocess_exec(sys.executable, *self._arguments))

    async def kill(self) -> None:
        """The oldest, at once."""
        oldest = self.alive.pop(0)
        oldest.kill()
        await oldest.wait()


@pytest.fixture
async def place(kafka_servers: str, kafka_prefix: str, tmp_path: Path) -> Place:
    return Place(kafka_servers, kafka_prefix, tmp_path / "tls")


@pytest.fixture
async def writers(place: Place, tmp_path: Path) -> AsyncIterator[Writers]:
    writers = Writers(place, tmp_path)
    yield writers
    while writers.alive:
        await writers.kill()


@pytest.mark.timeout(240)
async def test_writers_that_are_killed_lose_nothing(place: Place, writers: Writers, tmp_path: Path) -> None:
    """By SIGKILL, in the middle of their work; what they had stored stays, others go on behind their last commit."""
    ledger, collector = Ledger(tmp_path / "ledger"), await CollectorProcess.start(place)
    for _ in range(2):
        await writers.start()
    agents = [FaultyAgent(number, random.Random(number)) for number in range(1, 7)]
    tasks, over = TaskSet("agents"), asyncio.Event()
    running = [tasks.spawn(agent.run(lambda: collector.port, collector.ca, over)) for agent in agents]
    await until(lambda: len(ledger.rows()) > 10)
    for _ in range(2):
        await writers.kill()
        await writers.start()
        await asyncio.sleep(1.0)
    over.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*running)
    wanted = expected(agents, place.width_ms)
    await stored(ledger.rows, wanted, patience=90)
    await collector.stop()


@pytest.mark.timeout(240)
async def test_a_broker_that_is_killed_and_comes_back_loses_nothing(place: Place, kafka_engine: KafkaEngine) -> None:
    """Longer than a link may wait for the bus: links begin anew when it is back, and again as it then stands still."""
    store, collector = Windows(random.Random(8)), await CollectorProcess.start(place, stall_s=3.0)
    writer = await WriterProcess.start(place, store)
    agents = [FaultyAgent(number, random.Random(number)) for number in range(1, 7)]
    tasks, over = TaskSet("agents"), asyncio.Event()

    def stalled() -> int:
        return collector.receiver.stats.stalled

    running = [tasks.spawn(agent.run(lambda: collector.port, collector.ca, over, stalled)) for agent in agents]
    await until(lambda: len(store.rows) > 10)
    await kafka_engine.stop(0, kill=True)
    await asyncio.sleep(8.0)
    await kafka_engine.start_again(0)
    broken, pid = stalled(), kafka_engine.pid(0)
    os.kill(pid, signal.SIGSTOP)
    over.set()
    await asyncio.sleep(6.0)
    os.kill(pid, signal.SIGCONT)
    await until(lambda: stalled() > broken)
    async with asyncio.timeout(90):
        await asyncio.gather(*running)
    wanted = expected(agents, place.width_ms)
    await stored(lambda: store.rows, wanted)
    await writer.stop()
    await collector.stop()
