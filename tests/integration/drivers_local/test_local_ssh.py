"""Logging in to a local VM as to any host: commands, streams, files, keys."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from mcisd.drivers.local import proctree
from tests.integration.drivers_local.local_lab import USER, Lab, Vm, eventually, make_key, running


@pytest.fixture
async def vm(lab: Lab) -> Vm:
    return await lab.vm(await lab.connect())


@pytest.fixture
async def host(lab: Lab, vm: Vm) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with await lab.ssh(vm) as connection:
        yield connection


async def test_exit_status_and_streams(host: asyncssh.SSHClientConnection) -> None:
    done = await host.run("cat; echo wrong >&2; exit 7", input="through stdin\n")
    assert (done.stdout, done.stderr, done.exit_status) == ("through stdin\n", "wrong\n", 7)
    assert (await host.run("exit 0")).exit_status == 0
    assert (await host.run("no-such-program")).exit_status == 127


async def test_death_by_signal_is_told(host: asyncssh.SSHClientConnection) -> None:
    done = await host.run("kill -TERM $$")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "TERM"


async def test_client_can_signal(host: asyncssh.SSHClientConnection) -> None:
    process = await host.create_process("trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    await process.stdout.readline()
    process.send_signal("TERM")
    done = await process.wait()
    assert (done.stdout, done.exit_status) == ("caught\n", 5)


async def test_big_streams_both_ways(host: asyncssh.SSHClientConnection) -> None:
    sent = os.urandom(4_000_000)
    done = await host.run("cat", input=sent, encoding=None)
    assert done.stdout == sent
    with contextlib.suppress(BrokenPipeError):  # "true" may have ended before all was sent
        await host.run("true", input=b"x" * 3_000_000, encoding=None)  # nobody reads it, nothing hangs


async def test_environment_is_small_and_the_clients_is_refused(
    lab: Lab, vm: Vm, host: asyncssh.SSHClientConnection
) -> None:
    done = await host.run("env -0", env={"LD_PRELOAD": "/evil.so", "SMUGGLED": "1"})
    env = dict(pair.split("=", 1) for pair in str(done.stdout).split("\0") if pair)
    assert env.keys() - {"PWD", "SHLVL", "_"} == {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "SHELL", "MCISD_LOCAL_VM", "SSH_CONNECTION",
    }  # fmt: skip
    assert env["USER"] == USER
    assert env["PWD"] == env["HOME"]
    assert env["SSH_CONNECTION"].split()[2:] == [vm.info.public_address, "22022"]
    meta = json.loads(Path(env["MCISD_LOCAL_VM"]).read_text())
    assert meta == json.loads(lab.meta_path(vm).read_text())
    assert (meta["id"], meta["vcpus"], meta["memory_mib"], meta["address"]) == (
        vm.info.id,
        1,
        512,
        vm.info.public_address,
    )
    assert running(meta["init_pid"])


async def test_interactive_shell_and_terminal(host: asyncssh.SSHClientConnection) -> None:
    shell = await host.create_process()
    shell.stdin.write("echo one\nexit 3\n")
    assert "one" in str((await shell.wait()).stdout)
    assert shell.exit_status == 3
    done = await host.run("tty; stty size", term_type="xterm", term_size=(80, 24))
    assert str(done.stdout).startswith("/dev/pts/")
    assert str(done.stdout).split()[1:] == ["24", "80"]


async def test_background_process_outlives_the_connection_in_the_tree(lab: Lab, vm: Vm) -> None:
    async with await lab.ssh(vm) as host:
        done = await host.run("nohup sleep 300 >/dev/null 2>&1 & echo $!")
    pid = int(str(done.stdout))
    await asyncio.sleep(0.2)
    init = json.loads(lab.meta_path(vm).read_text())["init_pid"]
    assert pid in {process.pid for process in proctree.descendants(init)}


async def test_disconnect_hangs_the_command_up(lab: Lab, vm: Vm) -> None:
    host = await lab.ssh(vm)
    process = await host.create_process("setsid sleep 301 & sleep 0.2; echo $! $$; wait")
    kept, hung = (int(word) for word in str(await process.stdout.readline()).split())
    host.abort()

    async def look() -> bool:
        return running(hung)

    await eventually(look, lambda alive: not alive, "the end of the command")
    assert running(kept)
    os.kill(kept, signal.SIGKILL)


async def test_sftp_reaches_the_home_and_no_more(lab: Lab, vm: Vm, host: asyncssh.SSHClientConnection) -> None:
    home = str((await host.run("pwd")).stdout).strip()
    await host.run("ln -s /etc outside; ln -s /etc/hostname leak")
    async with host.start_sftp_client() as sftp:
        assert await sftp.realpath(".") == home
        await sftp.makedirs("deep/er")
        async with sftp.open("deep/er/file", "wb") as file:
            await file.write(b"payload")
        await sftp.chmod("deep/er/file", 0o755)
        assert await sftp.exists(f"{home}/deep/er/file")
        for path in ("/etc/passwd", "../meta.json", "outside/passwd", "leak"):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await sftp.open(path, "rb")
        await sftp.remove("deep/er/file")
    assert (await host.run("ls deep/er")).stdout == ""


async def test_other_keys_users_and_ways_are_refused(lab: Lab, vm: Vm) -> None:
    for key, user in ((make_key(), USER), (lab.key, "root")):
        with pytest.raises(asyncssh.PermissionDenied):
            await lab.ssh(vm, key, user)
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            vm.info.public_address, vm.info.ssh_port, username=USER, password="x", client_keys=None,
            known_hosts=vm.known_hosts(), config=None, agent_path=None,
        )  # fmt: skip


async def test_host_key_is_the_one_given(lab: Lab, vm: Vm) -> None:
    other = Vm(vm.info, make_key(), vm.request)
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await lab.ssh(other)


async def test_no_forwarding(host: asyncssh.SSHClientConnection) -> None:
    with pytest.raises(asyncssh.ChannelOpenError):
        await host.open_connection("127.0.0.1", 22022)
    with pytest.raises(asyncssh.ChannelListenError):
        await host.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1)


async def test_too_long_a_command_is_refused(host: asyncssh.SSHClientConnection) -> None:
    done = await host.run("true " + "x" * 140_000)
    assert done.exit_status == 126
    assert "too long" in str(done.stderr)
