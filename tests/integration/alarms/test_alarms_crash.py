"""The engine dropped at each of its awaits in turn, then started anew: every episode has one firing and one resolved.

The store is the real one. The bus is emulated: a log that outlives the engine and goes on behind the last commit, as a
bus of its own would. Dropping is done at the ports: the call that is reached, and all after it, never return, and the
engine is discarded; an open transaction is rolled back, as the database does when its client dies.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.alarms.engine import Engine
from mcisd.alarms.ports import Feed, Handover
from mcisd.bus.base import Delivery
from mcisd.model.alarms import AlarmRule, AlarmState, Channel, Message
from mcisd.store.metadata import SqlStore, open_store
from tests.integration.alarms.alarms_bench import Vms
from tests.integration.alarms.alarms_bomb import Bomb, BombedStore
from tests.unit.alarms.alarms_bus import LogBus, LogFeed
from tests.unit.alarms.alarms_kit import SCHEMA, START, frame, member, rule

SAMPLES = (10, 90, 90, 90, 75, 60, 85, 20, 95, 96, 97, 98, 30)
PENDING, FIRING, RESOLVED, CLEARED = "alarm.pending", "alarm.firing", "alarm.resolved", "alarm.cleared"
KINDS = [PENDING, FIRING, RESOLVED, PENDING, CLEARED, PENDING, FIRING, RESOLVED]


class BombedFeed:
    """Stops before each fetch and around each commit; the feed of a process that is dead vanishes without a word."""

    def __init__(self, inner: LogFeed, bomb: Bomb, calm: Callable[[], bool]) -> None:
        self.inner, self._bomb, self._calm = inner, bomb, calm

    async def fetch(self, most: int = 1000) -> Sequence[Delivery]:
        await self._bomb.pass_by()
        # Frames come one by one, each when the engine is done with the one before: each change is a transaction.
        while self.inner.log.name == "metrics" and not self._calm():  # noqa: ASYNC110 - there is no event of this
            await asyncio.sleep(0.001)
        return await self.inner.fetch(most)

    async def commit(self, positions: dict[int, int]) -> None:
        await self._bomb.pass_by()
        await self.inner.commit(positions)
        await self._bomb.pass_by()

    async def close(self) -> None:
        if self._bomb.hit.is_set():
            self.inner.vanish()
        else:
            await self.inner.close()


class BombedBus:
    def __init__(self, inner: LogBus, bomb: Bomb) -> None:
        self._inner, self._bomb = inner, bomb
        self.partition_of = inner.partition_of
        self.feeds: list[BombedFeed] = []
        self.calm: Callable[[], bool] = lambda: True

    async def publish_all(
        self, topic: str, messages: Sequence[tuple[str, bytes, Mapping[str, str]]]
    ) -> list[tuple[int, int]]:
        await self._bomb.pass_by()
        places = await self._inner.publish_all(topic, messages)
        await self._bomb.pass_by()
        return places

    def subscribe(
        self,
        topic: str,
        group: str,
        *,
        durable: bool = False,
        from_start: bool = False,
        handover: Handover | None = None,
        look_back: Callable[[], float] | None = None,
    ) -> Feed:
        return self._bombed(self._inner.subscribe(topic, group, handover=handover, look_back=look_back))

    def follow(self, topic: str, reader: str, *, from_start: bool = False) -> Feed:
        return self._bombed(self._inner.follow(topic, reader))

    def _bombed(self, feed: LogFeed) -> BombedFeed:
        self.feeds.append(BombedFeed(feed, self._bomb, lambda: self.calm()))
        return self.feeds[-1]

    @property
    def read_out(self) -> bool:
        """All there is was read by this process, which owns everything."""
        inner = [feed.inner for feed in self.feeds]
        return len(inner) == 3 and all(one.positions and one.read_out for one in inner)


class World:
    """What a crash leaves standing."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.bus = LogBus(partitions=1, limit=1)
        self.bus.put("schemas", "any", SCHEMA.to_json().encode())
        for i, cpu in enumerate(SAMPLES):
            self.bus.put("metrics", "vm-a", frame("vm-a", START + 2 * i, cpu))

    async def live(self, at: int) -> Bomb:
        """One life of the engine: until all is done, or until it is dropped at await number ``at``."""
        bomb, clock = Bomb(at), ManualClock(START + 600)
        bus = BombedBus(self.bus, bomb)
        engine = Engine(
            bus=bus,
            store=BombedStore(self.store, bomb),
            directory=Vms(member()),
            clock=clock,
            on_message=lambda: None,
        )
        bus.calm = lambda: engine.idle
        task = asyncio.create_task(engine.run())
        end = time.monotonic() + 10
        while not (bomb.hit.is_set() or task.done() or (bus.read_out and engine.idle)):
            assert time.monotonic() < end, "waited in vain"
            await clock.advance(0.1)
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return bomb

    async def check(self) -> None:
        async with self.store.reading() as tx:
            messages, states = await tx.find(Message), await tx.find(AlarmState)
        episodes = list(dict.fromkeys(message.uid.partition(":")[0] for message in messages))
        assert [m.uid for m in sorted(messages, key=lambda m: m.uid)] == sorted(
            f"{episode}:{kind}:ops" for episode in episodes for kind in ("firing", "resolved")
        )
        assert len(episodes) == 2
        assert [event.type for event in await self.store.events_after(0, 100)] == KINDS
        assert [state.phase.value for state in states] == ["ok"]


@pytest.fixture
async def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.db"
    store = await open_store(f"sqlite:///{path}", ManualClock(START))
    async with store.transaction() as tx:
        await tx.insert(Channel(uid="ch-ops", name="ops", scheme="json"))
        await tx.insert(rule(version=0, for_s=4.0, recovery=70.0))
        assert await tx.count(AlarmRule) == 1
    await store.close()
    return path


async def run_world(template: Path, at: int, again: int) -> bool:
    """Drop the engine at ``at``, its successor at ``again``, let the third finish; False if ``at`` is never reached."""
    path = template.with_name(f"{at}.db")
    shutil.copy(template, path)
    store = await open_store(f"sqlite:///{path}", ManualClock(START), auto_upgrade=False)
    try:
        world = World(store)
        first = await world.live(at)
        if first.hit.is_set():
            await world.live(again)
            await world.live(0)
        await asyncio.wait_for(world.check(), 5)
        return first.hit.is_set()
    finally:
        await store.close()
        path.unlink()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_dropped_at_any_await_each_episode_is_told_once(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcisd.alarms.consumer.LOST_S", 0.2)  # where it is dropped while it hands over, that is waited
    at = 1
    while await run_world(template, at, again=at % 37 + 3):
        at += 1
    assert at > 60, "the sweep covered every await of the run"
