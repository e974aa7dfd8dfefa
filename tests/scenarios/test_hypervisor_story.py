"""The private cloud on a real hypervisor, end to end; what it leaves on the host, also after ``kill -9``: nothing.

Real: libvirtd, QEMU, the guest's kernel, SSH, agent. The processor is emulated in software, and that is all.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcisd.demo.hypervisor import Hypervisor, remove_leftovers
from mcisd.demo.hypervisor_image import base_image

pytestmark = [pytest.mark.hypervisor, pytest.mark.slow]
STEPS = [
    "image", "hypervisor", "start", "connections", "create", "running", "login", "agents", "sample", "thresholds",
    "load", "firing", "messages", "resolved", "suspend", "resume", "agent-after-resume", "reboot", "agent-after-reboot",
    "intruder", "terminate", "nothing-left",
]  # fmt: skip
STARTER = """
import asyncio, sys
from pathlib import Path
from mcisd.demo.hypervisor import Hypervisor

async def main():
    found = await Hypervisor.start(Path(sys.argv[1]), Path(sys.argv[1]).parent / "libvirt")
    print(found.folder, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def host() -> str:
    """The host's network cards and packet filters."""
    said = [subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in LOOKS]
    return "".join(line for line in "".join(said).splitlines(keepends=True) if not line.startswith((":", "#")))


LOOKS = (["ip", "-brief", "link"], ["ip", "route"], ["iptables-save"])


def programs_of(folder: str) -> list[str]:
    """Processes that have to do with a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if folder.encode() in command and b"pytest" not in command:
                found.append(f"{entry.name}: {command[:200]!r}")
    return found


async def test_every_step_holds_and_nothing_is_left(
    hypervisor: Hypervisor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """(The fixture is asked for only because it makes the image.)"""
    assert hypervisor.running
    home = tmp_path_factory.mktemp("demo") / "h"
    figures = tmp_path_factory.mktemp("figures") / "figures.json"
    before = host()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcisd", "demo", "--exit", "--libvirt", "--home", str(home), "--json", str(figures),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    text = (await process.stdout.read()).decode()
    assert await process.wait() == 0, text
    document = json.loads(figures.read_text())
    assert [step["key"] for step in document["steps"]] == STEPS
    assert "✗" not in text
    for words in ("host key verified", "on qemu", "alarm fires", "same host key, boot id", "no domain, disk, network"):
        assert words in text
    assert programs_of(str(home)) == []
    assert host() == before


async def test_kill_9_of_whoever_started_it_takes_all_with_it() -> None:
    images = await base_image(lambda text: None)
    before = host()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(images), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    folder = (await process.stdout.readline()).decode().strip()
    assert programs_of(folder)
    process.kill()
    await process.wait()
    end = time.monotonic() + 10.0
    while programs_of(folder) and time.monotonic() < end:  # noqa: ASYNC110 - the end of a stranger rings no bell
        await asyncio.sleep(0.05)
    assert programs_of(folder) == []
    assert Path(folder) in remove_leftovers()
    assert not Path(folder).exists()
    assert host() == before


async def test_a_wrong_host_key_is_refused_by_name(hypervisor: Hypervisor) -> None:
    """A VM made by the driver alone: the pinned key lets us in, another one is a HostKeyError."""
    process = await asyncio.create_subprocess_exec(
        *hypervisor.command, sys.executable, "-m", "tests.clouds.hypervisor_login",
        hypervisor.uri, str(hypervisor.images),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    text = (await process.stdout.read()).decode()
    assert await process.wait() == 0, text
    assert json.loads(text.splitlines()[-1]) == {"pinned": "Linux", "other": "HostKeyError", "left": 0}
