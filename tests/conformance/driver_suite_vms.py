"""Rules for VMs. In: a bench. Out: tests."""

import asyncio
from dataclasses import replace

import pytest

from mcisd.drivers.base import CloudConnection, CrashHandler, NetworkHandler, SecurityGroupHandler, VmHandler
from mcisd.drivers.gated import handler
from mcisd.model.cloud import CloudVmState, VmInfo
from mcisd.model.errors import CloudConflictError, CloudInvalidError, CloudNotFoundError
from tests.conformance.driver_bench import ENDED, TAG, DriverBench, fresh
from tests.conformance.driver_suite_base import NOWHERE, Rules, need
from tests.conformance.driver_suite_resources import ODD_IDS

State = CloudVmState


async def opened(bench: DriverBench) -> tuple[CloudConnection, VmHandler]:
    """One connection, as itself and as what it can do with VMs."""
    connection = await bench.open()
    need(connection, VmHandler)
    return connection, handler(connection, VmHandler)


async def living(vms: VmHandler) -> list[VmInfo]:
    return [vm for vm in await vms.list_vms() if vm.state not in ENDED]


class VmRules(Rules):
    async def test_start_gives_what_was_asked(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        furniture = await bench.furnish(connection)
        request = bench.vm_request(furniture)
        asked = await vms.start_vm(request)
        assert asked.state in (State.PENDING, State.RUNNING)
        vm = await bench.reach(connection, asked.id, State.RUNNING)
        assert (vm.id, vm.name, vm.token) == (asked.id, "suite-vm", request.token)
        assert (vm.image_id, vm.spec_id, vm.network_id) == (bench.image_id, bench.spec_id, furniture.network.id)
        assert vm.region == bench.spec.region
        assert vm.guest_user == "suite"
        assert vm.public_address
        assert vm.private_address
        assert vm.started_at is not None
        assert 0 < vm.ssh_port < 65536
        assert vm.tags["purpose"] == "suite"
        assert vm.tags[TAG] == bench.installation

    async def test_one_vm_per_token(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        made = await asyncio.gather(*(vms.start_vm(request) for _ in range(5)))
        _, elsewhere = await opened(bench)
        again = await elsewhere.start_vm(request)
        assert {vm.id for vm in made} == {again.id}
        await bench.reach(connection, again.id, State.RUNNING)
        listed = await bench.eventually(lambda: living(vms), lambda found: bool(found), "the VM in the list")
        assert [vm.id for vm in listed] == [again.id]
        assert (await vms.start_vm(request)).id == again.id

    async def test_other_tokens_give_other_vms(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        made = await asyncio.gather(*(vms.start_vm(replace(request, token=fresh("tok"))) for _ in range(3)))
        ids = sorted(vm.id for vm in made)
        assert len(set(ids)) == 3
        listed = await bench.eventually(lambda: living(vms), lambda found: len(found) >= 3, "three VMs")
        assert sorted(vm.id for vm in listed) == ids
        up = await asyncio.gather(*(bench.reach(connection, vm_id, State.RUNNING) for vm_id in ids))
        assert len({(vm.private_address, vm.ssh_port) for vm in up}) == 3

    async def test_cancelled_start_is_settled_by_its_token(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        for steps in (0, 1, 3):
            task = asyncio.ensure_future(vms.start_vm(request))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        vm = await vms.start_vm(request)
        await bench.reach(connection, vm.id, State.RUNNING)
        listed = await bench.eventually(lambda: living(vms), lambda found: bool(found), "the VM in the list")
        assert [found.id for found in listed] == [vm.id]

    async def test_bulk_status_agrees_with_get(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        vm = await bench.running(connection)
        rows = await bench.eventually(vms.list_vm_status, lambda found: bool(found), "a status row")
        assert [(row.id, row.token, row.state) for row in rows] == [(vm.id, vm.token, State.RUNNING)]
        assert (await vms.get_vm(vm.id)).state is State.RUNNING
        assert [(found.id, found.tags) for found in await vms.list_vms()] == [(vm.id, vm.tags)]

    async def test_suspend_and_resume(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        vm = await bench.running(connection)
        await vms.resume_vm(vm.id)
        assert (await vms.get_vm(vm.id)).state is State.RUNNING
        await vms.suspend_vm(vm.id)
        await bench.reach(connection, vm.id, State.STOPPED)
        await vms.suspend_vm(vm.id)
        assert (await vms.get_vm(vm.id)).state is State.STOPPED
        with pytest.raises(CloudConflictError):
            await vms.reboot_vm(vm.id)
        await vms.resume_vm(vm.id)
        back = await bench.reach(connection, vm.id, State.RUNNING)
        assert (back.id, back.token, back.private_address) == (vm.id, vm.token, vm.private_address)

    async def test_reboot_keeps_the_vm(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        vm = await bench.running(connection)
        await vms.reboot_vm(vm.id)
        back = await bench.reach(connection, vm.id, State.RUNNING)
        assert (back.id, back.private_address) == (vm.id, vm.private_address)

    async def test_terminate(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        vm = await bench.running(connection)
        await vms.terminate_vm(vm.id)
        await vms.terminate_vm(vm.id)
        await bench.ended(connection, vm.id)
        await vms.terminate_vm(vm.id)
        await vms.terminate_vm(NOWHERE)
        assert await living(vms) == []
        for action in (vms.suspend_vm, vms.resume_vm, vms.reboot_vm):
            with pytest.raises((CloudConflictError, CloudNotFoundError)):
                await action(vm.id)

    async def test_a_late_second_try_does_not_bring_a_vm_back(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        vm = await vms.start_vm(request)
        await vms.terminate_vm(vm.id)
        await bench.ended(connection, vm.id)
        late = await vms.start_vm(request)
        assert (late.id, late.state in ENDED) == (vm.id, True)
        assert await living(vms) == []

    async def test_terminate_while_it_boots_and_while_it_is_stopped(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        booting = await bench.start(connection)
        await vms.terminate_vm(booting.id)
        await bench.ended(connection, booting.id)
        stopped = await bench.running(connection)
        await vms.suspend_vm(stopped.id)
        await bench.reach(connection, stopped.id, State.STOPPED)
        await vms.terminate_vm(stopped.id)
        await bench.ended(connection, stopped.id)

    async def test_what_a_vm_uses_stays(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        need(connection, SecurityGroupHandler)
        groups, networks = handler(connection, SecurityGroupHandler), handler(connection, NetworkHandler)
        furniture = await bench.furnish(connection)
        vm = await vms.start_vm(bench.vm_request(furniture))
        for _ in range(2):  # booting, then running
            with pytest.raises(CloudConflictError):
                await groups.delete_security_group(furniture.group.id)
            with pytest.raises(CloudConflictError):
                await networks.delete_network(furniture.network.id)
            await bench.reach(connection, vm.id, State.RUNNING)
        await vms.terminate_vm(vm.id)
        await bench.ended(connection, vm.id)
        await groups.delete_security_group(furniture.group.id)
        await networks.delete_network(furniture.network.id)

    async def test_unknown_vm(self, bench: DriverBench) -> None:
        _, vms = await opened(bench)
        for action in (vms.get_vm, vms.suspend_vm, vms.resume_vm, vms.reboot_vm):
            with pytest.raises(CloudNotFoundError):
                await action(NOWHERE)

    @pytest.mark.parametrize("odd", ODD_IDS)
    async def test_odd_vm_ids_are_refused(self, bench: DriverBench, odd: str) -> None:
        _, vms = await opened(bench)
        for action in (vms.get_vm, vms.suspend_vm, vms.resume_vm, vms.reboot_vm):
            with pytest.raises((CloudNotFoundError, CloudInvalidError)):
                await action(odd)

    @pytest.mark.parametrize("field", ["image_id", "spec_id", "network_id", "subnet_id", "key_pair_id"])
    async def test_unknown_reference_is_refused(self, bench: DriverBench, field: str) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        match field:
            case "image_id":
                wrong = replace(request, image_id=NOWHERE)
            case "spec_id":
                wrong = replace(request, spec_id=NOWHERE)
            case "network_id":
                wrong = replace(request, network_id=NOWHERE)
            case "subnet_id":
                wrong = replace(request, subnet_id=NOWHERE)
            case _:
                wrong = replace(request, key_pair_id=NOWHERE)
        with pytest.raises((CloudInvalidError, CloudNotFoundError)):
            await vms.start_vm(wrong)
        assert await living(vms) == []
        right = await vms.start_vm(request)
        assert right.token == request.token, "a refused request must not use up its token"

    async def test_strangers_see_nothing(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        stranger = handler(await bench.open(fresh("other")), VmHandler)
        await bench.running(connection)
        await bench.eventually(vms.list_vm_status, lambda found: bool(found), "our VM")
        assert await stranger.list_vm_status() == []
        assert await stranger.list_vms() == []

    async def test_a_new_connection_finds_the_vm_by_its_token(self, bench: DriverBench) -> None:
        connection, _ = await opened(bench)
        vm = await bench.running(connection)
        await connection.close()
        _, vms = await opened(bench)
        rows = await bench.eventually(vms.list_vm_status, lambda found: bool(found), "our VM")
        assert [(row.id, row.token) for row in rows] == [(vm.id, vm.token)]

    async def test_crash(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        need(connection, CrashHandler)
        vm = await bench.running(connection)
        await handler(connection, CrashHandler).crash_vm(vm.id)
        broken = await bench.reach(connection, vm.id, State.FAILED)
        assert broken.reason
        assert [(row.state, bool(row.reason)) for row in await vms.list_vm_status()] == [(State.FAILED, True)]
        await vms.terminate_vm(vm.id)
        await bench.ended(connection, vm.id)
