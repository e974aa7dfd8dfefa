"""The driver rules on a stub of Google's API that takes only what Google's own description of it allows."""

from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import pytest

from tests.clouds.gcp.bench import GcpBench, bench_on, self_signed
from tests.clouds.gcp.server import Stub
from tests.conformance.driver_bench import DriverBench
from tests.conformance.driver_suite import DriverSuite


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stub]:
    with Stub(self_signed(tmp_path_factory.mktemp("gcp"))) as running:
        yield running


class TestGcpDriver(DriverSuite):
    column = "gcp"
    behind = (
        "our own stub, which takes and gives only what Google's discovery documents allow; "
        "how it behaves beyond that is written after Google's documentation, not seen at Google"
    )
    lacks: ClassVar[dict[str, str]] = {"Crash": "a VM cannot be broken from outside"}

    @pytest.fixture
    async def bench(self, stub: Stub) -> AsyncIterator[DriverBench]:
        bench = bench_on(stub)
        yield bench
        await bench.clean()
        judge(bench)


def judge(bench: GcpBench) -> None:
    """After each test: nothing left in the project, and every request and answer fitted Google's description."""
    project = bench.project
    left = (project.machines, project.disks, project.firewalls, project.subnets, project.networks)
    assert not any(left), left
    assert project.metadata["items"] == []
    misfits, bench.stub.misfits = bench.stub.misfits, []
    assert misfits == []
