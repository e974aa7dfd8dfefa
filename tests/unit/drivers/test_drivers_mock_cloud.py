"""The mock cloud's moods: faults by plan and by chance, lag, limits, counters; the same seed gives the same day."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.aio.clock import ManualClock
from mcisd.drivers.mock.cloud import MockCloud, cloud_named, drop_cloud
from mcisd.drivers.mock.driver import MockConnection, MockDriver
from mcisd.drivers.mock.script import Fault, Faults, Rates, Script
from mcisd.drivers.mock.settings import MockSettings, Spread
from mcisd.model.cloud import CloudVmState, ConnectionSpec, KeyPairRequest, NetworkRequest, VmRequest
from mcisd.model.errors import (
    CloudCapacityError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTimeoutError,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHN1aXRl suite"
SPEC = ConnectionSpec("c", "us-east-1", None, {"secret": "mock"})


@dataclass
class Place:
    """A cloud, a connection and a request that is valid there."""

    cloud: MockCloud
    clock: ManualClock
    connection: MockConnection
    request: VmRequest

    def vm(self, token: str) -> VmRequest:
        return replace(self.request, token=token)


async def place(options: MockSettings | None = None, installation: str = "inst") -> Place:
    clock = ManualClock()
    cloud = MockCloud(MockSettings(), clock)
    connection = MockConnection(cloud, SPEC, installation)
    network = await connection.create_network(NetworkRequest("t-net", "n", "10.0.0.0/16"))
    key = await connection.create_key_pair(KeyPairRequest("t-key", "k", KEY))
    request = VmRequest(
        "t-vm", "vm", "mock-debian-12", "mock.nano", network.id, network.subnet_ids[0], (), key.id, "root", "pem"
    )
    cloud.settings = options or cloud.settings
    return Place(cloud, clock, connection, request)


async def test_a_planned_failure_hits_the_nth_call() -> None:
    here = await place()
    here.cloud.fail("start_vm", 2, CloudCapacityError("full"))
    await here.connection.start_vm(here.vm("a"))
    with pytest.raises(CloudCapacityError):
        await here.connection.start_vm(here.vm("b"))
    await here.connection.start_vm(here.vm("b"))
    assert len(here.cloud.alive()) == 2
    assert here.cloud.calls["start_vm"] == 3


async def test_a_lost_answer_took_effect_and_the_token_settles_it() -> None:
    here = await place()
    here.cloud.lose("start_vm")
    with pytest.raises(CloudTimeoutError):
        await here.connection.start_vm(here.request)
    assert len(here.cloud.alive()) == 1
    again = await here.connection.start_vm(here.request)
    assert [machine.id for machine in here.cloud.alive()] == [again.id]
    assert here.cloud.doubled() == {}


@pytest.mark.parametrize("effect", [True, False])
async def test_a_hanging_answer(effect: bool) -> None:
    here = await place()
    here.cloud.lose("start_vm", hang=True, effect=effect)
    task = asyncio.ensure_future(here.connection.start_vm(here.request))
    await here.clock.advance(3600.0)
    assert not task.done()
    assert len(here.cloud.alive()) == int(effect)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_cancelled_before_and_after_its_effect() -> None:
    here = await place(MockSettings(latency=Spread(2.0)))
    for wait, alive in ((0.5, 0), (1.5, 1)):
        task = asyncio.ensure_future(here.connection.start_vm(here.vm(f"t{wait}")))
        await here.clock.advance(wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(here.cloud.alive()) == alive
    assert [row[4] for row in here.cloud.trace][-2:] == ["cancelled", "cancelled"]


async def test_forgotten_tokens_double_a_vm_and_the_counter_says_so() -> None:
    here = await place(MockSettings(token_memory=100.0))
    first = await here.connection.start_vm(here.request)
    await here.clock.advance(101.0)
    second = await here.connection.start_vm(here.request)
    assert here.cloud.doubled() == {"t-vm": [first.id, second.id]}


async def test_orphans_and_leftovers() -> None:
    here = await place()
    await here.connection.start_vm(here.vm("known"))
    lost = await here.connection.start_vm(here.vm("lost"))
    assert [machine.id for machine in here.cloud.orphans({"known"})] == [lost.id]
    assert here.cloud.orphans({"known"}, "somebody else") == []
    assert here.cloud.leftovers("inst") == {"vm": 2, "network": 1, "key": 1}
    assert here.cloud.leftovers("somebody else") == {}


async def test_lists_and_get_lag_behind() -> None:
    here = await place(MockSettings(list_lag=20.0, get_lag=5.0))
    made = await here.connection.start_vm(here.request)
    assert await here.connection.list_vms() == []
    assert await here.connection.list_vm_status() == []
    with pytest.raises(CloudNotFoundError):
        await here.connection.get_vm(made.id)
    assert (await here.connection.start_vm(here.request)).id == made.id
    await here.clock.advance(20.0)
    assert [vm.id for vm in await here.connection.list_vms()] == [made.id]
    assert (await here.connection.get_vm(made.id)).id == made.id


async def test_quota_and_capacity_free_themselves_on_termination() -> None:
    for options, error in (
        (MockSettings(vms_per_region=1), CloudQuotaError),
        (MockSettings(capacity_per_region=1), CloudCapacityError),
    ):
        here = await place(options)
        made = await here.connection.start_vm(here.vm("a"))
        with pytest.raises(error):
            await here.connection.start_vm(here.vm("b"))
        assert (await here.connection.start_vm(here.vm("a"))).id == made.id
        await here.connection.terminate_vm(made.id)
        await here.connection.terminate_vm(made.id)
        await here.connection.start_vm(here.vm("b"))


async def test_the_clouds_own_rate_limit_says_when_to_come_back() -> None:
    here = await place(MockSettings(calls_per_second=2.0, call_burst=3))
    for _ in range(3):
        await here.connection.list_vm_status()
    with pytest.raises(CloudThrottledError) as caught:
        await here.connection.list_vm_status()
    assert caught.value.retry_after == pytest.approx(0.5)
    await here.clock.advance(0.5)
    await here.connection.list_vm_status()


async def test_addresses_come_with_running_and_differ() -> None:
    here = await place()
    made = [await here.connection.start_vm(here.vm(f"t{i}")) for i in range(20)]
    assert {vm.public_address for vm in made} == {""}
    await here.clock.advance(200.0)
    up = await here.connection.list_vms()
    assert len({vm.public_address for vm in up}) == len({vm.private_address for vm in up}) == 20


async def test_crash_by_test_and_prices_by_region() -> None:
    here = await place()
    made = await here.connection.start_vm(here.request)
    assert here.cloud.crash(made.id, "rack on fire")
    assert not here.cloud.crash(made.id)
    vm = await here.connection.get_vm(made.id)
    assert (vm.state, vm.reason) == (CloudVmState.FAILED, "rack on fire")
    dear = MockConnection(here.cloud, replace(SPEC, region="europe-west3"), "inst")
    assert ((await dear.get_spec("mock.nano")).price or 0) > ((await here.connection.get_spec("mock.nano")).price or 0)


async def test_a_closed_connection_refuses() -> None:
    here = await place()
    await here.connection.close()
    with pytest.raises(CloudInvalidError, match="closed"):
        await here.connection.list_vms()


@pytest.fixture
async def named() -> AsyncIterator[MockCloud]:
    yield cloud_named("unit", MockSettings(), ManualClock())
    drop_cloud("unit")


async def test_a_restarted_daemon_finds_the_cloud_by_name(named: MockCloud) -> None:
    spec = replace(SPEC, credential={"cloud": "unit", "secret": "mock"})
    first = await MockDriver().connect(spec, "inst")
    await first.create_network(NetworkRequest("t", "n", "10.0.0.0/16"))
    second = await MockDriver().connect(spec, "inst")
    assert len(await second.list_networks()) == 1
    assert cloud_named("unit") is named
    with pytest.raises(ValueError, match="exists already"):
        cloud_named("unit", MockSettings())


async def _day(seed: int, rates: Rates) -> tuple[list[tuple[float, str, str, int, str]], list[tuple[str, str]]]:
    """What happened on a day of mixed calls, and how the VMs stood at its end."""
    clock = ManualClock()
    options = MockSettings(seed=seed, latency=Spread(0.1, 0.5, 2.0), boot_failures=0.2, crashes_per_hour=20.0)
    here = await place()
    here.cloud = MockCloud(options, clock, Faults(rates))
    connection = MockConnection(here.cloud, SPEC, "inst")

    async def life(token: str) -> None:
        with contextlib.suppress(CloudError):  # the faults of the day are in the trace
            network = await connection.create_network(NetworkRequest("net" + token, "n", "10.0.0.0/16"))
            key = await connection.create_key_pair(KeyPairRequest("key" + token, "k", KEY))
            subnet = network.subnet_ids[0]
            request = replace(here.request, network_id=network.id, subnet_id=subnet, key_pair_id=key.id, token=token)
            vm = await connection.start_vm(request)
            await clock.sleep(60.0)
            await connection.suspend_vm(vm.id)

    lives = asyncio.gather(*(life(f"t{i}") for i in range(6)))
    await clock.advance(300.0)
    await lives
    here.cloud.faults = Faults()
    listing = asyncio.ensure_future(connection.list_vm_status())
    await clock.advance(10.0)
    return list(here.cloud.trace), [(row.token, row.state) for row in listing.result()]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.builds(Rates, *[st.floats(0, 0.2)] * 3))
def test_the_same_seed_gives_the_same_day(seed: int, rates: Rates) -> None:
    assert asyncio.run(_day(seed, rates)) == asyncio.run(_day(seed, rates))


async def test_another_seed_gives_another_day() -> None:
    assert await _day(1, Rates(0.1, 0.1)) != await _day(2, Rates(0.1, 0.1))


def test_the_script_counts_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        Script().set("start_vm", 0, Fault())


@given(st.integers(0, 2**32))
def test_rates_add_up(seed: int) -> None:
    cloud = MockCloud(MockSettings(seed=seed))
    rng = cloud.chance("x")
    assert Rates().draw(rng) is None
    assert Rates(throttle=0.25, transient=0.25, lost=0.25, hang=0.125, capacity=0.125).draw(rng) is not None


async def test_ten_thousand_vms() -> None:
    """Takes about a second; something quadratic would run into the time limit of a test."""
    here = await place()
    for i in range(10_000):
        await here.connection.start_vm(here.vm(f"t{i}"))
    await here.clock.advance(300.0)
    states = {row.state for row in await here.connection.list_vm_status()}
    assert states == {CloudVmState.RUNNING}
    for machine in here.cloud.alive():
        await here.connection.terminate_vm(machine.id)
    assert here.cloud.alive() == []
