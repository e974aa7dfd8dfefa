"""The life of an MCIS on the mock cloud: create, control, expand, delete; requests in, states and events out."""

from pathlib import Path

import pytest

from mcisd.daemon.mcis.requests import Caller
from mcisd.daemon.mcis.status import aggregate
from mcisd.model.errors import ConflictError, InUseError, NotFoundError, StateError
from mcisd.model.states import Action, OperationState, ResourceKind, VmState
from tests.integration.control.harness import INSTALLATION, NS, Core, group, running

ME = Caller()


async def _both(core: Core) -> None:
    operation = await core.finished(await core.create("web", group("a", "c1", 2), group("b", "c2", 2)))
    assert operation.state is OperationState.SUCCEEDED
    assert operation.succeeded == 4


async def test_create_brings_all_to_running(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await _both(core)
        rows = await core.vms("web")
        assert aggregate(vm.state for vm in rows) == "Running:4 (R:4/4)"
        assert {vm.name for vm in rows} == {"a-1", "a-2", "b-1", "b-2"}
        assert all(vm.public_address and vm.cloud_id and vm.vcpus and vm.price for vm in rows)
        assert len(await core.events("vm.running")) == 4
        assert len(await core.events("operation.finished")) == 1
        assert core.cloud.calls["start_vm"] == 4
        assert core.cloud.calls["create_network"] == 2
        await core.check()


@pytest.mark.parametrize("one", [False, True])
async def test_every_action_in_turn(tmp_path: Path, one: bool) -> None:
    async with running(tmp_path) as core:
        await _both(core)
        for action, state in (
            (Action.SUSPEND, VmState.SUSPENDED),
            (Action.RESUME, VmState.RUNNING),
            (Action.REBOOT, VmState.RUNNING),
            (Action.TERMINATE, VmState.TERMINATED),
        ):
            if one:
                wishes = await core.mcis.control_vm(NS, "web", "a-1", action, ME)
            else:
                wishes = await core.mcis.control(NS, "web", action, ME)
            assert wishes.skipped == {}
            operation = await core.finished(wishes.operation)
            assert operation.state is OperationState.SUCCEEDED, operation.message
            states = await core.states()
            assert states["a-1"] == state.value
            assert states["b-2"] == ("Running" if one else state.value)
        await core.check()


async def test_delete_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await _both(core)
        with pytest.raises(StateError, match="still has 4"):
            await core.mcis.delete(NS, "web")
        await core.finished((await core.mcis.control(NS, "web", Action.TERMINATE, ME)).operation)
        await core.mcis.delete(NS, "web")
        await core.until(lambda rows: not rows)
        while await core.all_resources():
            await core.clock.sleep(0.3)
        assert core.cloud.leftovers(INSTALLATION) == {}
        await core.check()


async def test_expand_continues_the_numbers(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.finished(await core.create("web", group("a", "c1", 2)))
        await core.finished(await core.mcis.expand(NS, "web", (group("a", "c2", 1),), ME))
        assert await core.states() == {"a-1": "Running", "a-2": "Running", "a-3": "Running"}
        await core.check()


async def test_remove_forgets_the_vm(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await _both(core)
        done = await core.finished(await core.mcis.remove(NS, "web", ["a-1", "a-1"], ME))
        assert done.state is OperationState.SUCCEEDED
        assert set(await core.states()) == {"a-2", "b-1", "b-2"}
        await core.check()


async def test_one_key_is_one_create(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        first = await core.create("web", group(), key="k1")
        again = await core.create("web", group(), key="k1")
        assert again.uid == first.uid
        with pytest.raises(ConflictError, match="another request"):
            await core.mcis.expand(NS, "web", (group("b"),), Caller(key="k1", request_hash="other"))
        await core.finished(first)
        assert len(await core.vms()) == 1
        await core.check()


async def test_a_resource_in_use_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.finished(await core.create("web", group()))
        for row in await core.all_resources():
            with pytest.raises(InUseError):
                await core.resources.delete(NS, row.kind, row.name)
        await core.check()


async def test_user_resources_outlive_the_vms(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.resources.create(NS, ResourceKind.NETWORK, "mine", "c1", {"cidr": "10.9.0.0/16", "subnets": []})
        await core.finished(await core.create("web", group("a", network="mine")))
        await core.finished((await core.mcis.control(NS, "web", Action.TERMINATE, ME)).operation)
        await core.mcis.delete(NS, "web")
        while len(left := await core.all_resources()) > 1:
            await core.clock.sleep(0.3)
        assert [(row.name, row.state.value) for row in left] == [("mine", "Ready")]
        assert core.cloud.leftovers(INSTALLATION) == {"network": 1}
        await core.resources.delete(NS, ResourceKind.NETWORK, "mine")
        while await core.all_resources():
            await core.clock.sleep(0.3)
        assert core.cloud.leftovers(INSTALLATION) == {}


async def test_own_network_and_automatic_ones_side_by_side(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.resources.create(NS, ResourceKind.NETWORK, "mine", "c1", {"cidr": "10.9.0.0/16", "subnets": []})
        one = await core.create("one", group("a", network="mine"))
        two = await core.create("two", group("a"))
        three = await core.create("three", group("a", network="mine"))
        for operation in (one, two, three):
            assert (await core.finished(operation)).state is OperationState.SUCCEEDED
        kinds = [row.kind for row in await core.all_resources()]
        assert kinds.count(ResourceKind.SECURITY_GROUP) == 2
        assert kinds.count(ResourceKind.NETWORK) == 2
        await core.check()


async def test_rollback_and_unknown_names(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.finished(await core.create("web", group()))
        with pytest.raises(StateError, match="no create or expand that failed"):
            await core.mcis.rollback(NS, "web", ME)
        with pytest.raises(NotFoundError):
            await core.mcis.control(NS, "nope", Action.SUSPEND, ME)
        with pytest.raises(StateError, match="nothing to resume"):
            await core.mcis.control(NS, "web", Action.RESUME, ME)
