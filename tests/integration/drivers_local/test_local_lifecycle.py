"""What happens to real processes when a local VM is suspended, resumed, rebooted, crashed, terminated."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import asyncssh
import pytest

from mcisd.drivers.local.driver import LocalConnection
from mcisd.model.cloud import CloudVmState
from mcisd.model.errors import CloudConflictError
from tests.integration.drivers_local.local_lab import Lab, Vm, eventually, running

State = CloudVmState
COUNTER = (
    "nohup sh -c 'n=0; while :; do n=$((n+1)); echo $n > new; mv new count; sleep 0.01; done' >/dev/null 2>&1 & echo $!"
)
ESCAPES = """
(setsid sleep 311 >/dev/null 2>&1 &) ; (env -i setsid sh -c 'sleep 312 & sleep 313' >/dev/null 2>&1 &)
setsid sh -c '(setsid sleep 314 &) &' >/dev/null 2>&1
nohup sh -c 'while :; do (setsid sleep 0.03 &); sleep 0.005; done' >/dev/null 2>&1 &
"""


@pytest.fixture
async def cloud(lab: Lab) -> LocalConnection:
    return await lab.connect()


async def run(lab: Lab, vm: Vm, command: str) -> str:
    async with await lab.ssh(vm) as host:
        done = await host.run(command, check=True)
    return str(done.stdout)


def members(vm: Vm) -> list[int]:
    """Processes whose working directory is the VM's: found without looking at the tree."""
    return [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if vm.info.id in _where(path) and running(int(path.name))
    ]


def _where(process: Path) -> str:
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return ""


def refused(vm: Vm) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((vm.info.public_address, vm.info.ssh_port)) != 0


async def test_states_pass_through_transitions(lab: Lab, cloud: LocalConnection) -> None:
    request = await lab.request(cloud)
    made = await cloud.start_vm(request)
    assert (made.state, made.public_address) == (State.PENDING, "")
    with pytest.raises(CloudConflictError):
        await cloud.suspend_vm(made.id)
    await lab.reach(cloud, made.id, State.RUNNING)
    await cloud.suspend_vm(made.id)
    assert (await cloud.get_vm(made.id)).state is State.STOPPING
    with pytest.raises(CloudConflictError):
        await cloud.resume_vm(made.id)
    await lab.reach(cloud, made.id, State.STOPPED)
    await cloud.resume_vm(made.id)
    assert (await cloud.get_vm(made.id)).state is State.PENDING
    await lab.reach(cloud, made.id, State.RUNNING)
    await cloud.terminate_vm(made.id)
    assert (await cloud.get_vm(made.id)).state in (State.TERMINATING, State.TERMINATED)
    assert (await lab.reach(cloud, made.id, State.TERMINATED)).id == made.id


async def test_suspend_stops_and_resume_goes_on(lab: Lab, cloud: LocalConnection) -> None:
    vm = await lab.vm(cloud)
    pid = int(await run(lab, vm, COUNTER))
    await run(lab, vm, ESCAPES)
    count = lab.meta_path(vm).parent / "home" / "count"
    await asyncio.sleep(0.2)
    await cloud.suspend_vm(vm.info.id)
    await lab.reach(cloud, vm.info.id, State.STOPPED)
    assert refused(vm)
    before = count.read_text()
    await asyncio.sleep(0.3)
    assert count.read_text() == before
    await cloud.resume_vm(vm.info.id)
    await lab.reach(cloud, vm.info.id, State.RUNNING)
    await asyncio.sleep(0.3)
    assert int(await run(lab, vm, f"test -d /proc/{pid} && cat count")) > int(before)
    await cloud.terminate_vm(vm.info.id)
    await lab.reach(cloud, vm.info.id, State.TERMINATED)
    assert members(vm) == []


async def test_reboot_runs_the_boot_file_and_kills_the_rest(lab: Lab, cloud: LocalConnection) -> None:
    vm = await lab.vm(cloud)
    first = json.loads(lab.meta_path(vm).read_text())
    boot = "#!/bin/sh\\necho boot >> booted\\nnohup sleep 321 >/dev/null 2>&1 &\\necho $! > started\\n"
    await run(lab, vm, f"printf '{boot}' > .rc.local; chmod +x .rc.local; echo kept > file")
    old = int(await run(lab, vm, "setsid sleep 322 >/dev/null 2>&1 & echo $!"))
    await cloud.reboot_vm(vm.info.id)
    back = await lab.reach(cloud, vm.info.id, State.RUNNING)
    assert back.public_address == vm.info.public_address
    assert not running(old)
    assert not running(first["init_pid"])
    text = (await run(lab, vm, "sleep 0.3; cat booted started file")).split()
    assert (text[0], text[2]) == ("boot", "kept")
    assert running(int(text[1]))
    second = json.loads(lab.meta_path(vm).read_text())
    assert second["init_pid"] != first["init_pid"]
    assert second["booted_at"] > first["booted_at"]


@pytest.mark.parametrize("suspended", [False, True])
async def test_terminate_leaves_nothing(lab: Lab, cloud: LocalConnection, suspended: bool) -> None:
    vm = await lab.vm(cloud)
    await run(lab, vm, ESCAPES)
    assert len(members(vm)) >= 5
    if suspended:
        await cloud.suspend_vm(vm.info.id)
        await lab.reach(cloud, vm.info.id, State.STOPPED)
    await cloud.terminate_vm(vm.info.id)
    await lab.reach(cloud, vm.info.id, State.TERMINATED)
    assert members(vm) == []
    assert not lab.meta_path(vm).parent.exists()
    assert not (lab.home / "objects" / "vm" / f"{vm.info.id}.json").exists()
    assert refused(vm)


async def test_crash_looks_like_a_lost_host(lab: Lab, cloud: LocalConnection) -> None:
    vm = await lab.vm(cloud)
    host = await lab.ssh(vm)
    await cloud.crash_vm(vm.info.id)
    await host.wait_closed()

    async def look() -> list[int]:
        return members(vm)

    await eventually(look, lambda found: not found, "the end of all processes")
    lost = await lab.reach(cloud, vm.info.id, State.FAILED)
    assert "lost" in lost.reason
    assert refused(vm)
    with pytest.raises(CloudConflictError):
        await cloud.resume_vm(vm.info.id)


async def test_dead_init_is_noticed(lab: Lab, cloud: LocalConnection) -> None:
    vm = await lab.vm(cloud)
    away = int(await run(lab, vm, "cd /; setsid sleep 341 >/dev/null 2>&1 & echo $!"))
    await run(lab, vm, "env -i setsid sleep 342 >/dev/null 2>&1 &")
    os.kill(json.loads(lab.meta_path(vm).read_text())["init_pid"], signal.SIGKILL)
    assert "first process ended" in (await lab.reach(cloud, vm.info.id, State.FAILED)).reason
    assert refused(vm)

    async def look() -> bool:
        return running(away) or bool(members(vm))

    await eventually(look, lambda alive: not alive, "the end of what outlived the init")


async def test_two_vms_share_a_port_not_an_address(lab: Lab, cloud: LocalConnection) -> None:
    one, two = await asyncio.gather(lab.vm(cloud), lab.vm(cloud))
    assert one.info.ssh_port == two.info.ssh_port
    assert one.info.public_address != two.info.public_address
    answers = await asyncio.gather(run(lab, one, "pwd"), run(lab, two, "pwd"))
    assert answers[0] != answers[1]
    swapped = Vm(two.info, one.host_key, two.request)
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await lab.ssh(swapped)
