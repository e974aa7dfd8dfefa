"""From frames on the bus to rows in the store, with restarts, edits and a store that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mcisd.alarms.ledger import Ledger
from mcisd.alarms.lifecycle import step
from mcisd.alarms.ports import Bus, Store, Transaction
from mcisd.alarms.rule import Condition
from mcisd.model.alarms import Aggregation, AlarmPhase, AlarmRule, AlarmState, MessageKind, RuleLevel
from mcisd.model.errors import StoreError
from tests.integration.alarms.alarms_bench import Bench, until
from tests.unit.alarms.alarms_kit import START, frame, rule, state

FIRING, RESOLVED = MessageKind.FIRING, MessageKind.RESOLVED


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = await Bench.make(tmp_path, rule(version=0, for_s=4.0))
    await made.start()
    yield made
    await made.close()


async def test_the_real_bus_and_store_fit_the_ports(bench: Bench) -> None:
    bus: Bus = bench.bus
    store: Store = bench.store
    async with store.reading() as tx:
        assert await tx.first(AlarmRule, name="cpu-high") is not None
    assert bus is bench.bus


async def test_one_episode_is_one_pending_one_firing_one_resolved(bench: Bench) -> None:
    for cpu in (10, 90, 95, 97, 99, 30, 20):
        await bench.send(cpu)
    assert await bench.events() == ["alarm.pending", "alarm.firing", "alarm.resolved"]
    messages = await bench.messages()
    assert [m.kind for m in messages] == [FIRING, RESOLVED]
    assert messages[0].title == "[WARNING] web/a-1: cpu usage_active 97 > 80 for 4 s"
    episode = messages[0].uid.partition(":")[0]
    assert [m.uid for m in messages] == [f"{episode}:firing:ops", f"{episode}:resolved:ops"]
    assert bench.woken == 2


async def test_pending_keeps_its_since_over_a_restart(bench: Bench) -> None:
    await bench.send(90)
    await bench.kill()
    await bench.start()
    await bench.send(90)
    assert await bench.messages() == []
    await bench.send(90)
    assert [m.kind for m in await bench.messages()] == [FIRING]
    await bench.kill()
    await bench.start()
    await bench.send(90)
    await bench.send(10)
    assert [m.kind for m in await bench.messages()] == [FIRING, RESOLVED]


async def test_a_removed_rule_resolves_and_leaves_no_state(bench: Bench) -> None:
    for _ in range(3):
        await bench.send(90)
    async with bench.store.transaction() as tx:
        found = await tx.first(AlarmRule, name="cpu-high")
        assert found is not None
        await tx.delete(found)
    bench.engine.rules_changed()
    await until(lambda: bench.woken == 2)
    messages = await bench.messages()
    assert [m.kind for m in messages] == [FIRING, RESOLVED]
    assert "rule removed" in messages[1].title
    async with bench.store.reading() as tx:
        assert await tx.count(AlarmState) == 0


async def test_a_rule_edited_while_the_engine_was_down_resolves_when_it_is_back(bench: Bench) -> None:
    for _ in range(3):
        await bench.send(90)
    await bench.kill()
    async with bench.store.transaction() as tx:
        found = await tx.first(AlarmRule, name="cpu-high")
        assert found is not None
        await tx.update(replace(found, threshold=95.0, channels=()))
    await bench.start()
    await until(lambda: bench.woken == 2)
    assert [(m.kind, m.channel) for m in await bench.messages()] == [(FIRING, "ops"), (RESOLVED, "ops")]


async def test_silence_is_told_by_the_clock_alone(bench: Bench) -> None:
    await bench.add(rule(uid="al-nod", version=0, name="silent", no_data_s=6.0))
    bench.engine.rules_changed()
    await bench.send(10)
    await bench.clock.advance(3.9)
    assert await bench.events() == []
    await bench.clock.advance(0.2)
    await until(lambda: bench.woken == 1)
    await bench.send(10)
    assert await bench.events() == ["alarm.firing", "alarm.resolved"]
    bench.vms.now = []
    bench.engine.directory_changed()
    while not bench.engine.stats.unknown_vm:  # until it knows
        await bench.bus.publish("metrics", "vm-a", frame("vm-a", bench.clock.now(), 10))
        await asyncio.sleep(0.01)
    await bench.clock.advance(60)
    assert await bench.events() == ["alarm.firing", "alarm.resolved"]


class Away:
    """The real store with a switch: while ``away`` no transaction begins, or the answer of a commit is lost."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False
        self.lose_answers = 0
        self.refused = 0

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._store.reading()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        if self.away:
            self.refused += 1
            raise StoreError("the store is away")
        async with self._store.transaction() as tx:
            yield tx
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreError("no answer to the commit")


async def test_a_store_that_is_away_delays_changes_and_loses_none(bench: Bench) -> None:
    await bench.kill()
    away = Away(bench.store)
    bench.seen_store = away
    await bench.start()
    away.away = True
    for cpu in (90, 90, 90, 10):
        await bench.bus.publish("metrics", "vm-a", frame("vm-a", bench.clock.now(), cpu))
        await asyncio.sleep(0.02)
        await bench.clock.advance(2.0)
    assert away.refused > 1
    assert await bench.events() == []
    away.away, away.lose_answers = False, 3
    for _ in range(200):
        await bench.clock.advance(1.0)
        await asyncio.sleep(0.02)
        if bench.engine.idle:
            break
    assert away.lose_answers == 0
    assert await bench.events() == ["alarm.pending", "alarm.firing", "alarm.resolved"]
    async with bench.store.reading() as tx:
        assert [state.phase for state in await tx.find(AlarmState)] == [AlarmPhase.OK]
    assert [m.kind for m in await bench.messages()] == [FIRING, RESOLVED]


async def test_without_channels_the_default_ones_are_told_and_the_end_of_an_mcis_resolves(tmp_path: Path) -> None:
    of = rule(version=0, channels=(), level=RuleLevel.MCIS, aggregation=Aggregation.AVG)
    bench = await Bench.make(tmp_path, of)
    bench.default_channels = ("ops", "mail")
    await bench.start()
    await bench.send(90)
    bench.vms.now = []
    bench.engine.directory_changed()
    await until(lambda: bench.woken == 2)
    told = [(m.kind, m.channel) for m in await bench.messages()]
    assert sorted(told) == sorted((kind, name) for kind in (FIRING, RESOLVED) for name in ("ops", "mail"))
    assert {m.title for m in await bench.messages() if m.kind is RESOLVED} == {
        "[RESOLVED] web: infra removed (fired for 2 s)"
    }
    await bench.close()


async def test_a_full_ledger_makes_the_reader_wait(bench: Bench) -> None:
    ledger = Ledger(bench.store, (), bench.clock, lambda: None, size=1)
    of = rule()
    change = step(state(of), 0.0, of, Condition.of(of), START, 90.0)
    assert change is not None
    await ledger.put([(change, None)])
    waiting = asyncio.create_task(ledger.put([(change, None)]))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    writer = asyncio.create_task(ledger.run())
    await asyncio.wait_for(waiting, 5)
    await until(lambda: ledger.idle)
    assert await bench.events() == ["alarm.firing"], "the same change twice is written once"
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
