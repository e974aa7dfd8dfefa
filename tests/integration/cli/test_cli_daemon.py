"""`mcis` as a program against the real daemon and the local driver: real VMs, remote commands, exit codes."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcisd.demo.cloud import CloudSide
from mcisd.demo.process import DaemonProcess, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one call of `mcis` ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Calls `mcis` with the environment of one daemon."""

    environment: dict[str, str]

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        program = [sys.executable, "-m", "mcisd.cli.main", *arguments]
        return await asyncio.create_subprocess_exec(
            *program, env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe
        )

    async def mcis(self, *arguments: str, given: str = "", code: int = 0) -> Ended:
        """Run to the end; the exit code must be ``code``."""
        process = await self.start(*arguments)
        try:
            out, err = await asyncio.wait_for(process.communicate(given.encode()), 30.0)
        except TimeoutError:
            process.kill()
            raise AssertionError(f"mcis {' '.join(arguments)} did not end") from None
        ended = Ended(process.returncode or 0, out.decode(), err.decode())
        assert ended.code == code, ended
        return ended


@pytest.fixture
async def shell(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shell]:
    """A daemon in a fresh home; everything it started is gone afterwards."""
    home = Path(tmp_path_factory.mktemp("d"))
    daemon = DaemonProcess(home)
    cloud = CloudSide(daemon.cloud_home)
    try:
        await daemon.start()
        yield Shell(environment(home, {"API_PORT": daemon.url.rpartition(":")[2]}))
    finally:
        await daemon.stop()
        await cloud.stop()
        assert cloud.processes() == []


async def test_a_life_by_command(shell: Shell) -> None:
    """Connection, create, command, status, terminate, delete: the README's way through."""
    create = ["connections", "create", "here", "--driver", "local", "--region", "us-east-1"]
    done = await shell.mcis(*create, "--credential", "account=me", "--credential", "secret=-", given="s3cret\n")
    assert "connection here works" in done.out
    assert (await shell.mcis(*create, "--credential", "account=me", "--credential", "secret=x", code=1)).err.startswith(
        "error: "
    )
    await shell.mcis("ns", "create", "default")

    made = await shell.mcis("create", "web", "--vm", "a:2@here", "-o", "json")
    assert json.loads(made.out)["state"] == "succeeded"
    refused = await shell.mcis("create", "web", "--vm", "a@here", code=1)
    assert "Remedy: " in refused.err
    assert (await shell.mcis("status", "web")).out.startswith("Running:2 (R:2/2)\n")
    assert len(json.loads((await shell.mcis("show", "web", "-o", "json")).out)["vms"]) == 2

    assert (await shell.mcis("run", "web", "--", "echo $MCIS_VM")).out == "a-1 | a-1\na-2 | a-2\n"
    assert "exit status 1" in (await shell.mcis("run", "web", "test $MCIS_VM = a-1", code=4)).err
    top = await shell.mcis("top", "web", "--once")
    assert {line.split()[0] for line in top.out.splitlines()[2:]} == {"a-1", "a-2"}
    assert "operation.finished" in (await shell.mcis("events", "--infra", "web")).out
    assert "start_vm" in (await shell.mcis("calls")).out

    await shell.mcis("delete", "web", code=1)
    await shell.mcis("suspend", "web", "--vm", "a-1")
    assert (await shell.mcis("status", "web")).out.startswith("Partial-Suspended:1 (R:1/2)\n")
    await shell.mcis("terminate", "web", "--yes")
    await shell.mcis("delete", "web")
    assert json.loads((await shell.mcis("list", "-o", "json")).out) == []


async def test_ctrl_c_leaves_the_operation_going(shell: Shell) -> None:
    """Exit code 130, a word how to follow the operation; it ends well without us."""
    create = ["connections", "create", "here", "--driver", "local", "--region", "us-east-1", "--info", "delay_scale=3"]
    await shell.mcis(*create, "--credential", "account=me", "--credential", "secret=-", given="s3cret\n")
    await shell.mcis("ns", "create", "default")
    process = await shell.start("create", "web", "--vm", "a@here")
    assert process.stderr is not None
    assert b"create web" in await asyncio.wait_for(process.stderr.readline(), 30.0)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 30.0)
    assert process.returncode == 130
    assert b"the operation goes on; follow it with: mcis ops op-" in err
    operation = err.decode().partition("mcis ops ")[2].split()[0]
    assert "succeeded" in (await shell.mcis("ops", operation)).out


async def test_events_are_followed_while_they_happen(shell: Shell) -> None:
    process = await shell.start("events", "--follow", "--after", "0", "-o", "json")
    try:
        create = ["connections", "create", "here", "--driver", "local", "--region", "us-east-1"]
        await shell.mcis(*create, "--credential", "account=me", "--credential", "secret=-", given="s3cret\n")
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30.0)
        assert json.loads(line)["type"] == "connection.checked"
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 30.0)
    assert process.returncode == 130
