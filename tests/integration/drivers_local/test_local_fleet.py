"""Eighteen VMs at the cloud's normal pace, all at once: created, reached, suspended, resumed, terminated."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcisd.model.cloud import CloudVmState
from tests.integration.drivers_local.local_lab import Lab, Vm, running

State = CloudVmState
COUNT = 18
GOAL = 6.0


@pytest.fixture
async def normal(cloud_home: Path) -> AsyncIterator[Lab]:
    lab = Lab(cloud_home, delay_scale="1.0")
    yield lab
    await lab.close()


async def test_eighteen_at_once(normal: Lab) -> None:
    regions = ["us-east-1", "us-west-1", "ap-northeast-1"]
    clouds = [await normal.connect(region) for region in regions]
    for cloud in clouds:
        await normal.request(cloud)  # network and key, so that only VMs are timed
    begun = time.monotonic()

    async def reachable(number: int) -> Vm:
        vm = await normal.vm(clouds[number % len(clouds)])
        async with await normal.ssh(vm) as host:
            assert (await host.run(f"echo {number}")).stdout == f"{number}\n"
        return vm

    fleet = await asyncio.gather(*(reachable(number) for number in range(COUNT)))
    assert time.monotonic() - begun < GOAL
    assert len({vm.info.public_address for vm in fleet}) == COUNT
    inits = [json.loads(normal.meta_path(vm).read_text())["init_pid"] for vm in fleet]
    assert all(_rss_kib(pid) < 10 * 1024 for pid in inits)
    for action, state in (
        ("suspend_vm", State.STOPPED),
        ("resume_vm", State.RUNNING),
        ("terminate_vm", State.TERMINATED),
    ):
        by_cloud = [(clouds[number % len(clouds)], vm.info.id) for number, vm in enumerate(fleet)]
        await asyncio.gather(*(getattr(cloud, action)(vm_id) for cloud, vm_id in by_cloud))
        await asyncio.gather(*(normal.reach(cloud, vm_id, state) for cloud, vm_id in by_cloud))
    assert not any(running(pid) for pid in inits)


async def test_program_says_what_it_did(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "mcisd.drivers.local.cloud", "--home", str(tmp_path)]

    async def say(*options: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(*program, *options, stdout=-1, stderr=-1)
        out, err = await process.communicate()
        return process.returncode, (out + err).decode().strip()

    assert await say("--stop") == (0, "the local cloud is not running")
    assert await say("--background") == (0, "")
    assert await say("--background") == (0, "")
    assert await say("--stop", "--terminate-all") == (0, "the local cloud has stopped, its VMs are terminated")
    assert not (tmp_path / "cloud.sock").exists()
    assert await asyncio.gather(*(say("--background") for _ in range(3))) == [(0, "")] * 3
    assert await say("--stop") == (0, "the local cloud has stopped; its VMs go on")
    await asyncio.sleep(1.0)  # none of the three may come up late
    assert await say("--stop") == (0, "the local cloud is not running")
    code, text = await say("--home", "/" + "x" * 120)
    assert code == 2
    assert "too long" in text


def _rss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
