"""More that every bus must do: groups whose consumers come and go, followers, looking back, lag.

``Worker`` is a consumer as the daemon's are: it works through messages, commits now and then, and when its partitions
go it commits what it has finished and forgets the rest.
"""

import asyncio
from collections.abc import Callable

import pytest

from mcisd.bus.base import Bus, Outgoing
from mcisd.model.errors import BusError, InputError
from tests.conformance.bus_suite import PATIENCE, BusSuite, done_with, fetch_all, values


class Owners:
    """Who has which partition, and what came of it."""

    def __init__(self) -> None:
        self.partitions: dict[int, str] = {}
        self.done: list[bytes] = []


class Worker:
    """A consumer that is its own handover. ``story`` is what happened to it: gained, lost."""

    def __init__(self, bus: Bus, owners: Owners, name: str, topic: str = "roomy", every: int = 3) -> None:
        self.story: list[str] = []
        self._owners = owners
        self._name = name
        self._every = every
        self._position: dict[int, int] = {}
        self.subscription = bus.subscribe(topic, "workers", durable=True, handover=self)
        self._task = asyncio.ensure_future(self._work())

    async def gained(self, partitions: frozenset[int]) -> None:
        taken = {number: owner for number, owner in self._owners.partitions.items() if number in partitions}
        assert not taken, f"{self._name} gets what others have: {taken}"
        self._owners.partitions.update(dict.fromkeys(partitions, self._name))
        self.story.append("gained")

    async def lost(self, partitions: frozenset[int]) -> None:
        await self.subscription.commit(self._position)
        self._position.clear()
        for number in partitions:
            assert self._owners.partitions.pop(number) == self._name
        self.story.append("lost")

    async def close(self) -> None:
        await self.subscription.close()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        batches = 0
        while True:
            for message in await self.subscription.fetch(7):
                assert self._owners.partitions[message.partition] == self._name
                self._owners.done.append(message.value)
                self._position[message.partition] = message.offset
            batches += 1
            if batches % self._every == 0:
                await self.subscription.commit(dict(self._position))
            await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, with a bound."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what holds rings no bell
            await asyncio.sleep(0.01)


def numbered(begin: int, end: int, keys: int = 30) -> list[Outgoing]:
    return [(f"k{i % keys}", str(i).encode(), {}) for i in range(begin, end)]


class GroupSuite(BusSuite):
    """Inherit this for all that ``BusSuite`` has, and groups."""

    async def test_publish_all_keeps_order_and_tells_places(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g")
        messages = numbered(0, 500, keys=9)
        places = await bus.publish_all("roomy", messages)
        found = await fetch_all(reader, 500)
        at = {(message.partition, message.offset): (message.key, message.value) for message in found}
        assert [at[place] for place in places] == [(key, value) for key, value, _ in messages]
        last: dict[int, int] = {}
        for message in found:
            assert message.offset > last.get(message.partition, -1)
            last[message.partition] = message.offset

    async def test_publish_all_of_nothing(self, bus: Bus) -> None:
        assert await bus.publish_all("roomy", []) == []

    async def test_publishes_at_once_keep_the_order_of_the_calls(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g")
        await asyncio.gather(*(bus.publish("roomy", "k", str(i).encode()) for i in range(200)))
        assert list(map(int, values(await fetch_all(reader, 200)))) == list(range(200))

    async def test_partition_of_is_where_messages_go(self, bus: Bus) -> None:
        for key in ("a", "b", "vm-17", "ü", ""):
            partition, _ = await bus.publish("roomy", key, b"x")
            assert bus.partition_of("roomy", key) == partition

    async def test_unknown_topic_is_named(self, bus: Bus) -> None:
        with pytest.raises(InputError, match="nonesuch"):
            await bus.publish("nonesuch", "k", b"")
        with pytest.raises(InputError, match="nonesuch"):
            bus.subscribe("nonesuch", "g")
        with pytest.raises(InputError, match="nonesuch"):
            bus.partition_of("nonesuch", "k")

    async def test_check_says_what_it_is(self, bus: Bus) -> None:
        assert "4 topics" in await bus.check()

    # --- followers

    async def test_followers_each_read_everything_from_now_on(self, bus: Bus) -> None:
        await bus.publish("roomy", "k", b"before")
        one, two = bus.follow("roomy", "screen"), bus.follow("roomy", "screen")
        sent = numbered(0, 40)
        await bus.publish_all("roomy", sent)
        for follower in (one, two):
            assert sorted(map(int, values(await fetch_all(follower, 40)))) == list(range(40))

    async def test_follower_from_start_reads_what_is_kept_whoever_else_has(self, bus: Bus) -> None:
        await bus.publish_all("roomy", numbered(0, 20))
        follower = bus.follow("roomy", "late", from_start=True)
        await bus.publish_all("roomy", numbered(20, 30))
        assert sorted(map(int, values(await fetch_all(follower, 30)))) == list(range(30))

    async def test_follower_commits_nothing(self, bus: Bus) -> None:
        follower = bus.follow("single", "f", from_start=True)
        await bus.publish("single", "k", b"a")
        await done_with(follower, await fetch_all(follower, 1))
        await follower.close()
        assert values(await fetch_all(bus.follow("single", "f", from_start=True), 1)) == [b"a"]
        with pytest.raises(BusError, match="closed"):
            await follower.fetch()

    async def test_tombstones_are_not_delivered(self, bus: Bus) -> None:
        for key, value in (("a", b"1"), ("b", b"1"), ("a", b""), ("c", b"1")):
            await bus.publish("newest", key, value)
        reader = bus.follow("newest", "f", from_start=True)
        found: dict[str, bytes] = {}
        async with asyncio.timeout(PATIENCE):
            while "c" not in found:
                found.update({message.key: message.value for message in await reader.fetch()})
        assert found["b"] == b"1"
        assert b"" not in found.values()

    # --- coming and going

    async def test_first_consumer_gains_before_it_reads(self, bus: Bus) -> None:
        owners = Owners()
        worker = Worker(bus, owners, "one")
        await bus.publish_all("roomy", numbered(0, 60))
        await until(lambda: len(owners.done) == 60)
        assert worker.story == ["gained"]
        await worker.close()
        assert worker.story == ["gained", "lost"]
        assert owners.partitions == {}

    async def test_takeover_neither_loses_nor_repeats(self, bus: Bus) -> None:
        owners = Owners()
        one = Worker(bus, owners, "one")
        await bus.publish_all("roomy", numbered(0, 100))
        await until(lambda: len(owners.done) >= 50)
        two = Worker(bus, owners, "two")
        await bus.publish_all("roomy", numbered(100, 200))
        await until(lambda: len(owners.done) == 200)
        await one.close()
        await bus.publish_all("roomy", numbered(200, 300))
        await until(lambda: len(owners.done) == 300)
        assert sorted(map(int, owners.done)) == list(range(300))
        await two.close()
        for worker in (one, two):
            assert worker.story == ["gained", "lost"] * (len(worker.story) // 2)

    async def test_after_a_takeover_the_order_of_a_key_goes_on(self, bus: Bus) -> None:
        owners = Owners()
        one, two = Worker(bus, owners, "one"), Worker(bus, owners, "two")
        await bus.publish_all("roomy", numbered(0, 60, keys=1))
        await until(lambda: len(owners.done) == 60)
        await one.close()
        await bus.publish_all("roomy", numbered(60, 120, keys=1))
        await until(lambda: len(owners.done) == 120)
        assert list(map(int, owners.done)) == list(range(120))
        await two.close()

    async def test_confirm_while_open_whether_something_is_ours_or_not(self, bus: Bus) -> None:
        reader, follower = bus.subscribe("single", "g", durable=True), bus.follow("single", "f")
        await bus.publish("single", "k", b"a")
        await done_with(reader, await fetch_all(reader, 1))
        assert await reader.confirm()
        standby = bus.subscribe("single", "g", durable=True)
        assert await standby.confirm()
        assert await follower.confirm()
        await reader.close()
        assert not await reader.confirm()
        await bus.publish("single", "k", b"b")
        assert values(await fetch_all(standby, 1)) == [b"b"]
        assert await standby.confirm()
        await follower.close()
        assert not await follower.confirm()

    async def test_confirm_changes_no_position(self, bus: Bus) -> None:
        reader = bus.subscribe("single", "g", durable=True, from_start=True)
        await bus.publish_all("single", numbered(0, 6))
        found = await fetch_all(reader, 6)
        await done_with(reader, found[:4])
        assert await reader.confirm()
        await reader.close()
        assert values(await fetch_all(bus.subscribe("single", "g", durable=True), 2)) == values(found[4:])

    async def test_commit_for_partitions_of_others_is_left_out(self, bus: Bus) -> None:
        reader = bus.subscribe("single", "g", durable=True)
        await bus.publish_all("single", numbered(0, 3))
        found = await fetch_all(reader, 3)
        standby = bus.subscribe("single", "g", durable=True)
        await standby.commit({99: 5})
        await reader.commit({99: 5})
        await standby.close()
        with pytest.raises(BusError, match="closed"):
            await standby.commit({0: found[-1].offset})
        await reader.close()
        assert values(await fetch_all(bus.subscribe("single", "g", durable=True), 3)) == values(found)

    async def test_known_group_goes_on_where_it_was_even_from_start(self, bus: Bus) -> None:
        await bus.publish("single", "k", b"old")
        await bus.subscribe("single", "g", durable=True).close()
        await bus.publish("single", "k", b"new")
        assert values(await fetch_all(bus.subscribe("single", "g", durable=True, from_start=True), 1)) == [b"new"]

    async def test_look_back_marks_what_comes_again(self, bus: Bus) -> None:
        reader = bus.subscribe("single", "g")
        await bus.publish_all("single", numbered(0, 5))
        await done_with(reader, await fetch_all(reader, 5))
        await reader.close()
        await bus.publish_all("single", numbered(5, 8))
        again = await fetch_all(bus.subscribe("single", "g", look_back=lambda: 3_600.0), 8)
        assert [(int(message.value), message.again) for message in again] == [(i, i < 5) for i in range(8)]

    async def test_without_look_back_nothing_comes_again(self, bus: Bus) -> None:
        reader = bus.subscribe("single", "g")
        await bus.publish_all("single", numbered(0, 5))
        await done_with(reader, await fetch_all(reader, 5))
        await reader.close()
        await bus.publish("single", "k", b"5")
        (message,) = await fetch_all(bus.subscribe("single", "g"), 1)
        assert (message.value, message.again) == (b"5", False)

    # --- telling

    async def test_lag_is_what_is_not_done_with(self, bus: Bus) -> None:
        reader = bus.subscribe("single", "g", durable=True)
        follower = bus.follow("single", "f")
        await bus.publish_all("single", numbered(0, 10))
        found = await fetch_all(reader, 10)
        await fetch_all(follower, 4)
        await done_with(reader, found[:7])
        await until(lambda: bus.lag() == {("single", "g"): 3, ("single", "f"): 6})
        await done_with(reader, found)
        await until(lambda: bus.lag()["single", "g"] == 0)

    async def test_nothing_is_dropped_where_readers_keep_up(self, bus: Bus) -> None:
        reader = bus.subscribe("roomy", "g")
        await bus.publish_all("roomy", numbered(0, 50))
        await fetch_all(reader, 50)
        assert bus.dropped() == {}

    async def test_a_reader_that_closed_has_no_lag(self, bus: Bus) -> None:
        follower = bus.follow("single", "f")
        await follower.close()
        assert bus.lag() == {}
