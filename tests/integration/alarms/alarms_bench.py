"""The engine on the real SQLite store and the real embedded bus; only the list of VMs is the test's own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mcisd.aio.clock import ManualClock
from mcisd.alarms.engine import Engine
from mcisd.alarms.ports import Member, Store
from mcisd.bus.memory import MemoryBus
from mcisd.model.alarms import AlarmRule, Channel, Message
from mcisd.model.records import Record
from mcisd.store.metadata import SqlStore, open_store
from tests.unit.alarms.alarms_kit import SCHEMA, START, frame, member, rule


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds: threads of the store take real time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.002)


class Vms:
    def __init__(self, *members: Member) -> None:
        self.now: list[Member] = list(members)

    async def members(self) -> Sequence[Member]:
        return self.now


class Bench:
    """One store, one bus, one engine that can be stopped and started again; it sees the store as ``seen_store``."""

    def __init__(self, store: SqlStore, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.seen_store: Store = store
        self.bus = MemoryBus()
        self.vms = Vms(member())
        self.woken = 0
        self.default_channels: tuple[str, ...] = ()
        self.engine = self._engine()
        self.task: asyncio.Task[None] | None = None

    @classmethod
    async def make(cls, folder: Path, *rules: AlarmRule) -> "Bench":
        clock = ManualClock(START)
        bench = cls(await open_store(f"sqlite:///{folder}/metadata.db", clock), clock)
        await bench.add(Channel(uid="ch-ops", name="ops", scheme="json"), *(rules or (rule(version=0),)))
        return bench

    def _engine(self) -> Engine:
        return Engine(
            bus=self.bus,
            store=self.seen_store,
            directory=self.vms,
            clock=self.clock,
            on_message=self._wake,
            default_channels=self.default_channels,
        )

    def _wake(self) -> None:
        self.woken += 1

    async def start(self) -> None:
        self.engine = self._engine()
        self.task = asyncio.create_task(self.engine.run())
        await self.bus.publish("schemas", "any", SCHEMA.to_json().encode())
        await until(lambda: self.engine.stats.partitions == 1 and self.engine.idle)
        await asyncio.sleep(0.01)

    async def kill(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def close(self) -> None:
        await self.kill()
        await self.bus.close()
        await self.store.close()

    async def add(self, *records: Record) -> None:
        async with self.store.transaction() as tx:
            for record in records:
                await tx.insert(record)

    async def send(self, cpu: float, vm: str = "vm-a") -> None:
        """One frame of the time it is now; then two seconds pass."""
        await self.bus.publish("metrics", vm, frame(vm, self.clock.now(), cpu))
        await asyncio.sleep(0.02)
        await until(lambda: self.engine.idle)
        await self.clock.advance(2.0)

    async def messages(self) -> list[Message]:
        async with self.store.reading() as tx:
            return await tx.find(Message)

    async def events(self) -> list[str]:
        return [event.type for event in await self.store.events_after(0, 1000)]
