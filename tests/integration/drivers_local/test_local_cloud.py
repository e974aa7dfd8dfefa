"""The cloud's process: started by the driver, killed, found again; tokens, accounts, tags."""

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from mcisd.drivers.local import launch, proctree
from mcisd.model.cloud import CloudVmState, KeyPairRequest
from mcisd.model.errors import CloudAuthError, CloudInvalidError, CloudNotFoundError
from tests.integration.drivers_local.local_lab import Lab, eventually, make_key, running

State = CloudVmState


async def test_only_the_owner_reaches_the_cloud(lab: Lab) -> None:
    await lab.connect()
    assert stat.S_IMODE(lab.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((lab.home / "cloud.sock").stat().st_mode) == 0o600
    assert os.getsid(lab.cloud_pid()) != os.getsid(0)


async def test_only_one_cloud_per_home(lab: Lab) -> None:
    await asyncio.gather(*(lab.connect() for _ in range(4)))
    program = [sys.executable, "-m", "mcisd.drivers.local.cloud", "--home", str(lab.home)]
    second = await asyncio.create_subprocess_exec(*program, stderr=asyncio.subprocess.PIPE)
    _, said = await second.communicate()
    assert second.returncode == 0
    assert b"already" in said


async def test_accounts_are_known_by_their_secret(lab: Lab) -> None:
    await (await lab.connect()).check()
    with pytest.raises(CloudAuthError) as caught:
        await (await lab.connect(secret="something-else")).check()
    assert "something-else" not in str(caught.value)
    for wrong in ({"secret": ""}, {"account": ""}, {"secret": "line\nbreak"}):
        with pytest.raises(CloudAuthError):
            await lab.connect(**wrong)
    kept = "".join(path.read_text() for path in (lab.home / "objects" / "account").iterdir())
    assert '"open"' not in kept


async def test_accounts_and_regions_do_not_see_each_other(lab: Lab) -> None:
    here = await lab.connect()
    vm = await lab.vm(here)
    for other in (await lab.connect(region="asia-east1"), await lab.connect(account=f"{lab.account}-2")):
        assert await other.list_vms() == []
        with pytest.raises(CloudNotFoundError):
            await other.get_vm(vm.info.id)
        await other.terminate_vm(vm.info.id)
    assert (await here.get_vm(vm.info.id)).state is State.RUNNING


async def test_lists_hold_only_ours(lab: Lab) -> None:
    ours, theirs = await lab.connect(), await lab.connect(installation="another")
    vm = await lab.vm(ours)
    assert [row.id for row in await ours.list_vm_status()] == [vm.info.id]
    assert await theirs.list_vm_status() == []
    assert await theirs.list_networks() == []


async def test_a_lost_answer_is_settled_by_the_token(lab: Lab) -> None:
    cloud = await lab.connect()
    request = await lab.request(cloud)
    asked = asyncio.ensure_future(cloud.start_vm(request))
    found = await eventually(cloud.list_vm_status, bool, "the VM")
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await lab.kill_cloud()
    assert (await (await lab.connect()).start_vm(request)).id == found[0].id
    assert (await lab.reach(cloud, found[0].id, State.RUNNING)).token == request.token
    assert len(await cloud.list_vms()) == 1


async def test_killed_cloud_finds_its_vms_again(lab: Lab) -> None:
    cloud = await lab.connect()
    up, asleep, doomed = await asyncio.gather(*(lab.vm(cloud) for _ in range(3)))
    async with await lab.ssh(up) as host:
        pid = int(str((await host.run("nohup sleep 331 >/dev/null 2>&1 & echo $!")).stdout))
    await cloud.suspend_vm(asleep.info.id)
    await lab.reach(cloud, asleep.info.id, State.STOPPED)
    booting = await cloud.start_vm(await lab.request(cloud))
    await cloud.terminate_vm(doomed.info.id)
    before = json.loads(lab.meta_path(up).read_text())["init_pid"]
    await lab.kill_cloud()
    assert running(pid)
    states = {row.id: row.state for row in await (await lab.connect()).list_vm_status()}
    assert states[up.info.id] is State.RUNNING
    assert states[asleep.info.id] is State.STOPPED
    async with await lab.ssh(up) as host:
        assert (await host.run("echo again")).stdout == "again\n"
    assert pid in {process.pid for process in proctree.descendants(before)}
    await lab.reach(cloud, booting.id, State.RUNNING)
    await cloud.resume_vm(asleep.info.id)
    await lab.reach(cloud, asleep.info.id, State.RUNNING)
    async with await lab.ssh(asleep) as host:
        assert (await host.run("true")).exit_status == 0
    await lab.reach(cloud, doomed.info.id, State.TERMINATED)
    assert not lab.meta_path(doomed).parent.exists()
    await cloud.terminate_vm(up.info.id)

    async def look() -> bool:
        return running(pid) or running(before)

    await eventually(look, lambda alive: not alive, "the end of the VM's processes")


async def test_stop_leaves_vms_and_start_finds_them(lab: Lab) -> None:
    cloud = await lab.connect()
    vm = await lab.vm(cloud)
    assert (
        await asyncio.to_thread(launch.stop, lab.home, terminate=False) == "the local cloud has stopped; its VMs go on"
    )
    assert await asyncio.to_thread(launch.stop, lab.home, terminate=False) == "the local cloud is not running"
    assert (await cloud.get_vm(vm.info.id)).state is State.RUNNING
    async with await lab.ssh(vm) as host:
        assert (await host.run("echo here")).stdout == "here\n"


async def test_oversized_request_is_refused(lab: Lab) -> None:
    cloud = await lab.connect()
    line = make_key().export_public_key().decode()
    with pytest.raises(CloudInvalidError, match="larger"):
        await cloud.create_key_pair(KeyPairRequest("t", "k", line, {"huge": "x" * 300_000}))


async def test_home_with_too_long_a_path_is_refused(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(CloudInvalidError, match="too long"):
        await lab.connect(home=str(tmp_path / ("x" * 120)))
