"""The embedded bus passes the suite of buses."""

import pytest

from mcisd.bus.base import Bus, Topic
from mcisd.bus.memory import MemoryBus
from tests.conformance.bus_suite import BoundedBusSuite, MakeBus
from tests.conformance.bus_suite_groups import GroupSuite


class TestMemoryBus(GroupSuite, BoundedBusSuite):
    @pytest.fixture
    async def make_bus(self) -> MakeBus:
        async def make(topics: tuple[Topic, ...]) -> Bus:
            return MemoryBus(topics)

        return make
