"""Several engines share the work on one store: partitions that move, with windows, groups and silence; and storms.

The store is the real SQLite one; the bus with several partitions is emulated (tests/unit/alarms/alarms_bus.py).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.alarms.engine import Engine
from mcisd.alarms.ports import Store, Transaction
from mcisd.model.alarms import Aggregation, AlarmPhase, AlarmRule, AlarmState, Channel, Message, RuleLevel
from mcisd.model.samples import REPLAYED, pack_frame
from mcisd.store.metadata import SqlStore, open_store
from tests.integration.alarms.alarms_bench import Vms, until
from tests.unit.alarms.alarms_bus import LogBus, LogFeed
from tests.unit.alarms.alarms_kit import SCHEMA, START, frame, member, rule


class Site:
    """One store, one bus of two partitions (VMs b, d and a, c), and any number of engines."""

    def __init__(self, store: SqlStore, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.seen_store: Store = store
        self.bus = LogBus(partitions=2)
        self.vms = Vms(*(member(name) for name in "abcd"))
        self.engines: list[Engine] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.bus.put("schemas", "any", SCHEMA.to_json().encode())

    async def rules(self, *rules: AlarmRule) -> None:
        async with self.store.transaction() as tx:
            for one in rules:
                await tx.insert(replace(one, version=0))

    async def engine(self) -> Engine:
        engine = Engine(
            bus=self.bus, store=self.seen_store, directory=self.vms, clock=self.clock, on_message=lambda: None
        )
        self.tasks.append(asyncio.create_task(engine.run()))
        self.engines.append(engine)
        logs, count = self.bus.logs.values(), len(self.engines)
        await until(lambda: all(sum(map(len, log.readers.values())) == count for log in logs))
        await asyncio.sleep(0.05)
        return engine

    def feed(self, engine: int, topic: str) -> LogFeed:
        group = {"metrics": "alarms", "groups": "alarms-groups"}[topic]
        return self.bus.logs[topic].readers[group][engine]

    async def move(self, partition: int, to: int) -> None:
        """Of both topics, in good order."""
        for topic, group in (("metrics", "alarms"), ("groups", "alarms-groups")):
            await self.bus.hand_over(topic, group, partition, self.feed(to, topic))
        await self.settle()

    async def settle(self) -> None:
        await asyncio.sleep(0.02)
        await until(lambda: all(one.idle for one in self.engines) and self.read_out())

    def read_out(self) -> bool:
        return all(
            feed.read_out
            for topic in ("metrics", "groups")
            for readers in self.bus.logs[topic].readers.values()
            for feed in readers
        )

    async def send(self, **values: float) -> None:
        """One frame of each VM named, of the time it is now; then two seconds pass."""
        for name, value in values.items():
            self.bus.put("metrics", f"vm-{name}", frame(f"vm-{name}", self.clock.now(), value))
        await self.settle()
        await self.clock.advance(2.0)

    async def committed(self, topic: str, expected: list[int]) -> None:
        """It comes to this within a few seconds of the clock."""
        for _ in range(200):
            if self.bus.logs[topic].committed["alarms"] == expected:
                return
            await self.clock.advance(0.1)
            await asyncio.sleep(0.005)
        raise AssertionError(self.bus.logs[topic].committed)

    async def told(self) -> list[str]:
        async with self.store.reading() as tx:
            return [message.title for message in await tx.find(Message)]

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.store.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    clock = ManualClock(START)
    store = await open_store(f"sqlite:///{tmp_path}/metadata.db", clock)
    async with store.transaction() as tx:
        await tx.insert(Channel(uid="ch-ops", name="ops", scheme="json"))
    made = Site(store, clock)
    yield made
    await made.close()


async def test_each_partition_is_judged_by_one_and_goes_on_where_it_stood_when_it_moves(site: Site) -> None:
    await site.rules(rule(for_s=4.0))
    first, second = await site.engine(), await site.engine()
    await site.send(a=90, b=90)
    assert sum(first.stats.pending.values()) == 2
    await site.move(1, to=1)
    assert (first.stats.partitions, second.stats.partitions) == (1, 1)
    await site.send(a=90, b=90)
    await site.send(a=90, b=90)
    assert sorted(await site.told()) == [f"[WARNING] web/{vm}-1: cpu usage_active 90 > 80 for 4 s" for vm in "ab"]
    assert first.stats.firing == second.stats.firing == {("demo", "web", "cpu-high", "warning"): 1}
    await site.move(0, to=1)
    await site.send(a=10, b=10)
    assert len(await site.told()) == 4
    assert first.stats.firing == second.stats.firing == {}
    assert second.stats.stale_changes == 0


async def test_a_window_survives_a_takeover(site: Site) -> None:
    await site.rules(rule(window_s=20.0, aggregation=Aggregation.AVG, threshold=50.0))
    await site.engine()
    for _ in range(9):
        await site.send(a=60)
    second = await site.engine()
    await site.move(0, to=1)
    await site.move(1, to=1)
    assert await site.told() == []
    await site.send(a=60)
    await site.send(a=60)
    assert await site.told() == ["[WARNING] web/a-1: avg of cpu usage_active over 20 s 60 > 50"]
    assert (second.stats.again, second.stats.judged) == (9, 2)


async def test_a_rule_about_the_whole_mcis_sees_vms_of_all_partitions_and_survives_a_takeover(site: Site) -> None:
    site.vms.now = site.vms.now[:2]
    await site.rules(rule(level=RuleLevel.MCIS, aggregation=Aggregation.AVG, threshold=50.0))
    await site.engine()
    await site.engine()
    await site.bus.hand_over("metrics", "alarms", 1, site.feed(1, "metrics"))
    await site.settle()
    await site.send(a=90)
    assert await site.told() == [], "the other VM was not heard yet"
    await site.send(b=20)
    assert await site.told() == ["[WARNING] web: avg of cpu usage_active 55 > 50"]
    await site.bus.hand_over("groups", "alarms-groups", 1, site.feed(1, "groups"))
    await site.bus.hand_over("groups", "alarms-groups", 0, site.feed(1, "groups"))
    await site.settle()
    await site.send(a=70)
    assert (await site.told())[1:] == ["[RESOLVED] web: avg of cpu usage_active 45, was > 50 (fired for 2 s)"]


async def test_silence_is_told_once_however_many_watch_and_begins_anew_after_a_takeover(site: Site) -> None:
    site.vms.now = site.vms.now[:2]
    await site.rules(rule(uid="al-nod", name="silent", no_data_s=6.0))
    await site.engine()
    await site.engine()
    await site.send(a=1, b=1)
    await site.clock.advance(3.0)
    await site.move(1, to=1)
    await site.clock.advance(1.5)
    await site.settle()
    assert await site.told() == ["[WARNING] web/b-1: no data for 6 s"], "the owner of b was never lost"
    await site.clock.advance(4.0)
    await site.settle()
    assert len(await site.told()) == 1, "a has its six seconds from the takeover on"
    await site.clock.advance(1.0)
    await site.settle()
    assert sorted(await site.told()) == [f"[WARNING] web/{vm}-1: no data for 6 s" for vm in "ab"]


async def test_a_process_that_stood_still_does_no_harm_when_it_goes_on(site: Site) -> None:
    await site.rules(rule())
    first, second = await site.engine(), await site.engine()
    await site.send(a=10)
    log = site.bus.logs["metrics"]
    site.bus.seize("metrics", "alarms", 1, site.feed(1, "metrics"))
    await until(lambda: second.stats.partitions == 1)
    assert first.stats.partitions == 2, "it does not know yet"
    await site.send(a=90)
    await site.send(a=90)
    await site.send(a=10)
    assert len(await site.told()) == 2
    assert log.committed["alarms"][1] <= 3
    async with site.store.reading() as tx:
        assert [state.phase for state in await tx.find(AlarmState)] == [AlarmPhase.OK]


async def test_what_another_process_wrote_is_believed_within_a_minute(site: Site) -> None:
    await site.rules(rule(uid="al-nod", name="silent", no_data_s=3600.0))
    engine = await site.engine()
    await site.send(a=1)
    fired = AlarmState(
        uid="al-nod:vm-a",
        rule="al-nod",
        subject="vm-a",
        ns="demo",
        mcis="web",
        phase=AlarmPhase.FIRING,
        since=START + 1,
        episode="ep-other-r1",
    )
    async with site.store.transaction() as tx:
        await tx.insert(fired)
    await site.clock.advance(61.0)
    await asyncio.sleep(0.1)
    await site.settle()
    assert sum(engine.stats.firing.values()) == 1
    await site.send(a=1)
    assert engine.stats.firing == {}
    async with site.store.reading() as tx:
        [row] = await tx.find(AlarmState)
    assert (row.phase, row.episode) == (AlarmPhase.OK, "ep-other-r1")


async def test_a_storm_of_alarms_is_a_few_transactions_and_under_load_positions_are_committed(site: Site) -> None:
    site.vms.now = [member(f"{i:04d}") for i in range(2000)]
    await site.rules(rule())
    engine = await site.engine()
    written = 0

    def count() -> None:
        nonlocal written
        written += 1

    site.store.on_commit(count)
    for vm in site.vms.now:
        site.bus.put("metrics", vm.vm, frame(vm.vm, START, 95.0))
    await site.clock.advance(1.0)
    await until(lambda: engine.idle and site.read_out(), 30.0)
    assert sum(engine.stats.firing.values()) == 2000
    assert 10 <= written <= 40
    await site.committed("metrics", [999, 999])


class Gate:
    """The real store; writing waits until the gate is open."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.open = asyncio.Event()
        self.reading = store.reading

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        await self.open.wait()
        async with self._store.transaction() as tx:
            yield tx


async def test_under_steady_load_what_is_stored_is_committed_and_nothing_else(site: Site) -> None:
    gate = Gate(site.store)
    site.seen_store = gate
    await site.rules(rule())
    await site.engine()
    committed = site.bus.logs["metrics"].committed["alarms"]
    for second in range(10):
        # The first bad frame waits to be stored while others keep coming: the engine is never idle.
        value = 95.0 if second == 5 else 10.0
        site.bus.put("metrics", "vm-b", frame("vm-b", site.clock.now(), value))
        await asyncio.sleep(0.02)
        await site.clock.advance(1.0)
    assert committed[0] == 4
    gate.open.set()
    await site.settle()
    await site.committed("metrics", [9, -1])


async def test_frames_that_were_kept_while_a_link_was_down_are_not_judged(site: Site) -> None:
    await site.rules(rule())
    engine = await site.engine()
    columns = frame("vm-a", START, 99.0)[-24:]
    site.bus.put("metrics", "vm-a", pack_frame("vm-a", SCHEMA.key, 1, round(START * 1000), REPLAYED, columns))
    await site.settle()
    assert (engine.stats.frames, engine.stats.replayed, engine.stats.judged) == (1, 1, 0)
    assert await site.told() == []
