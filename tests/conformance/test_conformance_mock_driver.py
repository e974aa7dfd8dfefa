"""The driver rules on the mock cloud: on a quiet day, and behind the gate on a day on which much goes wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.drivers.base import CloudConnection, NetworkHandler
from mcisd.drivers.calls import CallGate, CallRecord, GateSettings
from mcisd.drivers.firstboot import cloud_config
from mcisd.drivers.gated import handler, open_connection
from mcisd.drivers.mock import errors
from mcisd.drivers.mock.cloud import MockCloud, cloud_named, drop_cloud
from mcisd.drivers.mock.driver import MockDriver
from mcisd.drivers.mock.script import Fault, Faults, Rates
from mcisd.drivers.mock.settings import MockSettings, Spread
from mcisd.drivers.ratelimit import Pace
from mcisd.model.cloud import ConnectionSpec
from tests.conformance.driver_bench import DriverBench, Trouble
from tests.conformance.driver_suite import DriverSuite
from tests.matrix import Lacking

BAD_DAY = MockSettings(
    seed=7,
    latency=Spread(0.08, 0.8, 5.0),
    list_lag=3.0,
    calls_per_second=15.0,
    call_burst=10,
)
BAD_FAULTS = Faults(Rates(throttle=0.05, transient=0.05, lost=0.08, hang=0.02), {"close": Rates()})
CHANGES = (
    "create_network", "delete_network", "create_security_group", "delete_security_group", "create_key_pair",
    "delete_key_pair", "start_vm", "suspend_vm", "hibernate_vm", "resume_vm", "reboot_vm", "terminate_vm",
)  # fmt: skip
STRIKES = {
    Trouble.EXPIRED_KEY: Fault(errors.expired()),
    Trouble.CLOCK_SKEW: Fault(errors.skewed()),
    Trouble.NO_PERMISSION: Fault(errors.forbidden()),
    Trouble.THROTTLED: Fault(errors.throttled(0.01)),
    Trouble.BROKEN_SERVER: Fault(errors.flaky()),
    Trouble.LOST_ANSWER: Fault(),
}
MOODS: dict[Trouble, dict[str, float]] = {
    Trouble.QUOTA: {"vms_per_region": 0},
    Trouble.NO_CAPACITY: {"capacity_per_region": 0},
    Trouble.LATE_LISTS: {"list_lag": 20.0},
    Trouble.STALE_LISTS: {"list_stale": 40.0},
}
GATED = "the gate stands in between, and chance brings faults of its own"
ENDPOINT = "it is called in this process, without a network"


@dataclass(kw_only=True)
class MockBench(DriverBench):
    """Time stands still until somebody settles."""

    clock: ManualClock
    cloud: MockCloud

    async def settle(self) -> None:
        await self.clock.advance(1.0)

    def trouble(self, kind: Trouble, times: int = 1) -> AbstractAsyncContextManager[None]:
        return self._befall(kind, times)

    @asynccontextmanager
    async def _befall(self, kind: Trouble, times: int) -> AsyncIterator[None]:
        usual = self.cloud.settings
        if kind in STRIKES:
            every = kind in (Trouble.EXPIRED_KEY, Trouble.CLOCK_SKEW)
            once = kind in (Trouble.THROTTLED, Trouble.BROKEN_SERVER, Trouble.LOST_ANSWER)
            with self.cloud.script.strike(STRIKES[kind], None if every else CHANGES, times if once else None):
                yield
            return
        self.cloud.settings = replace(usual, **MOODS[kind])  # type: ignore[arg-type]  # the names are right
        try:
            yield
        finally:
            self.cloud.settings = usual

    async def remove_by_hand(self, vm_id: str) -> None:
        assert self.cloud.remove_by_hand(vm_id)

    async def first_boot(self, vm_id: str) -> str:
        machine = self.cloud.regions[self.spec.region].vms.get(vm_id)
        assert machine is not None
        return cloud_config(machine.request)


@dataclass(kw_only=True)
class GatedBench(MockBench):
    """Every call passes the gate, as in the daemon; a task moves the clock."""

    calls: CallGate
    rows: list[CallRecord] = field(default_factory=list)

    async def settle(self) -> None:
        await self.clock.sleep(0.5)

    def trouble(self, kind: Trouble, times: int = 1) -> AbstractAsyncContextManager[None]:
        raise Lacking(kind.value)

    async def connect(self, spec: ConnectionSpec, installation: str) -> CloudConnection:
        return await open_connection(self.driver, spec, installation, self.calls)


def _spec(cloud: str) -> ConnectionSpec:
    return ConnectionSpec("conformance", "ap-northeast-2", None, {"cloud": cloud, "secret": "mock"})


class TestMockDriver(DriverSuite):
    column = "mock"
    behind = "the mock cloud, in this process"
    lacks: ClassVar[dict[str, str]] = {"an endpoint": ENDPOINT}

    @pytest.fixture
    async def bench(self) -> AsyncIterator[DriverBench]:
        clock = ManualClock()
        cloud = cloud_named("quiet", MockSettings(), clock)
        try:
            bench = MockBench(
                MockDriver(), _spec("quiet"), {"secret": "wrong-one"}, "mock-debian-12", "mock.micro",
                clock=clock, cloud=cloud,
            )  # fmt: skip
            yield bench
            await bench.clean()
        finally:
            drop_cloud("quiet")


class TestMockDriverOnABadDay(DriverSuite):
    """Throttled, flaky, lost and hanging calls, slow answers, lists that lag: behind the gate the rules still hold."""

    lacks: ClassVar[dict[str, str]] = {"an endpoint": ENDPOINT, **{kind.value: GATED for kind in Trouble}}

    @pytest.fixture
    async def bench(self) -> AsyncIterator[DriverBench]:
        clock = ManualClock()
        cloud = cloud_named("stormy", BAD_DAY, clock, BAD_FAULTS)
        rows: list[CallRecord] = []
        gate = CallGate(clock, rows.append, GateSettings(Pace(rate=20.0, burst=20)))
        mover = asyncio.ensure_future(_move(clock))
        try:
            bench = GatedBench(
                MockDriver(), _spec("stormy"), {"secret": "wrong-one"}, "mock-debian-12", "mock.micro",
                lag=10, clock=clock, cloud=cloud, calls=gate, rows=rows,
            )  # fmt: skip
            yield bench
            await bench.clean()
            _judge(cloud, bench.installation)
        finally:
            mover.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await mover
            drop_cloud("stormy")

    async def test_the_day_is_bad(self, bench: GatedBench) -> None:
        connection = handler(await bench.open(), NetworkHandler)
        for _ in range(80):
            await connection.list_networks()
        codes = {row.error_code for row in bench.rows}
        assert {None, "cloud-throttled", "cloud-transient", "cloud-timeout"} <= codes
        assert max(row.attempt for row in bench.rows) > 1


async def _move(clock: ManualClock) -> None:
    while True:
        await clock.advance(0.1)


def _judge(cloud: MockCloud, installation: str) -> None:
    """After each test: no VM doubled, none left."""
    assert cloud.doubled() == {}
    assert cloud.alive(installation) == []
