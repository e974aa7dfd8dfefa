"""From the bus to the store on a clock that stands still: aggregator, writer, schemas and live table together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from mcisd.aio.clock import ManualClock
from mcisd.aio.queue import QueueClosedError
from mcisd.aio.retry import Backoff
from mcisd.bus.base import Delivery
from mcisd.bus.memory import MemoryBus
from mcisd.collectors import aggregate
from mcisd.collectors.aggregate import Aggregator
from mcisd.collectors.identities import IdentityBook
from mcisd.collectors.live import LiveTable
from mcisd.collectors.ports import FrameBus
from mcisd.collectors.schemas import SchemaBook
from mcisd.collectors.windows import WindowBlock
from mcisd.collectors.writer import Writer
from mcisd.model.errors import StoreError
from mcisd.model.identity import NOBODY, Identity
from mcisd.model.samples import FIRST, Column, Schema, pack_frame

SCHEMA = Schema.of((Column("cpu", "usage", (), "g"),))
START = 1_700_000_000


class ListStore:
    """A store in memory that refuses while it is told to."""

    def __init__(self) -> None:
        self.refuse = False
        self.hang = False
        self.identities: dict[str, Identity] = {}
        self.counts: dict[tuple[str, int], int] = {}

    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        if self.refuse:
            raise StoreError("refused on command")
        if self.hang:
            await asyncio.Event().wait()
        self.identities.update(identities)
        for block in blocks:
            for row, vm in enumerate(block.vms):
                self.counts[vm, int(block.starts_ms[row]) // 1000 - START] = int(block.count[row, 0])
        return sum(len(block.vms) for block in blocks)


@dataclass
class Path:
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    bus: MemoryBus = field(default_factory=MemoryBus)
    store: ListStore = field(default_factory=ListStore)
    safe: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        bus: FrameBus = self.bus
        self.schemas = SchemaBook(bus, "test")
        backoff = Backoff(1.0, 1.0)
        self.writer = Writer(store=self.store, schemas=self.schemas.known, clock=self.clock, backoff=backoff)
        self.aggregator = Aggregator(bus=bus, writer=self.writer, clock=self.clock)
        self.live = LiveTable(self.schemas.known)
        self.windows: dict[str, int] = {}
        self.bus.on_safe("metrics", lambda _, offset: self.safe.append(offset))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.aggregator.join()
        bodies = (self.schemas.run(), self.writer.run(), self.aggregator.run(), self.live.run(self.bus))
        tasks = [asyncio.ensure_future(body) for body in bodies]
        await self.clock.advance(0)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)

    async def say_schema(self) -> None:
        await self.bus.publish("schemas", SCHEMA.key.hex(), SCHEMA.to_json().encode())

    async def send(self, seq: int, at: float, vm: str = "vm", value: float = 1.0) -> None:
        columns, window = np.array([value], "<f8").tobytes(), int((START + at) // 10)
        flags = FIRST if self.windows.get(vm) != window else 0
        self.windows[vm] = window
        frame = pack_frame(vm, SCHEMA.key, seq, int((START + at) * 1000), flags, columns)
        await self.bus.publish("metrics", vm, frame)

    async def live_frames(self, first: int, last: int) -> None:
        """A frame each two seconds, as time goes by."""
        for seq in range(first, last + 1):
            await self.send(seq, self.clock.now() - START)
            await self.clock.advance(2)


@pytest.fixture
async def path() -> Path:
    path = Path()
    await path.say_schema()
    return path


async def test_windows_are_written_two_seconds_after_their_end_and_then_committed(path: Path) -> None:
    async with path.running():
        await path.live_frames(1, 6)
        assert path.store.counts == {("vm", 0): 5}
        assert path.safe == [4]
        await path.live_frames(7, 11)
        assert path.store.counts == {("vm", 0): 5, ("vm", 10): 5}


async def test_store_that_refuses_loses_nothing(path: Path) -> None:
    path.store.refuse = True
    async with path.running():
        await path.live_frames(1, 16)
        assert path.store.counts == {}
        assert path.safe == []
        path.store.refuse = False
        await path.clock.advance(3)
        assert path.store.counts == {("vm", 0): 5, ("vm", 10): 5, ("vm", 20): 5}
    assert path.writer.stats.failures > 2


async def test_late_frames_complete_their_windows(path: Path) -> None:
    async with path.running():
        await path.live_frames(1, 3)
        await path.clock.advance(60)
        assert path.store.counts == {("vm", 0): 3}
        for seq, at in ((4, 6.0), (5, 8.0), (6, 10.0), (7, 12.0)):
            await path.send(seq, at)
        await path.clock.advance(5)
        assert path.store.counts == {("vm", 0): 5, ("vm", 10): 2}


async def test_aggregator_that_is_started_again_goes_on_with_what_it_had(path: Path) -> None:
    async with path.running():
        await path.live_frames(1, 3)
    async with path.running():
        await path.live_frames(4, 6)
    assert path.store.counts == {("vm", 0): 5}
    assert path.aggregator.stats.duplicates == 3


async def test_what_is_unfinished_is_written_at_the_end(path: Path) -> None:
    async with path.running():
        await path.live_frames(1, 2)
        draining = asyncio.ensure_future(path.aggregator.drain())
        await path.clock.advance(1)
        await draining
        assert path.store.counts == {("vm", 0): 2}


async def test_drain_keeps_a_batch_that_could_not_be_handed_over(path: Path) -> None:
    """The store refuses until the writer's queue is full; stopped in the middle, nothing is forgotten."""
    path.store.refuse = True
    async with path.running():
        await path.live_frames(1, 50)
    path.store.refuse = False
    async with path.running():
        draining = asyncio.ensure_future(path.aggregator.drain())
        await path.clock.advance(10)
        await draining
    assert path.store.counts == {("vm", start): 5 for start in range(0, 100, 10)}


async def test_schema_that_comes_late_is_waited_for_and_one_that_never_comes_is_counted() -> None:
    path = Path()
    async with path.running():
        await path.live_frames(1, 6)
        assert path.store.counts == {}
        await path.say_schema()
        await path.clock.advance(1)
        assert path.store.counts == {("vm", 0): 5}
    other = Path()
    async with other.running():
        await other.live_frames(1, 6)
        await other.clock.advance(30)
        assert other.store.counts == {}
        assert other.writer.stats.unknown_schema == 6
        assert other.safe[-1] == 5


async def test_what_is_no_frame_is_counted_and_passed_over(path: Path) -> None:
    async with path.running():
        await path.bus.publish("metrics", "vm", b"rubbish")
        await path.bus.publish("schemas", "00", b"rubbish")
        await path.live_frames(1, 6)
        assert path.store.counts == {("vm", 0): 5}
        assert path.aggregator.stats.bad_frames == 1


async def test_many_unfinished_frames_stop_the_reading() -> None:
    path = Path()
    path.aggregator = Aggregator(bus=path.bus, writer=path.writer, clock=path.clock, most_frames=5)
    await path.say_schema()
    path.store.refuse = True
    async with path.running():
        for seq in range(1, 4_001):
            await path.send(seq, seq * 10.0 - 50_000)
            if seq % 100 == 0:
                await path.clock.advance(0)
        assert path.aggregator.stats.frames < 4_000
        path.store.refuse = False
        await path.clock.advance(60)
    assert path.store.counts == {("vm", seq * 10 - 50_000): 1 for seq in range(1, 4_001)}


async def test_live_table_gives_the_last_frame_and_feeds(path: Path) -> None:
    async with path.running():
        assert path.live.last("vm") is None
        feed = path.live.subscribe(["vm"])
        await path.send(1, 0.0, value=3.0)
        await path.send(1, 0.0, vm="other")
        await path.clock.advance(0)
        newest = path.live.last("vm")
        assert newest is not None
        assert (newest.vm, newest.seq, newest.schema, newest.values.tolist()) == ("vm", 1, SCHEMA, [3.0])
        assert [frame.vm for frame in await feed.get_many(10)] == ["vm"]
        path.live.unsubscribe(feed)
        await path.send(2, 2.0)
        await path.clock.advance(0)
        with pytest.raises(QueueClosedError):
            await feed.get()
        path.live.forget("vm")
        assert path.live.last("vm") is None


async def test_slow_feed_loses_the_oldest_and_counts(path: Path) -> None:
    async with path.running():
        feed = path.live.subscribe(["vm"])
        for seq in range(1, feed.size + 4):
            await path.send(seq, seq * 2.0)
        await path.clock.advance(0)
        assert feed.dropped == 3
        assert (await feed.get()).seq == 4


async def test_frames_that_come_again_or_late_do_not_take_the_newest_back(path: Path) -> None:
    async with path.running():
        feed = path.live.subscribe(["vm"])
        for seq, at in ((5, 8.0), (3, 4.0), (5, 8.0), (6, 8.0), (7, 10.0)):
            await path.send(seq, at)
        await path.clock.advance(0)
        assert [frame.seq for frame in await feed.get_many(10)] == [5, 6, 7]


async def test_windows_bear_their_names_and_wait_for_them_a_while() -> None:
    path = Path()
    identities = IdentityBook(path.bus, "test")
    path.writer = Writer(
        store=path.store,
        schemas=path.schemas.known,
        identities=identities.known,
        clock=path.clock,
        backoff=Backoff(1, 1),
    )
    path.aggregator = Aggregator(bus=path.bus, writer=path.writer, clock=path.clock)
    await path.say_schema()
    following = asyncio.ensure_future(identities.run())
    async with path.running():
        await path.bus.publish("identities", "vm", b"rubbish")
        await path.live_frames(1, 6)
        assert path.store.counts == {}
        one = Identity("vm", "h1", "ns", "shop", region="r")
        await path.bus.publish("identities", "vm", one.to_json().encode())
        await path.clock.advance(1)
        assert (path.store.counts, path.store.identities) == ({("vm", 0): 5}, {"vm": one})
        await path.send(1, 20.0, vm="nameless")
        await path.clock.advance(30)
        assert path.store.counts["nameless", 20] == 1
        assert path.writer.stats.unknown_identity == 1
        identities.learn(Delivery("identities", 0, 9, "vm", b""))
        assert "vm" not in identities.known
    following.cancel()
    assert isinstance((await asyncio.gather(following, return_exceptions=True))[0], asyncio.CancelledError)


class Shared(Path):
    """On a bus that others may share."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.aggregator = Aggregator(bus=self.bus, writer=self.writer, clock=self.clock, shared=True)


async def test_one_that_takes_over_sees_all_that_was_not_final() -> None:
    path = Shared()
    await path.say_schema()
    async with path.running():
        await path.live_frames(1, 8)
        assert path.store.counts == {("vm", 0): 5}
    assert path.aggregator._book.unwritten == 0
    path.aggregator = _another(path)
    async with path.running():
        await path.live_frames(9, 11)
    assert path.store.counts == {("vm", 0): 5, ("vm", 10): 5}
    assert path.aggregator.stats.resumed == 0


def _another(path: Path) -> Aggregator:
    return Aggregator(bus=path.bus, writer=path.writer, clock=path.clock, shared=True)


async def test_what_is_being_written_of_a_lost_partition_is_cut_off_in_time() -> None:
    path = Shared()
    await path.say_schema()
    path.store.hang = True
    async with path.running():
        await path.live_frames(1, 7)
        began = asyncio.get_running_loop().time()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aggregate, "LOST_S", 0.1)
            await path.aggregator.lost(frozenset({0}))
        assert asyncio.get_running_loop().time() - began < 2
        path.store.hang = False
        await path.clock.advance(20)
        assert path.store.counts == {}
        assert path.writer.idle
        assert path.writer.stats.given_up == 1
        assert path.safe == []
