"""Engines on a real Kafka: they divide the partitions, one leaves and the other takes over, and all is told once.

The store is the real SQLite one, shared by all engines of this process.
"""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock, SystemClock
from mcisd.alarms.engine import Engine
from mcisd.bus.kafka import KafkaBus, KafkaLimits, KafkaOptions
from mcisd.bus.topics import GROUPS, METRICS, SCHEMAS
from mcisd.model.alarms import Aggregation, AlarmPhase, AlarmState, Channel, Message, RuleLevel
from mcisd.store.metadata import SqlStore, open_store
from tests.integration.alarms.alarms_bench import Vms, until
from tests.unit.alarms.alarms_kit import SCHEMA, START, frame, member, rule

LIMITS = KafkaLimits(session_s=10.0, heartbeat_s=0.3, handover_s=5.0)
VMS = [member(f"{i:02d}") for i in range(40)]
MCIS_RULE = rule(uid="al-all", version=0, name="all", level=RuleLevel.MCIS, aggregation=Aggregation.AVG, threshold=50.0)


class Fleet:
    def __init__(self, store: SqlStore, servers: str, prefix: str) -> None:
        self.store, self.options = store, KafkaOptions(servers, prefix=prefix, limits=LIMITS)
        self.buses: list[KafkaBus] = []
        self.engines: list[Engine] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        clock = SystemClock()
        bus = await KafkaBus.open(self.options, clock, [METRICS, SCHEMAS, GROUPS])
        engine = Engine(bus=bus, store=self.store, directory=Vms(*VMS), clock=clock, on_message=lambda: None)
        self.buses.append(bus)
        self.engines.append(engine)
        self.tasks.append(asyncio.create_task(engine.run()))

    async def stop(self, at: int) -> None:
        self.tasks[at].cancel()
        await asyncio.gather(self.tasks[at], return_exceptions=True)

    async def divided(self, *engines: int) -> None:
        parts = [self.engines[at] for at in engines]
        await until(lambda: sum(one.stats.partitions for one in parts) == METRICS.partitions, 60.0)

    async def send(self, value: float) -> None:
        now = time.time()
        await self.buses[-1].publish_all("metrics", [(vm.vm, frame(vm.vm, now, value), {}) for vm in VMS])

    async def told(self, kind: str, count: int) -> None:
        """So many messages of the kind come to be, of an episode each."""
        for _ in range(600):
            async with self.store.reading() as tx:
                messages = [one for one in await tx.find(Message) if one.kind == kind]
            if len(messages) >= count:
                break
            await asyncio.sleep(0.1)
        assert len(messages) == count
        assert max(Counter(one.uid.partition(":")[0] for one in messages).values()) == 1


@pytest.mark.engines
async def test_engines_on_kafka_share_the_work_and_tell_each_episode_once(
    tmp_path: Path, kafka_servers: str, kafka_prefix: str
) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/metadata.db", ManualClock(START))
    async with store.transaction() as tx:
        await tx.insert(Channel(uid="ch-ops", name="ops", scheme="json"))
        await tx.insert(rule(version=0))
        await tx.insert(MCIS_RULE)
    fleet = Fleet(store, kafka_servers, kafka_prefix)
    try:
        await fleet.start()
        await fleet.buses[0].publish("schemas", "any", SCHEMA.to_json().encode())
        await fleet.divided(0)
        await fleet.start()
        await until(lambda: 0 < fleet.engines[1].stats.partitions < METRICS.partitions, 60.0)
        await fleet.divided(0, 1)
        await fleet.send(95.0)
        await fleet.told("firing", len(VMS) + 1)
        assert all(engine.stats.judged > 0 for engine in fleet.engines), "both had a part in it"
        await fleet.stop(0)
        await fleet.divided(1)
        await fleet.send(10.0)
        await fleet.told("resolved", len(VMS) + 1)
        async with store.reading() as tx:
            assert {state.phase for state in await tx.find(AlarmState)} == {AlarmPhase.OK}
        assert sum(engine.stats.malformed + engine.stats.unknown_vm for engine in fleet.engines) == 0
    finally:
        for at in range(len(fleet.tasks)):
            await fleet.stop(at)
        for bus in fleet.buses:
            await bus.close()
        await store.close()
