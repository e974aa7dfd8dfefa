"""What goes wrong at clouds, and what the control core makes of it: scripted faults in, clear states out, no litter."""

from pathlib import Path

import pytest

from mcisd.daemon.mcis.requests import Caller
from mcisd.drivers.mock import errors
from mcisd.drivers.mock.script import Faults, Rates
from mcisd.drivers.mock.settings import MockSettings, Spread
from mcisd.model.cloud import CloudVmState
from mcisd.model.errors import CloudAuthError, McisdError
from mcisd.model.states import Action, OnFailure, OperationState, ResourceKind, ResourceState, VmState
from tests.integration.control.harness import INSTALLATION, NS, QUICK, Core, FastClock, group, running

ME = Caller()
FINAL = [errors.over_quota(2), errors.no_capacity()]
PASSING = [errors.flaky(), errors.throttled(0.01)]


@pytest.mark.parametrize("error", FINAL, ids=lambda error: error.code)
@pytest.mark.parametrize("nth", [1, 3])
async def test_keep_leaves_the_failed_one_to_be_seen(tmp_path: Path, error: McisdError, nth: int) -> None:
    async with running(tmp_path) as core:
        core.cloud.fail("start_vm", nth, error)
        done = await core.finished(await core.create("web", group("a", "c1", 3)))
        assert (done.state, done.succeeded, done.failed) == (OperationState.PARTIAL, 2, 1)
        assert sorted((await core.states()).values()) == ["Failed", "Running", "Running"]
        (bad,) = [vm for vm in await core.vms() if vm.state is VmState.FAILED]
        assert bad.error_code == error.code
        assert bad.name in done.message
        assert len(await core.events("vm.failed")) == 1
        await core.check()
        again = await core.finished(await core.mcis.retry(NS, "web", ME))
        assert again.state is OperationState.SUCCEEDED
        assert await core.states() == dict.fromkeys(("a-1", "a-2", "a-3"), "Running")
        await core.check()


async def test_retry_makes_it_anew_until_it_runs(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        for nth in (1, 4, 5):
            core.cloud.fail("start_vm", nth, errors.no_capacity())
        done = await core.finished(await core.create("web", group("a", "c1", 3), on_failure=OnFailure.RETRY))
        assert done.state is OperationState.SUCCEEDED, done.message
        assert await core.states() == dict.fromkeys(("a-1", "a-2", "a-3"), "Running")
        await core.check()
        assert len(await core.vms()) == 3


async def test_retry_gives_up_in_the_end(tmp_path: Path) -> None:
    cloud = MockSettings(boot=Spread(0.3), terminate=Spread(0.1), capacity_per_region=1)
    async with running(tmp_path, cloud) as core:
        done = await core.finished(await core.create("web", group("a", "c1", 2), on_failure=OnFailure.RETRY))
        assert (done.state, done.succeeded, done.failed) == (OperationState.PARTIAL, 1, 1)
        await core.check()


async def test_rollback_leaves_nothing_on_any_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        core.cloud.fail("start_vm", 4, errors.over_quota(3))
        request = await core.create("web", group("a", "c1", 2), group("b", "c2", 2), on_failure=OnFailure.ROLLBACK)
        done = await core.finished(request)
        assert done.state is OperationState.FAILED
        assert "rolled back" in done.message
        await core.until(lambda rows: not rows)
        while await core.all_resources():
            await core.clock.sleep(0.3)
        assert core.cloud.leftovers(INSTALLATION) == {}
        await core.mcis.delete(NS, "web")
        await core.check()


async def test_the_operator_may_roll_back_later(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        core.cloud.fail("start_vm", 2, errors.over_quota(1))
        await core.finished(await core.create("web", group("a", "c1", 2)))
        key = Caller(key="undo")
        first = await core.mcis.rollback(NS, "web", key)
        assert (await core.mcis.rollback(NS, "web", key)).uid == first.uid
        assert (await core.finished(first)).state is OperationState.SUCCEEDED
        assert await core.vms() == []
        await core.check()


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.code)
async def test_what_passes_is_not_seen(tmp_path: Path, error: McisdError) -> None:
    async with running(tmp_path) as core:
        core.cloud.fail("start_vm", 1, error)
        core.cloud.fail("create_network", 1, error)
        done = await core.finished(await core.create("web", group("a", "c1", 2)))
        assert done.state is OperationState.SUCCEEDED
        assert any(call.error_code == error.code for call in core.calls)
        await core.check()


@pytest.mark.parametrize("hang", [False, True])
async def test_a_lost_answer_doubles_nothing(tmp_path: Path, hang: bool) -> None:
    clock = FastClock()
    async with running(tmp_path, gate_clock=clock if hang else None) as core:
        for api in ("start_vm", "create_network", "create_security_group", "create_key_pair", "list_images"):
            core.cloud.lose(api, 1, hang=hang)
        done = await core.finished(await core.create("web", group("a", "c1", 2)), 40.0)
        assert done.state is OperationState.SUCCEEDED, done.message
        await core.check()
        assert core.cloud.leftovers(INSTALLATION) == {"vm": 2, "network": 1, "group": 1, "key": 1}


async def test_a_network_that_cannot_be_made_fails_the_vms_and_retry_mends_it(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        core.cloud.fail("create_network", 1, errors.no_capacity())
        done = await core.finished(await core.create("web", group("a", "c1", 2)))
        assert (done.state, done.failed) == (OperationState.FAILED, 2)
        assert {vm.error_code for vm in await core.vms()} == {"dependency"}
        again = await core.finished(await core.mcis.retry(NS, "web", ME))
        assert again.state is OperationState.SUCCEEDED, again.message
        await core.check()


async def test_a_failed_user_resource_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        core.cloud.fail("create_network", 1, errors.no_capacity())
        await core.resources.create(NS, ResourceKind.NETWORK, "mine", "c1", {"cidr": "10.9.0.0/16", "subnets": []})
        await core.settled()
        (row,) = await core.all_resources()
        assert row.state is ResourceState.FAILED
        with pytest.raises(McisdError, match="is Failed"):
            await core.create("web", group("a", network="mine"))
        assert await core.vms() == []


async def _up(core: Core, count: int = 2) -> list[str]:
    await core.finished(await core.create("web", group("a", "c1", count)))
    return [vm.cloud_id for vm in await core.vms()]


async def test_a_vm_that_dies_is_failed_with_an_event(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ids = await _up(core)
        assert core.cloud.crash(ids[0])
        await core.until(lambda rows: any(vm.state is VmState.FAILED for vm in rows))
        (lost,) = await core.events("vm.failed")
        assert lost.data["errorCode"] == "lost"
        assert [vm.uid for vm in core.gone] == [vm.uid for vm in await core.vms() if vm.state is VmState.FAILED]
        done = await core.finished(await core.mcis.replace(NS, "web", "a-1", ME))
        assert done.state is OperationState.SUCCEEDED
        assert await core.states() == {"a-1": "Running", "a-2": "Running"}
        await core.check()


async def test_replace_on_another_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ids = await _up(core)
        core.cloud.crash(ids[0])
        await core.until(lambda rows: any(vm.state is VmState.FAILED for vm in rows))
        await core.finished(await core.mcis.replace(NS, "web", "a-1", ME, connection="c2"))
        assert {vm.connection for vm in await core.vms() if not vm.disposable} == {"c1", "c2"}
        await core.check()


async def test_stopped_behind_our_back_is_drift(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await _up(core)
        core.cloud.alive()[0].suspend(core.clock.monotonic())
        await core.until(lambda rows: any(vm.state is VmState.SUSPENDED for vm in rows))
        (event,) = await core.events("vm.suspended")
        assert "stopped" in str(event.data["text"])
        await core.check()


async def test_a_cloud_that_cannot_be_read_is_undefined_and_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await _up(core)
        refused = Rates(capacity=1.0)
        core.cloud.faults = Faults(per_api={"list_vm_status": refused, "list_vms": refused})
        await core.until(lambda rows: all(vm.state is VmState.UNDEFINED for vm in rows))
        core.cloud.faults = Faults()
        await core.until(lambda rows: all(vm.state is VmState.RUNNING for vm in rows))
        assert len(await core.events("vm.undefined")) == 2
        await core.check()


async def test_lists_that_lag_and_slow_changes_are_waited_for(tmp_path: Path) -> None:
    slow = MockSettings(boot=Spread(20.0, 0.3), stop=Spread(8.0), list_lag=20.0, get_lag=10.0, latency=Spread(0.1, 0.5))
    async with running(tmp_path, slow, speed=200.0) as core:
        done = await core.finished(await core.create("web", group("a", "c1", 4)))
        assert done.state is OperationState.SUCCEEDED, done.message
        done = await core.finished((await core.mcis.control(NS, "web", Action.SUSPEND, ME)).operation)
        assert done.state is OperationState.SUCCEEDED, done.message
        assert await core.events("vm.failed") == []
        await core.check()


@pytest.mark.parametrize("wait", [0.0, 0.004, 0.02, 0.08])
@pytest.mark.parametrize("lost", [False, True])
async def test_terminate_in_the_middle_of_a_create(tmp_path: Path, wait: float, lost: bool) -> None:
    slow = MockSettings(boot=Spread(5.0), terminate=Spread(0.2), latency=Spread(0.5), shown_terminated=1.0)
    async with running(tmp_path, slow) as core:
        if lost:
            core.cloud.lose("start_vm", 1)
            core.cloud.lose("start_vm", 2)
        create = await core.create("web", group("a", "c1", 2), group("b", "c2", 2))
        await core.clock.sleep(wait * 100)
        end = (await core.mcis.control(NS, "web", Action.TERMINATE, ME)).operation
        first, last = await core.finished(create), await core.finished(end)
        assert (first.state, first.failed) == (OperationState.FAILED, 4)
        assert "superseded" in first.message
        assert last.state is OperationState.SUCCEEDED, last.message
        assert core.cloud.alive() == []
        assert set((await core.states()).values()) == {"Terminated"}
        await core.check()


async def test_one_vm_is_taken_out_of_a_running_operation(tmp_path: Path) -> None:
    slow = MockSettings(boot=Spread(3.0), terminate=Spread(0.2))
    async with running(tmp_path, slow) as core:
        create = await core.create("web", group("a", "c1", 2), on_failure=OnFailure.ROLLBACK)
        remove = await core.mcis.remove(NS, "web", ["a-1"], ME)
        done = await core.finished(create)
        assert (done.state, done.succeeded, done.failed) == (OperationState.PARTIAL, 1, 1)
        assert (await core.finished(remove)).state is OperationState.SUCCEEDED
        assert await core.states() == {"a-2": "Running"}
        await core.check()


async def test_a_control_that_fails_says_so_and_the_vm_is_looked_at_again(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await _up(core)
        core.cloud.fail("suspend_vm", 1, CloudAuthError("no"))
        done = await core.finished((await core.mcis.control(NS, "web", Action.SUSPEND, ME)).operation)
        assert (done.state, done.failed) == (OperationState.PARTIAL, 1)
        await core.until(lambda rows: {vm.state for vm in rows} == {VmState.RUNNING, VmState.SUSPENDED})
        await core.check()


async def test_a_cloud_full_of_faults_still_leads_to_the_end(tmp_path: Path) -> None:
    rates = Rates(throttle=0.05, transient=0.05, lost=0.05, retry_after=0.001)
    async with running(tmp_path) as core:
        core.cloud.faults = Faults(rates)
        await core.finished(await core.create("web", group("a", "c1", 10), group("b", "c2", 10)), 40.0)
        for action in (Action.SUSPEND, Action.RESUME, Action.TERMINATE):
            await core.finished((await core.mcis.control(NS, "web", action, ME)).operation, 40.0)
        core.cloud.faults = Faults()
        await core.check()
        left = core.cloud.alive()
        assert [machine for machine in left if machine.look(0) is not CloudVmState.FAILED] == []
        await core.mcis.delete(NS, "web")
        await core.until(lambda rows: not rows)
        assert QUICK.shown_terminated
