"""Engines come, go, die and stand still at random while frames flow: each episode is told once, nothing stays wrong.

Bus and store are emulated (tests/unit/alarms), so that many runs take little time; the engines are real.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.alarms.engine import Engine
from mcisd.alarms.judge import Judge
from mcisd.alarms.ports import Handover, Transaction
from mcisd.model.alarms import Aggregation, AlarmPhase, Channel, RuleLevel
from mcisd.model.records import Record
from tests.integration.alarms.alarms_bench import Vms
from tests.unit.alarms.alarms_bus import LogBus, LogFeed
from tests.unit.alarms.alarms_checks import check_events, check_messages, stored
from tests.unit.alarms.alarms_kit import SCHEMA, START, frame, member, rule
from tests.unit.alarms.alarms_store import MemoryStore

VMS = "abcd"
MEMBERS = [member(name) for name in VMS]
RULES = [
    rule(uid="al-now", name="now", recovery=70.0),
    rule(uid="al-hold", name="hold", recovery=70.0, for_s=4.0),
    rule(uid="al-avg", name="avg", window_s=6.0, aggregation=Aggregation.AVG, threshold=70.0),
    rule(uid="al-all", name="all", level=RuleLevel.MCIS, aggregation=Aggregation.AVG, threshold=60.0),
    rule(uid="al-nod", name="silent", no_data_s=9.0),
]
BOTH = (("metrics", "alarms"), ("groups", "alarms-groups"))


class Seat(LogBus):
    """The bus as one engine has it; its feeds are known."""

    def __init__(self, shared: LogBus) -> None:
        super().__init__()
        self.logs, self.limit = shared.logs, shared.limit
        self.feeds: list[LogFeed] = []

    def subscribe(
        self,
        topic: str,
        group: str,
        *,
        durable: bool = False,
        from_start: bool = False,
        handover: Handover | None = None,
        look_back: Callable[[], float] | None = None,
    ) -> LogFeed:
        self.feeds.append(super().subscribe(topic, group, handover=handover, look_back=look_back))
        return self.feeds[-1]


class SlowStore:
    """The shared store as one engine has it: now and then its writes take seconds, while others write."""

    def __init__(self, store: MemoryStore, clock: ManualClock, rng: Random) -> None:
        self._store, self._clock, self._rng = store, clock, rng
        self.reading = store.reading

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        await self._clock.sleep(self._rng.choice([0.0, 0.0, 1.0, 5.0]))
        async with self._store.transaction() as tx:
            yield tx


class Churn:
    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.clock, self.store = ManualClock(START), MemoryStore()
        self.bus = LogBus(partitions=2, limit=self.rng.choice([1, 3, 100]))
        self.bus.put("schemas", "any", SCHEMA.to_json().encode())
        self.running: list[tuple[Seat, Engine, asyncio.Task[None]]] = []
        self.sent: list[bytes] = []

    async def begin(self) -> None:
        async with self.store.transaction() as tx:
            await tx.insert_all([Channel(uid="ch-ops", name="ops", scheme="json")])
            records: Sequence[Record] = RULES
            await tx.insert_all(records)

    def start(self) -> None:
        seat, vms, store = Seat(self.bus), Vms(*MEMBERS), SlowStore(self.store, self.clock, self.rng)
        engine = Engine(bus=seat, store=store, directory=vms, clock=self.clock, on_message=lambda: None)
        self.running.append((seat, engine, asyncio.create_task(engine.run())))

    async def stop(self, *, kill: bool = False) -> None:
        """In good order, or without a word; the bus then gives what it had to others."""
        seat, _, task = self.running.pop(self.rng.randrange(len(self.running)))
        for feed in seat.feeds if kill else ():
            feed.vanish()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.bus.fill()

    async def move(self, *, seize: bool) -> None:
        topic, group = self.rng.choice(BOTH)
        readers = self.bus.logs[topic].readers.get(group)
        if readers:
            partition, to = self.rng.randrange(2), self.rng.choice(readers)
            if seize:
                self.bus.seize(topic, group, partition, to)
            elif partition not in to.lease:
                await self.bus.hand_over(topic, group, partition, to)

    def send(self, values: Sequence[float] = (10.0, 65.0, 75.0, 85.0, 97.0), chance: float = 0.8) -> None:
        for vm in VMS:
            if self.rng.random() < chance:
                self.sent.append(frame(f"vm-{vm}", self.clock.now(), self.rng.choice(values)))
                self.bus.put("metrics", f"vm-{vm}", self.sent[-1])

    async def turn(self) -> None:
        if not self.running:
            self.start()
        self.send()
        match self.rng.randint(0, 11):
            case 0:
                self.start()
            case 1:
                await self.stop()
            case 2:
                await self.move(seize=True)
            case 3 | 4:
                await self.move(seize=False)
            case 5:
                await self.stop(kill=True)
        await self.clock.advance(self.rng.choice([0.5, 2.0, 2.0, 7.0]))

    async def end(self) -> None:
        """One engine is left; it looks at the store once more, and every VM is in order."""
        while self.running:
            await self.stop()
        self.start()
        await self.settle()
        await self.clock.advance(61.0)
        await self.settle()
        for _ in range(8):
            self.send([10.0], chance=1.0)
            await self.settle()
            await self.clock.advance(2.0)

    async def settle(self) -> None:
        for _ in range(2000):
            await self.clock.advance(0.1)
            await asyncio.sleep(0)
            feeds = [feed for topic, group in BOTH for feed in self.bus.logs[topic].readers.get(group, [])]
            if all(engine.idle for _, engine, _ in self.running) and all(feed.read_out for feed in feeds):
                return
        raise AssertionError("waited in vain")


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_happens_to_the_engines_each_episode_is_told_once(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcisd.alarms.consumer.LOST_S", 0.02)  # what is written too slowly is judged again elsewhere
    churn = Churn(seed)
    await churn.begin()
    for _ in range(60):
        await churn.turn()
    judge = Judge({SCHEMA.key: SCHEMA})
    judge.renew({one.uid: one for one in RULES[:2]}, MEMBERS, START, 0.0)
    judge.frames(churn.sent, math.inf, 0.0)
    await churn.end()
    for _, _, task in churn.running:
        task.cancel()
    await asyncio.gather(*(task for _, _, task in churn.running), return_exceptions=True)
    check_messages(churn.store)
    check_events(churn.store)
    assert {uid for uid, state in stored(churn.store).items() if state.phase is not AlarmPhase.OK} == set()
    assert any(state.since > 0 for state in judge.tracks.states().values()), "there was something to tell"
