"""SIGTERM and Ctrl-C end the program at any moment: quickly, with 0, and the next start finds everything in order."""

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.api import api_world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(180)]
LONGEST = 15.0


@asynccontextmanager
async def program(home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """``mcisd run`` in a process of its own; killed if it has not ended with the block."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MCISD_")}
    command = ("-m", "mcisd", "run", "--home", str(home), "--port", "0", "--collector-port", "0")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment | {"PYTHONUNBUFFERED": "1", "MCISD_AGENTS_ENABLED": "false"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process, number: signal.Signals) -> tuple[int, str]:
    """The exit code after this signal, and what it has said on stderr."""
    begun = time.monotonic()
    process.send_signal(number)
    _, said = await asyncio.wait_for(process.communicate(), LONGEST + 5)
    assert time.monotonic() - begun < LONGEST
    assert process.returncode is not None
    return process.returncode, said.decode()


async def told(home: Path) -> dict[str, Any]:
    """Where it listens, as soon as it has said so."""
    for _ in range(600):
        try:
            found: dict[str, Any] = json.loads((home / "daemon.json").read_text())
        except FileNotFoundError:
            await asyncio.sleep(0.05)
        else:
            return found
    raise AssertionError("the daemon did not start")


def lock_is_free(home: Path) -> bool:
    if not home.exists():
        return True
    with (home / "daemon.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return not (home / "daemon.json").exists()


async def test_signals_at_any_moment_of_the_start(tmp_path: Path) -> None:
    """Every start uses the home that the one before left behind."""
    home = tmp_path / "home"
    begun = time.monotonic()
    async with program(home) as process:
        await told(home)
        whole = time.monotonic() - begun
        code, said = await ended(process, signal.SIGTERM)
        assert (code, said.count("Traceback")) == (0, 0), said
    for step in range(1, 6):
        async with program(home) as process:
            await asyncio.sleep(whole * step / 5)
            code, said = await ended(process, signal.SIGTERM if step % 2 else signal.SIGINT)
        # Python itself takes the first moments; a signal then is the operating system's to handle.
        young = step <= 2 and code in (-signal.SIGTERM, -signal.SIGINT, 130)
        assert code == 0 or young, f"step {step}: {code}\n{said}"
        assert "Traceback" not in said or young, f"step {step}: {said}"
        assert "did not end" not in said
        assert lock_is_free(home)


async def test_a_signal_in_the_middle_of_a_create(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with program(home) as process:
        operation = await launch(await told(home), home)
        await asyncio.sleep(0.3)
        code, said = await ended(process, signal.SIGTERM)
        assert code == 0, said
        assert "Traceback" not in said
        assert lock_is_free(home)
    async with program(home) as process:
        where = await told(home)
        async with session(home) as http, http.get(f"{where['url']}/api/v1/operations/{operation}") as answer:
            assert (await answer.json())["total"] == 20
        assert (await ended(process, signal.SIGINT))[0] == 0


def session(home: Path) -> aiohttp.ClientSession:
    token = (home / "token").read_text().strip()
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"})


async def launch(where: dict[str, Any], home: Path) -> str:
    """Ask for 20 VMs on the program's own mock cloud, which takes its time; the operation's id."""
    pairs = [{"key": "secret", "value": "mock"}]
    parts = {"driverName": "mock", "credentialName": "c", "regionName": "r"}
    steps = [
        ("credentials", {"credentialName": "c", "providerName": "mock", "keyValueInfoList": pairs}),
        ("regions", api_world.region("r")),
        ("connections", {"connConfigName": "one"} | parts),
        ("ns", {"name": "here"}),
        ("ns/here/infra", api_world.infra_body("site", "one", 20)),
    ]
    async with session(home) as http:
        for path, body in steps:
            async with http.post(f"{where['url']}/api/v1/{path}", json=body) as answer:
                assert answer.status in (201, 202), await answer.text()
                made = await answer.json()
    return str(made["id"])
