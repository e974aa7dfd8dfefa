"""The installation on a real shell, over real SSH, with the real agent. There is no collector: the agent spools."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcisd.daemon.fleet.installer import install_agent, remove_agent
from mcisd.daemon.fleet.payload import install_tar
from mcisd.daemon.fleet.ssh import SshPool
from mcisd.model.errors import HostCommandError, HostDiskFullError, HostUnreachableError
from tests.integration.fleet.fleet_host import FleetHost, runs, until
from tests.integration.fleet.fleet_spec import TOKEN, agents, loops, make_spec, pids_with, tools, zipapp


@pytest.fixture
async def vm(host: FleetHost) -> AsyncIterator[FleetHost]:
    """The host as a VM of the local cloud: reboot is by ~/.rc.local; nothing of it outlives the test."""
    host.env["MCISD_LOCAL_VM"] = str(host.home / "meta.json")
    meta = {"id": "i-1", "name": "vm", "init_pid": os.getpid(), "vcpus": 1, "memory_mib": 512, "disk_gib": 1}
    meta |= {"address": "127.0.0.1", "home": str(host.home), "booted_at": 1.7e9}
    (host.home / "meta.json").write_text(json.dumps(meta))
    yield host
    for pid in loops(host) + agents(host):
        os.kill(pid, signal.SIGKILL)


async def test_install_leaves_one_running_agent_with_private_files(vm: FleetHost, pool: SshPool) -> None:
    result = await install_agent(pool, vm.target(), make_spec(), timeout=30)
    assert result.how == "rc.local"
    assert result.python.startswith("3.")
    assert len(agents(vm)) == len(loops(vm)) == 1
    home = vm.home / ".mcisd"
    assert sorted(path.name for path in home.iterdir()) == ["agent"]
    assert stat.S_IMODE((home / "agent" / "agent.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert len(vm.started) == 1


async def test_reinstalling_leaves_one_agent_and_keeps_its_spool(vm: FleetHost, pool: SshPool) -> None:
    await install_agent(pool, vm.target(), make_spec(), timeout=30)
    first = agents(vm)
    (vm.home / ".mcisd/agent/spool").mkdir(exist_ok=True)
    (vm.home / ".mcisd/agent/spool/kept").write_text("x")
    await install_agent(pool, vm.target(), make_spec(version="2"), timeout=30)
    assert len(agents(vm)) == len(loops(vm)) == 1
    assert agents(vm) != first
    assert (vm.home / ".mcisd/agent/spool/kept").exists()
    assert (vm.home / ".mcisd/agent/version").read_text() == "2\n"
    assert (vm.home / ".rc.local").read_text().count("run.sh") == 1


async def test_two_installations_at_once_leave_one_agent(vm: FleetHost, pool: SshPool) -> None:
    await asyncio.gather(*(install_agent(pool, vm.target(), make_spec(), timeout=40) for _ in range(2)))
    assert len(agents(vm)) == len(loops(vm)) == 1


async def test_a_killed_agent_comes_back(vm: FleetHost, pool: SshPool) -> None:
    await install_agent(pool, vm.target(), make_spec(), timeout=30)
    (old,) = agents(vm)
    os.kill(old, signal.SIGKILL)
    await until(lambda: not runs(old) and len(agents(vm)) == 1)
    assert len(loops(vm)) == 1


async def test_the_boot_file_starts_the_agent_again_once(vm: FleetHost, pool: SshPool) -> None:
    await install_agent(pool, vm.target(), make_spec(), timeout=30)
    for pid in loops(vm) + agents(vm):
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not agents(vm))
    for _ in range(2):
        assert (await pool.run(vm.target(), "./.rc.local", timeout=10)).ok
    await until(lambda: len(agents(vm)) == 1)
    await until(lambda: len(loops(vm)) == 1)


@pytest.mark.parametrize(("status", "again"), [(0, False), (64, False), (1, True)])
async def test_the_loop_obeys_the_exit_code(vm: FleetHost, pool: SshPool, status: int, again: bool) -> None:
    code = f"import sys, time; open('runs', 'a').write('x'); time.sleep(1.8); sys.exit({status})"
    await install_agent(pool, vm.target(), make_spec(zipapp(code)), timeout=30)
    file = vm.home / ".mcisd/agent/runs"
    if again:
        await until(lambda: file.read_text() == "xx")
    else:
        await until(lambda: not loops(vm))
        assert file.read_text() == "x"


async def test_remove_leaves_nothing_and_keeps_what_is_not_ours(vm: FleetHost, pool: SshPool) -> None:
    (vm.home / ".rc.local").write_text("#!/bin/sh\necho mine\n")
    await install_agent(pool, vm.target(), make_spec(), timeout=30)
    await remove_agent(pool, vm.target(), timeout=30)
    assert not agents(vm)
    assert not loops(vm)
    assert not (vm.home / ".mcisd").exists()
    assert (vm.home / ".rc.local").read_text() == "#!/bin/sh\necho mine\n"
    await remove_agent(pool, vm.target(), timeout=30)


async def test_remove_takes_a_boot_file_of_our_own_away(vm: FleetHost, pool: SshPool) -> None:
    await install_agent(pool, vm.target(), make_spec(), timeout=30)
    await remove_agent(pool, vm.target(), timeout=30)
    assert [path.name for path in vm.home.iterdir()] == ["meta.json"]


async def test_no_python_is_said_with_a_remedy(vm: FleetHost, pool: SshPool, tmp_path: Path) -> None:
    vm.env["PATH"] = str(tools(tmp_path, "tar mkdir rm mv cat cut tr grep df awk sleep id printf date tail chmod"))
    with pytest.raises(HostCommandError, match="no python3") as caught:
        await install_agent(pool, vm.target(), make_spec(), timeout=30)
    assert caught.value.remedy is not None
    assert "install python3" in caught.value.remedy
    assert not list((vm.home / ".mcisd").iterdir())


async def test_no_tar_is_said_with_a_remedy(vm: FleetHost, pool: SshPool, tmp_path: Path) -> None:
    vm.env["PATH"] = str(tools(tmp_path, "mkdir rm"))
    with pytest.raises(HostCommandError) as caught:
        await install_agent(pool, vm.target(), make_spec(), timeout=30)
    assert caught.value.remedy == "install tar on the VM"


async def test_a_full_disk_is_told_apart_and_leaves_the_old_agent(vm: FleetHost, pool: SshPool) -> None:
    await install_agent(pool, vm.target(), make_spec(), timeout=30)
    before = agents(vm)
    # A file size limit stands for a full disk: the write fails in the same place with EFBIG instead of ENOSPC.
    vm.prefix = "trap '' XFSZ; ulimit -f 8; "
    with pytest.raises(HostDiskFullError) as caught:
        await install_agent(pool, vm.target(), make_spec(), timeout=30)
    assert caught.value.remedy is not None
    assert agents(vm) == before
    assert [path.name for path in (vm.home / ".mcisd").iterdir()] == ["agent"]


async def test_too_little_free_space_is_a_full_disk(vm: FleetHost, pool: SshPool, tmp_path: Path) -> None:
    df = tmp_path / "bin" / "df"
    df.parent.mkdir()
    df.write_text("#!/bin/sh\necho head\necho /dev/x 100 90 10 99% /\n")
    df.chmod(0o755)
    vm.env["PATH"] = f"{df.parent}:{vm.env['PATH']}"
    with pytest.raises(HostDiskFullError, match="only 10 KiB are free"):
        await install_agent(pool, vm.target(), make_spec(), timeout=30)


async def test_an_agent_that_dies_at_once_is_an_error_and_is_not_left_running(vm: FleetHost, pool: SshPool) -> None:
    bundle = zipapp(f"import sys; sys.exit('cannot go on with {TOKEN}')")
    with pytest.raises(HostCommandError, match="cannot go on with") as caught:
        await install_agent(pool, vm.target(), make_spec(bundle), timeout=40)
    assert TOKEN not in str(caught.value)
    assert not loops(vm)
    assert not (vm.home / ".rc.local").exists()


@pytest.mark.slow
async def test_an_installation_that_is_under_way_is_waited_for_then_told(vm: FleetHost, pool: SshPool) -> None:
    lock = vm.home / ".mcisd" / "lock"
    lock.mkdir(parents=True)
    hold, name = vm.home / "hold", f"{vm.home}/install.sh"
    hold.touch()
    command = f"sh -c 'while test -e {hold}; do sleep 0.2; done' {name}"
    holder = asyncio.create_task(pool.run(vm.target(), command, timeout=170))
    await until(lambda: bool(pids_with(name)))
    (lock / "pid").write_text(f"{pids_with(name)[0]}\n")
    with pytest.raises(HostUnreachableError, match="another installation"):
        await install_agent(pool, vm.target(), make_spec(), timeout=160)
    hold.unlink()
    await holder


async def test_a_lock_of_a_dead_installation_does_not_matter(vm: FleetHost, pool: SshPool) -> None:
    (vm.home / ".mcisd" / "lock").mkdir(parents=True)
    (vm.home / ".mcisd" / "lock" / "pid").write_text(f"{os.getpid()}\n")
    assert (await install_agent(pool, vm.target(), make_spec(), timeout=30)).how == "rc.local"


async def test_the_token_is_in_no_command_line_and_no_environment(vm: FleetHost, pool: SshPool) -> None:
    spec = make_spec()
    installing = asyncio.create_task(install_agent(pool, vm.target(), spec, timeout=30))
    looks = 0
    while not installing.done():
        for path in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]:
            try:
                assert TOKEN.encode() not in path.read_bytes(), path
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        looks += 1
        await asyncio.sleep(0.01)
    await installing
    assert looks > 3
    assert TOKEN.encode() in install_tar(spec)
    assert TOKEN not in repr(spec)
    assert all(TOKEN not in command for command in vm.started)
