"""The demonstration from start to end, as a newcomer runs it; and interrupted in the middle."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from mcisd.demo.cloud import CloudSide

STEPS = [
    "start", "connections", "create", "running", "agents", "sample", "web", "pages", "thresholds", "load", "firing",
    "messages", "scale-out", "resolved", "suspend", "resume", "reboot", "agents-back", "crash", "replace", "kill",
    "restart", "finish", "agents-reconnect", "terminate", "nothing-left", "once",
]  # fmt: skip
TOLD = [
    "4 clouds, 10 regions connected and checked", "all Running: Running:18 (R:18/18)", "18 agents up",
    "first sample stored", "18 pages opened", "alarm fires", "webhook and mail received", "policy adds a VM elsewhere",
    "alarm resolves", "Suspended:19 (R:0/19)", "resumed: ", "rebooted: ", "crashed at its cloud; found",
    "replaced by the policy", "kill -9 of the daemon", "none lost, none doubled", "all terminated",
    "no process, directory or row of a VM is left", "one firing and one resolved",
]  # fmt: skip


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcisd", "demo", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


def programs_of(home: Path) -> list[str]:
    """Processes that still have to do with a home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if str(home).encode() in text:
                found.append(f"{entry.name}: {text[-200:]!r}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_step_holds_and_nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("demo") / "h"
    figures = tmp_path_factory.mktemp("figures") / "figures.json"
    process = await start("--exit", "--home", str(home), "--json", str(figures))
    assert process.stdout is not None
    text = (await process.stdout.read()).decode()
    assert await process.wait() == 0, text
    for words in TOLD:
        assert words in text
    document = json.loads(figures.read_text())
    assert [step["key"] for step in document["steps"]] == STEPS
    assert text.count("✓") == len(STEPS)
    assert "✗" not in text
    assert document["total"] < 240  # below two minutes on two free cores; here others may take their share
    assert programs_of(home) == []


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_in_the_middle_it_takes_all_with_it(
    tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    home = tmp_path_factory.mktemp("demo") / "h"
    process = await start("--home", str(home))
    assert process.stdout is not None
    while b"asked for" not in (line := await process.stdout.readline()):
        assert line, "the demonstration ended too early"
    process.send_signal(number)
    await process.stdout.read()
    assert await process.wait() == 130
    cloud = CloudSide(home / "cloud")
    assert (cloud.processes(), cloud.directories()) == ([], [])
    assert programs_of(home) == []


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_step_that_fails_says_so_and_keeps_the_logs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A daemon that is not there in time: expected and seen are told, the exit code is 1, the home is kept."""
    home = tmp_path_factory.mktemp("demo") / "h"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import sys; from mcisd.demo import process as p; p.START_TIMEOUT = 0.0; "
        "from mcisd.demo.main import main; sys.exit(main(sys.argv[1:]))",
        "--exit", "--home", str(home),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    text = (await process.stdout.read()).decode()
    assert await process.wait() == 1, text
    assert "FAILED: expected an answer" in text
    assert f"kept in {home}" in text
    assert programs_of(home) == []
