"""The bus while brokers and consumers die: what was acknowledged is read, once, in order."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from mcisd.bus.kafka import KafkaBus
from mcisd.demo.engines import KafkaEngine
from mcisd.model.errors import BusError
from tests.external.kafka_kit import LIMITS, Load, Taken, last_of, open_bus, until

pytestmark = pytest.mark.engines
AWAY_S = 5.0


@pytest.fixture
async def bus(kafka_servers: str, kafka_prefix: str) -> AsyncIterator[KafkaBus]:
    opened = await open_bus(kafka_servers, kafka_prefix)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def three_brokers(engines_folder: Path) -> Iterator[KafkaEngine]:
    engine = asyncio.run(KafkaEngine.start(engines_folder / "kafka3", brokers=3, heap="256m", quick=True))
    yield engine
    asyncio.run(engine.wipe())


async def all_read(load: Load, taken: Taken) -> None:
    """Everything that was acknowledged is read, once and in order."""
    await load.stop()
    await until(lambda: taken.total >= load.total)
    await taken.stop()
    assert taken.numbers == {key: list(range(count)) for key, count in load.acknowledged.items()}


async def test_broker_killed_under_load_loses_nothing_and_keeps_the_order(
    bus: KafkaBus, kafka_engine: KafkaEngine, caplog: pytest.LogCaptureFixture
) -> None:
    load, taken = Load(bus), Taken(bus.subscribe("load", "g", durable=True))
    await until(lambda: taken.total > 300)
    await kafka_engine.stop(0, kill=True)
    await asyncio.sleep(1.0)  # for answers that were under way
    at = load.total
    await asyncio.sleep(AWAY_S)
    assert load.total == at
    await kafka_engine.start_again(0)
    await until(lambda: load.total > at + 300)
    await all_read(load, taken)
    noise = [
        record for record in caplog.records if record.name.startswith("aiokafka") and record.levelno > logging.INFO
    ]
    assert len(noise) < 30


async def test_leader_killed_of_three_brokers(three_brokers: KafkaEngine, kafka_prefix: str) -> None:
    bus = await open_bus(three_brokers.servers, kafka_prefix)
    assert "3 brokers" in await bus.check()
    load, taken = Load(bus), Taken(bus.subscribe("load", "g", durable=True))
    await until(lambda: taken.total > 300)
    await three_brokers.stop(1, kill=True)
    at = load.total
    await until(lambda: load.total > at + 300 and min(load.acknowledged.values()) > at / 6 + 10)
    await three_brokers.start_again(1)
    await all_read(load, taken)
    await bus.close()


async def test_hung_leader_of_three_brokers(three_brokers: KafkaEngine, kafka_prefix: str) -> None:
    bus = await open_bus(three_brokers.servers, kafka_prefix)
    load = Load(bus)
    await until(lambda: min(load.acknowledged.values()) > 20)
    os.kill(three_brokers.pid(2), signal.SIGSTOP)
    try:
        at = dict(load.acknowledged)
        await until(lambda: all(load.acknowledged[key] > at[key] + 20 for key in at))
    finally:
        os.kill(three_brokers.pid(2), signal.SIGCONT)
    await all_read(load, Taken(bus.follow("load", "f", from_start=True)))
    await bus.close()


async def test_consumer_killed_is_taken_over(bus: KafkaBus, kafka_servers: str, kafka_prefix: str) -> None:
    code = (
        "import asyncio\nfrom tests.external.kafka_kit import *\n"
        "async def main():\n"
        f"    bus = await open_bus({kafka_servers!r}, {kafka_prefix!r})\n"
        "    reader = bus.subscribe('load', 'g', durable=True, from_start=True)\n"
        "    while True:\n"
        "        for message in await reader.fetch(): print(message.value.decode(), flush=True)\n"
        "asyncio.run(main())\n"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        await bus.publish_all("load", [(f"k{i}", str(i).encode(), {}) for i in range(50)])
        async with asyncio.timeout(60):
            seen = [int(await other.stdout.readline()) for _ in range(50)]
        assert sorted(seen) == list(range(50))
        reader = bus.subscribe("load", "g", durable=True)
        os.kill(other.pid, signal.SIGKILL)
        numbers: set[int] = set()
        async with asyncio.timeout(60):
            while len(numbers) < 50:  # it had committed nothing
                numbers.update(int(message.value) for message in await reader.fetch())
    finally:
        other.kill() if other.returncode is None else None
        await other.communicate()


async def test_slow_consumer_gets_everything_within_bounded_memory(kafka_servers: str, kafka_prefix: str) -> None:
    bus = await open_bus(kafka_servers, kafka_prefix, replace(LIMITS, read_ahead=500))
    reader = bus.subscribe("load", "g", durable=True)
    for begin in range(0, 20_000, 1_000):
        await bus.publish_all("load", [(f"k{i % 9}", str(i).encode(), {}) for i in range(begin, begin + 1_000)])
    count, most = 0, 0
    while count < 20_000:
        most = max(most, len(reader._buffer))
        found = await reader.fetch(700)
        count += len(found)
        await asyncio.sleep(0.005)
    assert count == 20_000
    assert most <= 500 + 1_000
    await reader.commit(last_of(found))
    await bus.close()


async def test_bytes_in_flight_are_bounded_while_the_broker_is_away(
    kafka_engine: KafkaEngine, kafka_prefix: str
) -> None:
    limits = replace(LIMITS, in_flight_bytes=100_000)
    bus = await open_bus(kafka_engine.servers, kafka_prefix, limits)
    taken = Taken(bus.follow("load", "f"))
    await bus.publish("load", "k0", b"0")
    await kafka_engine.stop(0, kill=True)
    body = b"%d".ljust(1_000)
    waiting = [asyncio.ensure_future(bus.publish("load", "k0", body % i)) for i in range(1, 400)]
    await asyncio.sleep(0.5)
    assert bus._publisher.gate.inside <= 102_000
    assert len(bus._publisher.gate) > 290
    await kafka_engine.start_again(0)
    async with asyncio.timeout(60):
        await asyncio.gather(*waiting)
    await until(lambda: taken.total == 400)
    await taken.stop()
    assert taken.numbers["k0"] == list(range(400))
    await bus.close()


async def test_publishing_gives_up_after_its_time_and_works_again_later(
    kafka_engine: KafkaEngine, kafka_prefix: str
) -> None:
    bus = await open_bus(kafka_engine.servers, kafka_prefix, replace(LIMITS, delivery_s=1.0))
    await bus.publish("load", "k", b"0")
    await kafka_engine.stop(0, kill=True)
    with pytest.raises(BusError, match="not taken messages for 1 s") as failure:
        await bus.publish("load", "k", b"1")
    assert failure.value.retriable
    with pytest.raises(BusError, match="Kafka at"):
        await bus.check()
    await kafka_engine.start_again(0)
    async with asyncio.timeout(60):
        while True:
            try:
                await bus.publish("load", "k", b"2")
                break
            except BusError:
                continue
    await bus.close()


async def test_closing_while_the_broker_is_away_ends_in_time(kafka_engine: KafkaEngine, kafka_prefix: str) -> None:
    bus = await open_bus(kafka_engine.servers, kafka_prefix, replace(LIMITS, close_s=1.0))
    taken = Taken(bus.subscribe("load", "g", durable=True))
    follower = bus.follow("load", "f")
    await bus.publish("load", "k", b"0")
    await until(lambda: taken.total == 1)
    await kafka_engine.stop(0, kill=True)
    waiting = asyncio.ensure_future(bus.publish("load", "k", b"1"))
    await asyncio.sleep(0.1)
    begin = asyncio.get_running_loop().time()
    await bus.close()
    assert asyncio.get_running_loop().time() - begin < 10.0
    with pytest.raises(BusError, match="closed"):
        await waiting
    with pytest.raises(BusError, match="closed"):
        await follower.fetch()
    await kafka_engine.start_again(0)
    await taken.stop()
    await asyncio.sleep(0.5)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []


async def test_no_broker_at_all_is_said_in_time(kafka_prefix: str) -> None:
    with pytest.raises(BusError, match=r"Kafka at 127\.0\.0\.1:1: ") as failure:
        await open_bus("127.0.0.1:1", kafka_prefix, replace(LIMITS, connect_s=1.0))
    assert failure.value.retriable


async def test_two_consumers_live_through_a_broker_restart(bus: KafkaBus, kafka_engine: KafkaEngine) -> None:
    load = Load(bus)
    first = Taken(one := bus.subscribe("load", "g", durable=True))
    second = Taken(bus.subscribe("load", "g", durable=True))
    await until(lambda: first.total > 50 and second.total > 50)
    await kafka_engine.stop(0, kill=True)
    await kafka_engine.start_again(0)
    at = first.total, second.total
    await until(lambda: first.total > at[0] and second.total > at[1])
    await one.close()  # the other one takes over
    await load.stop()

    def together() -> dict[str, set[int]]:
        return {key: set(first.numbers.get(key, []) + second.numbers.get(key, [])) for key in load.acknowledged}

    await until(lambda: together() == {key: set(range(count)) for key, count in load.acknowledged.items()})
    await first.stop()
    await second.stop()


async def test_producer_that_the_broker_rejects_is_replaced(bus: KafkaBus) -> None:
    """Its numbers are made wrong here; the refusal is the broker's own."""
    follower = Taken(bus.follow("load", "f"))
    await bus.publish("load", "k0", b"0")
    deliverer = bus._publisher._deliverer
    part = TopicPartition(deliverer._options.prefix + "load", bus.partition_of("load", "k0"))
    deliverer._producer._txn_manager.increment_sequence_number(part, 7)
    await bus.publish_all("load", [("k0", str(i).encode(), {}) for i in range(1, 9)])
    assert deliverer.renewals == 1
    await bus.publish("load", "k0", b"9")
    await until(lambda: follower.total == 10)
    await follower.stop()
    assert follower.numbers["k0"] == list(range(10))
