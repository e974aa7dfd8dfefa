"""What a request says reaches the cloud as it should: key, image by alias, zone, hibernation; and what a cloud accepts
and never does ends."""

from dataclasses import replace
from pathlib import Path

import pytest

from mcisd.daemon.mcis.requests import Caller, VmGroup
from mcisd.drivers.mock.settings import MockSettings, Spread
from mcisd.model.states import Action, OperationState, ResourceKind
from tests.integration.control.harness import NS, QUICK, Core, group, running


async def control(core: Core, action: Action, *, hibernate: bool = False) -> tuple[OperationState, str]:
    """The outcome and message of a control of infra "web"."""
    wishes = await core.mcis.control(NS, "web", action, Caller(), hibernate=hibernate)
    done = await core.finished(wishes.operation)
    return done.state, done.message


async def test_the_key_travels_with_the_vm(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.finished(await core.create("web", group()))
        (machine,) = core.cloud.alive()
        key = next(row for row in await core.all_resources() if row.kind is ResourceKind.SSH_KEY)
        assert machine.request.public_key == key.body["public_key"]
        assert machine.request.public_key.startswith("ssh-ed25519 ")


@pytest.mark.parametrize(
    ("image", "found", "user", "architecture"),
    [
        ("", "mock-ubuntu-24.04", "ubuntu", "x86_64"),
        ("debian-12", "mock-debian-12", "debian", "x86_64"),
        ("debian-12:arm64", "mock-debian-12-arm", "debian", "arm64"),
        ("mock-debian-12", "mock-debian-12", "debian", "x86_64"),
    ],
)
async def test_images_by_alias(tmp_path: Path, image: str, found: str, user: str, architecture: str) -> None:
    arm = replace(QUICK.specs[0], id="mock.arm", architecture="arm64", price=0.0001)
    async with running(tmp_path, replace(QUICK, specs=(*QUICK.specs, arm))) as core:
        done = await core.finished(await core.create("web", VmGroup(name="a", connection="c1", image=image)))
        assert done.state is OperationState.SUCCEEDED, done.message
        (machine,) = core.cloud.alive()
        assert (machine.request.image_id, machine.request.guest_user) == (found, user)
        assert (machine.request.spec_id == "mock.arm") == (architecture == "arm64")
        assert (await core.vm("a-1")).guest_user == user


async def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        group = VmGroup(name="a", connection="c1", image="debian-13")
        done = await core.finished(await core.create("web", group))
        assert done.state is OperationState.FAILED
        assert "this cloud has no image debian-13 for x86_64" in done.message


async def test_an_unknown_zone_is_named(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        known = core.cloud.settings.regions[0].zones[0]
        good = VmGroup(name="a", connection="c1", zone=known)
        done = await core.finished(await core.create("web", good, VmGroup(name="b", connection="c1", zone="nowhere-z")))
        assert done.state is OperationState.PARTIAL
        assert "nowhere-z" in done.message
        assert {machine.request.zone for machine in core.cloud.alive()} == {known}


@pytest.mark.parametrize(
    ("action", "settings", "shown", "state"),
    [
        (Action.SUSPEND, replace(QUICK, stop=Spread(1e9)), "stopping", "Undefined"),
        (Action.TERMINATE, replace(QUICK, terminate=Spread(1e9)), "terminating", "Failed"),
    ],
)
async def test_what_is_accepted_and_never_carried_out_ends(
    tmp_path: Path, action: Action, settings: MockSettings, shown: str, state: str
) -> None:
    """The cloud takes the action and the VM stays on its way."""
    async with running(tmp_path, settings, overdue_after=20.0) as core:
        await core.finished(await core.create("web", group()))
        outcome, message = await control(core, action)
        assert outcome is OperationState.FAILED
        assert f"its cloud accepted the {action} long ago and still reports it {shown}" in message
        failed = await core.events("vm.failed")
        assert [event.data["errorCode"] for event in failed] == ["overdue"]
        assert core.cloud.calls[f"{action}_vm"] == 1
        assert await core.states() == {"a-1": state}


async def test_a_creation_that_is_never_carried_out_ends(tmp_path: Path) -> None:
    """The cloud takes the creation and the VM never boots; what is Failed can be terminated."""
    async with running(tmp_path, replace(QUICK, boot=Spread(1e9)), overdue_after=20.0) as core:
        done = await core.finished(await core.create("web", group()))
        assert done.state is OperationState.FAILED
        assert "its cloud accepted the create long ago and still reports it pending" in done.message
        assert await core.states() == {"a-1": "Failed"}
        assert (await control(core, Action.TERMINATE))[0] is OperationState.SUCCEEDED
        assert not core.cloud.alive()


async def test_what_a_retry_has_replaced_is_terminated_until_it_is_gone(tmp_path: Path) -> None:
    """Its user will not ask again."""
    async with running(tmp_path, replace(QUICK, boot=Spread(1e9), terminate=Spread(1e9)), overdue_after=20.0) as core:
        await core.finished(await core.create("web", group()))
        await core.mcis.retry(NS, "web", Caller())
        await core.until(lambda _: core.cloud.calls["terminate_vm"] >= 3)


async def test_hibernation_takes_its_own_call(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.finished(await core.create("web", group(count=2)))
        assert (await control(core, Action.SUSPEND, hibernate=True))[0] is OperationState.SUCCEEDED
        assert await core.states() == {"a-1": "Suspended", "a-2": "Suspended"}
        assert (core.cloud.calls["hibernate_vm"], core.cloud.calls["suspend_vm"]) == (2, 0)
        await control(core, Action.RESUME)
        await control(core, Action.SUSPEND)
        assert (core.cloud.calls["hibernate_vm"], core.cloud.calls["suspend_vm"]) == (2, 2)
        await core.check()


@pytest.mark.parametrize("effect", [True, False])
async def test_a_reboot_whose_answer_was_lost_is_not_asked_for_twice(tmp_path: Path, effect: bool) -> None:
    async with running(tmp_path) as core:
        await core.finished(await core.create("web", group()))
        core.cloud.lose("reboot_vm", effect=effect)
        state, message = await control(core, Action.REBOOT)
        assert state is OperationState.FAILED
        assert "reboot may have taken place or not: look, then ask again" in message
        assert core.cloud.calls["reboot_vm"] == 1
        await core.until(lambda vms: all(vm.state.value == "Running" for vm in vms))
        assert (await control(core, Action.REBOOT))[0] is OperationState.SUCCEEDED
