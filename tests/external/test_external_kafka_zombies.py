"""A consumer whose process stands still for longer than its session, and wakes when another has its partitions."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from mcisd.bus.kafka import KafkaBus
from mcisd.demo.engines import KafkaEngine
from tests.external import kafka_zombie
from tests.external.kafka_kit import LIMITS, last_of, open_bus
from tests.external.kafka_zombie import ONE

pytestmark = pytest.mark.engines


class Process:
    """The consumer's process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *arguments: str) -> "Process":
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", kafka_zombie.__name__, *arguments)
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ask(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"?\n")

    async def says(self, seconds: float = 30.0) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            return (await self._process.stdout.readline()).decode().strip()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@pytest.fixture
async def bus(kafka_servers: str, kafka_prefix: str) -> AsyncIterator[KafkaBus]:
    opened = await open_bus(kafka_servers, kafka_prefix, topic=ONE)
    yield opened
    await opened.close()


@pytest.fixture
async def zombie(bus: KafkaBus, kafka_servers: str, kafka_prefix: str) -> AsyncIterator[Process]:
    """It has the partition, and has read the first three messages; it is sure of itself."""
    await bus.publish_all("load", [("k", str(i).encode(), {}) for i in range(3)])
    process = await Process.start(kafka_servers, kafka_prefix)
    assert [await process.says(), await process.says()] == ["gained", "read"]
    process.ask()
    assert await process.says() == "confirm True"
    yield process
    await process.kill()


@pytest.mark.parametrize("stays", [True, False], ids=["another-has-them", "the-group-is-empty"])
async def test_one_that_wakes_knows_that_it_was_replaced(bus: KafkaBus, zombie: Process, stays: bool) -> None:
    zombie.signal(signal.SIGSTOP)
    other = bus.subscribe("load", "g", from_start=True)
    await bus.publish_all("load", [("k", str(i).encode(), {}) for i in range(3, 6)])
    async with asyncio.timeout(30):
        found = list(await other.fetch())
        while len(found) < 6:
            found += await other.fetch()
    await other.commit(last_of(found))
    assert await other.confirm()
    if not stays:
        await other.close()
    zombie.ask()
    zombie.signal(signal.SIGCONT)
    said = [await zombie.says(), await zombie.says()]
    assert sorted(said) == ["confirm False", "lost"]
    await zombie.kill()
    if stays:
        await other.close()
    await bus.publish("load", "k", b"6")
    reader = bus.subscribe("load", "g")
    async with asyncio.timeout(30):
        assert [message.value for message in await reader.fetch()] == [b"6"], "it has not turned the group back"
    await reader.close()


@pytest.mark.timeout(240)
async def test_while_the_brokers_are_away_nobody_is_sure(bus: KafkaBus, kafka_engine: KafkaEngine) -> None:
    reader = bus.subscribe("load", "g", from_start=True)
    await bus.publish("load", "k", b"0")
    async with asyncio.timeout(30):
        await reader.fetch()
    assert await reader.confirm()
    await kafka_engine.stop(0, kill=True)
    assert await reader.confirm(), "they cannot have given away anything yet"
    await asyncio.sleep(LIMITS.session_s / 2)
    assert not await reader.confirm()
    await kafka_engine.start_again(0)
    async with asyncio.timeout(60):
        while not await reader.confirm():  # noqa: ASYNC110 - the bus rings no bell when it is sure again
            await asyncio.sleep(0.1)
    await reader.close()
