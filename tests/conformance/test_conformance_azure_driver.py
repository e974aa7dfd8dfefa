"""The driver rules on Azure: the real client library against our own stub of Azure's resource manager."""

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from tests.clouds.azure.bench import azure_bench
from tests.conformance.driver_bench import DriverBench
from tests.conformance.driver_suite import DriverSuite

BEHIND = (
    "our own stub of Azure's resource manager, behind the real client library; its answers to networks, cards, VMs, "
    "power actions and operations are held to recorded traffic of Azure, all else is our reading of the documentation"
)


class TestAzureDriver(DriverSuite):
    column = "azure"
    behind = BEHIND
    lacks: ClassVar[dict[str, str]] = {"Crash": "a cloud for real work breaks no VM on demand"}

    @pytest.fixture
    async def bench(self) -> AsyncIterator[DriverBench]:
        async with azure_bench() as bench:
            yield bench
