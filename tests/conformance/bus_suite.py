"""What every bus must do, whatever it is made of. A bus passes by subclassing ``BusSuite`` with a ``make_bus`` fixture.

The suite allows for many partitions and for real time: it waits by asking, with a bound, never by sleeping a guess.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from mcisd.bus.base import Bus, Delivery, Subscription, Topic
from mcisd.model.errors import BusError

PLAIN = Topic("plain", size=8, partitions=2)
ROOMY = Topic("roomy", size=5_000, partitions=6)
NEWEST = Topic("newest", size=100, partitions=1, compacted=True)
SINGLE = Topic("single", size=1_000, partitions=1)
TOPICS = (PLAIN, ROOMY, NEWEST, SINGLE)
PATIENCE = 20.0

MakeBus = Callable[[tuple[Topic, ...]], Awaitable[Bus]]


async def fetch_all(subscription: Subscription, count: int) -> list[Delivery]:
    """Exactly the next ``count`` messages."""
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await subscription.fetch(count - len(found))
    return found


async def done_with(subscription: Subscription, messages: Sequence[Delivery]) -> None:
    """Commit everything up to the last of these messages in each partition."""
    positions: dict[int, int] = {}
    for message in messages:
        positions[message.partition] = max(message.offset, positions.get(message.partition, -1))
    await subscription.commit(positions)


def values(messages: Sequence[Delivery]) -> list[bytes]:
    return [message.value for message in messages]


class BusSuite:
    """Inherit, and give ``make_bus``: a factory of open, empty buses that declare the given topics."""

    @pytest.fixture
    async def make_bus(self) -> MakeBus:
        raise AssertionError("a bus that wants to conform gives its own make_bus fixture")

    @pytest.fixture
    async def bus(self, make_bus: MakeBus) -> Bus:
        return await make_bus(TOPICS)

    async def test_message_arrives_as_it_was_sent(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g")
        partition, offset = await bus.publish("roomy", "vm-1", b"\x00\xff", {"kind": "x"})
        (message,) = await fetch_all(reader, 1)
        assert message == Delivery("roomy", partition, offset, "vm-1", b"\x00\xff", {"kind": "x"})

    async def test_order_is_kept_per_key(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g")
        for i in range(300):
            await bus.publish("roomy", f"k{i % 7}", str(i).encode())
        found = await fetch_all(reader, 300)
        for key in {message.key for message in found}:
            numbers = [int(message.value) for message in found if message.key == key]
            assert numbers == sorted(numbers)
        assert len({int(message.value) for message in found}) == 300

    async def test_who_can_wait_gets_the_same_in_the_same_order(self, bus: Bus) -> None:
        readers = bus.subscribe("single", "g", gather_s=0.3), bus.follow("single", "f", gather_s=0.3)
        sent = [str(i).encode() for i in range(40)]
        for value in sent:
            await bus.publish("single", "k", value)
        for reader in readers:
            assert values(await fetch_all(reader, 40)) == sent

    async def test_offsets_grow_within_a_partition_and_a_key_stays_in_one(self, bus: Bus) -> None:
        places: dict[str, set[int]] = {}
        last: dict[int, int] = {}
        for i in range(50):
            partition, offset = await bus.publish("roomy", f"k{i % 5}", b"")
            places.setdefault(f"k{i % 5}", set()).add(partition)
            assert offset > last.get(partition, -1)
            last[partition] = offset
        assert all(len(partitions) == 1 for partitions in places.values())

    async def test_fetch_is_bounded(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g")
        for i in range(10):
            await bus.publish("roomy", "k", str(i).encode())
        assert len(await reader.fetch(3)) <= 3

    async def test_fetch_waits_for_the_first_message(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g")
        waiting = asyncio.ensure_future(fetch_all(reader, 1))
        await asyncio.sleep(0)
        assert not waiting.done()
        await bus.publish("roomy", "k", b"late")
        assert values(await waiting) == [b"late"]

    async def test_groups_are_independent(self, bus: Bus) -> None:
        one, two = bus.subscribe("roomy", "one", durable=True), bus.subscribe("roomy", "two", durable=True)
        await bus.publish("roomy", "k", b"a")
        await bus.publish("roomy", "k", b"b")
        first = await fetch_all(one, 2)
        await done_with(one, first)
        assert values(first) == values(await fetch_all(two, 2)) == [b"a", b"b"]

    async def test_new_group_begins_with_what_comes_next(self, bus: Bus) -> None:
        await bus.publish("roomy", "k", b"before")
        reader = bus.subscribe("roomy", "late")
        await bus.publish("roomy", "k", b"after")
        assert values(await fetch_all(reader, 1)) == [b"after"]

    async def test_new_group_from_start_gets_what_is_kept(self, bus: Bus) -> None:
        await bus.publish("roomy", "k", b"before")
        reader = bus.subscribe("roomy", "late", from_start=True)
        assert values(await fetch_all(reader, 1)) == [b"before"]

    async def test_uncommitted_messages_come_again(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g", durable=True)
        for value in (b"a", b"b", b"c"):
            await bus.publish("roomy", "k", value)
        found = await fetch_all(reader, 3)
        await done_with(reader, found[:1])
        await reader.close()
        again = bus.subscribe("roomy", "g", durable=True)
        assert values(await fetch_all(again, 2)) == [b"b", b"c"]

    async def test_messages_sent_while_nobody_reads_are_kept_for_a_durable_group(self, bus: Bus) -> None:
        await bus.subscribe("roomy", "g", durable=True).close()
        await bus.publish("roomy", "k", b"meanwhile")
        assert values(await fetch_all(bus.subscribe("roomy", "g", durable=True), 1)) == [b"meanwhile"]

    async def test_an_older_commit_changes_nothing(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g", durable=True)
        for value in (b"a", b"b", b"c"):
            await bus.publish("roomy", "k", value)
        found = await fetch_all(reader, 3)
        await done_with(reader, found[:2])
        await done_with(reader, found[:1])
        await reader.close()
        assert values(await fetch_all(bus.subscribe("roomy", "g", durable=True), 1)) == [b"c"]

    async def test_two_consumers_of_a_group_share_and_do_not_repeat(self, bus: Bus) -> None:
        first, second = bus.subscribe("roomy", "g", durable=True), bus.subscribe("roomy", "g", durable=True)
        found: list[bytes] = []

        async def consume(reader: Subscription) -> None:
            while len(found) < 40:
                found.extend(values(batch := await reader.fetch(5)))
                await done_with(reader, batch)

        tasks = [asyncio.ensure_future(consume(reader)) for reader in (first, second)]
        for i in range(40):
            await bus.publish("roomy", f"k{i}", str(i).encode())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(map(int, found)) == list(range(40))

    async def test_compacted_topic_keeps_the_newest_per_key(self, bus: Bus) -> None:
        for key, value in (("a", b"1"), ("b", b"1"), ("a", b"2")):
            await bus.publish("newest", key, value)
        reader = bus.subscribe("newest", "g", from_start=True)
        newest: dict[str, bytes] = {}
        async with asyncio.timeout(PATIENCE):
            while newest != {"a": b"2", "b": b"1"}:
                newest.update({message.key: message.value for message in await reader.fetch()})

    async def test_safe_callbacks_come_in_order_and_reach_the_end(self, bus: Bus) -> None:
        told: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        bus.on_safe("roomy", lambda partition, offset: told.put_nowait((partition, offset)))
        reader = bus.subscribe("roomy", "g", durable=True)
        ends: dict[int, int] = {}
        for i in range(30):
            partition, offset = await bus.publish("roomy", f"k{i % 3}", b"")
            ends[partition] = offset
        await done_with(reader, await fetch_all(reader, 30))
        safe: dict[int, int] = {}
        async with asyncio.timeout(PATIENCE):
            while safe != ends:
                partition, offset = await told.get()
                assert offset > safe.get(partition, -1)
                safe[partition] = offset

    async def test_safe_callback_can_be_ended(self, bus: Bus) -> None:
        told: list[int] = []
        end = bus.on_safe("roomy", lambda _, offset: told.append(offset))
        end()
        reader = bus.subscribe("roomy", "g", durable=True)
        await bus.publish("roomy", "k", b"")
        await done_with(reader, await fetch_all(reader, 1))
        assert told == []

    async def test_fetch_after_close_says_closed(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g")
        await reader.close()
        await reader.close()
        with pytest.raises(BusError, match="closed"):
            await reader.fetch()

    async def test_closing_the_bus_wakes_everybody(self, bus: Bus) -> None:
        waiting = asyncio.ensure_future(bus.subscribe("roomy", "g").fetch())
        await asyncio.sleep(0)
        await bus.close()
        with pytest.raises(BusError, match="closed"):
            async with asyncio.timeout(PATIENCE):
                await waiting
        with pytest.raises(BusError, match="closed"):
            await bus.publish("roomy", "k", b"")


class BoundedBusSuite(BusSuite):
    """More, for a bus that keeps its messages in this process and so must bound them by ``Topic.size``."""

    async def test_publish_waits_for_a_durable_group_then_goes_on(self, bus: Bus) -> None:
        reader = bus.subscribe("plain", "g", durable=True)
        for i in range(PLAIN.size):
            await bus.publish("plain", "k", str(i).encode())
        waiting = asyncio.ensure_future(bus.publish("plain", "k", b"more"))
        await asyncio.sleep(0)
        assert not waiting.done()
        found = await fetch_all(reader, PLAIN.size)
        await asyncio.sleep(0)
        assert not waiting.done()
        await done_with(reader, found[:1])
        async with asyncio.timeout(PATIENCE):
            await waiting
        assert values(await fetch_all(reader, 1)) == [b"more"]

    async def test_many_waiting_publishers_all_get_in(self, bus: Bus) -> None:
        reader = bus.subscribe("plain", "g", durable=True)
        tasks = [asyncio.ensure_future(bus.publish("plain", "k", str(i).encode())) for i in range(5 * PLAIN.size)]
        found: list[Delivery] = []
        while len(found) < len(tasks):
            batch = await fetch_all(reader, 1)
            await done_with(reader, batch)
            found += batch
        await asyncio.gather(*tasks)
        assert sorted(map(int, values(found))) == list(range(len(tasks)))

    async def test_closing_wakes_a_waiting_publisher(self, bus: Bus) -> None:
        bus.subscribe("plain", "g", durable=True)
        tasks = [asyncio.ensure_future(bus.publish("plain", "k", b"")) for _ in range(PLAIN.size + 2)]
        await asyncio.sleep(0)
        await bus.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(result, BusError) for result in results) == 2

    async def test_slow_reader_loses_the_oldest_and_it_is_counted(self, bus: Bus) -> None:
        reader = bus.subscribe("plain", "slow")
        for i in range(PLAIN.size + 3):
            await bus.publish("plain", "k", str(i).encode())
        assert values(await fetch_all(reader, 1)) == [b"3"]
        assert bus.dropped() == {("plain", "slow"): 3}

    async def test_not_safe_before_the_slowest_durable_group_has_committed(self, bus: Bus) -> None:
        told: list[int] = []
        bus.on_safe("roomy", lambda _, offset: told.append(offset))
        one, two = bus.subscribe("roomy", "one", durable=True), bus.subscribe("roomy", "two", durable=True)
        for _ in range(4):
            await bus.publish("roomy", "k", b"")
        found = await fetch_all(one, 4)
        await done_with(one, found)
        assert told == []
        await done_with(two, (await fetch_all(two, 4))[:2])
        assert told == [found[1].offset]

    async def test_without_a_durable_group_what_is_published_is_safe(self, bus: Bus) -> None:
        told: list[int] = []
        bus.on_safe("roomy", lambda _, offset: told.append(offset))
        _, offset = await bus.publish("roomy", "k", b"")
        assert told == [offset]
