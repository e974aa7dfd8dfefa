"""The bus on Kafka passes the suite of buses, against a real broker."""

from collections.abc import AsyncIterator

import pytest

from mcisd.aio.clock import SystemClock
from mcisd.bus.base import Bus, Topic
from mcisd.bus.kafka import KafkaBus, KafkaLimits, KafkaOptions
from tests.conformance.bus_suite import MakeBus
from tests.conformance.bus_suite_groups import GroupSuite

LIMITS = KafkaLimits(session_s=10.0, heartbeat_s=0.3, handover_s=5.0)


@pytest.mark.engines
class TestKafkaBus(GroupSuite):
    @pytest.fixture
    async def make_bus(self, kafka_servers: str, kafka_prefix: str) -> AsyncIterator[MakeBus]:
        opened: list[KafkaBus] = []

        async def make(topics: tuple[Topic, ...]) -> Bus:
            bus = await KafkaBus.open(
                KafkaOptions(kafka_servers, prefix=kafka_prefix, limits=LIMITS), SystemClock(), topics
            )
            opened.append(bus)
            return bus

        yield make
        for bus in opened:
            await bus.close()
