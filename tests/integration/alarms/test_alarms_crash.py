"""The engine dropped at each of its awaits in turn, then started anew: every episode has one firing and one resolved.

The store is the real one. The bus is emulated: a log that outlives the engine and goes on behind the last commit, as a
bus of its own would. Dropping is done at the ports: the call that is reached never returns and the engine is discarded;
an open transaction is rolled back, as the database does when its client dies.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.alarms.engine import Engine
from mcisd.alarms.ports import Feed, Store, Transaction
from mcisd.bus.base import Delivery
from mcisd.model.alarms import AlarmRule, AlarmState, Channel, Message
from mcisd.store.metadata import SqlStore, open_store
from tests.integration.alarms.alarms_bench import Vms, until
from tests.unit.alarms.alarms_kit import SCHEMA, START, frame, member, rule

SAMPLES = (10, 90, 90, 90, 75, 60, 85, 20, 95, 96, 97, 98, 30)
PENDING, FIRING, RESOLVED, CLEARED = "alarm.pending", "alarm.firing", "alarm.resolved", "alarm.cleared"
KINDS = [PENDING, FIRING, RESOLVED, PENDING, CLEARED, PENDING, FIRING, RESOLVED]


@dataclass
class Bomb:
    """Counts awaits; the one numbered ``at`` never returns."""

    at: int
    count: int = 0
    hit: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_by(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.hit.set()
            await asyncio.Event().wait()


class BombedTransaction:
    def __init__(self, inner: Transaction, bomb: Bomb) -> None:
        self._inner, self._bomb = inner, bomb

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*args: Any, **more: Any) -> Any:
            await self._bomb.pass_by()
            return await method(*args, **more)

        return call


class BombedStore:
    """Stops before and after the beginning, each call and the commit."""

    def __init__(self, inner: Store, bomb: Bomb) -> None:
        self._inner, self._bomb = inner, bomb

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._wrap(self._inner.transaction())

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._wrap(self._inner.reading())

    @asynccontextmanager
    async def _wrap(self, inner: AbstractAsyncContextManager[Transaction]) -> AsyncIterator[Transaction]:
        await self._bomb.pass_by()
        async with inner as tx:
            yield BombedTransaction(tx, self._bomb)
            await self._bomb.pass_by()
        await self._bomb.pass_by()


@dataclass
class Log:
    """What outlives the engine of one topic."""

    values: list[bytes]
    committed: int = -1
    read_out: bool = False


class LogFeed:
    def __init__(self, log: Log, bomb: Bomb, from_start: bool) -> None:
        self._log, self._bomb = log, bomb
        self._next = 0 if from_start else log.committed + 1

    async def fetch(self, most: int = 1000) -> Sequence[Delivery]:
        await self._bomb.pass_by()
        if self._next == len(self._log.values):
            self._log.read_out = True
            await asyncio.Event().wait()
        self._next += 1
        return [Delivery("any", 0, self._next - 1, "vm-a", self._log.values[self._next - 1])]

    async def commit(self, positions: dict[int, int]) -> None:
        await self._bomb.pass_by()
        self._log.committed = max(self._log.committed, *positions.values())
        await self._bomb.pass_by()

    async def close(self) -> None:
        return None


class LogBus:
    def __init__(self, bomb: Bomb, logs: dict[str, Log]) -> None:
        self._bomb, self._logs = bomb, logs

    def subscribe(self, topic: str, group: str, *, durable: bool = False, from_start: bool = False) -> Feed:
        return LogFeed(self._logs[topic], self._bomb, from_start)


class World:
    """What a crash leaves standing."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        values = [frame("vm-a", START + 2 * i, cpu) for i, cpu in enumerate(SAMPLES)]
        self.logs = {"schemas": Log([SCHEMA.to_json().encode()]), "metrics": Log(values)}

    async def live(self, at: int) -> Bomb:
        """One life of the engine: until all is done, or until it is dropped at await number ``at``."""
        bomb = Bomb(at)
        self.logs["metrics"].read_out = False
        engine = Engine(
            bus=LogBus(bomb, self.logs),
            store=BombedStore(self.store, bomb),
            directory=Vms(member()),
            clock=ManualClock(START + 600),
            on_message=lambda: None,
        )
        task = asyncio.create_task(engine.run())
        await until(lambda: bomb.hit.is_set() or self._done(engine) or task.done())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return bomb

    def _done(self, engine: Engine) -> bool:
        return engine.idle and self.logs["metrics"].read_out

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
async def test_dropped_at_any_await_each_episode_is_told_once(template: Path) -> None:
    at = 1
    while await run_world(template, at, again=at % 37 + 3):
        at += 1
    assert at > 80, "the sweep covered every await of the run"
