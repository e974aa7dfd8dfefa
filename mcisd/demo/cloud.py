"""The local cloud seen from its own side: its socket, its directory, its processes. In: its home. Out: what is there.

The product reaches the cloud through its driver; this is the operator of the cloud, who can count and crash VMs.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

from mcisd.demo.telling import StepFailedError
from mcisd.demo.world import CLOUDS, PLACES

TIMEOUT = aiohttp.ClientTimeout(total=15.0)
STOP_TIMEOUT = 45.0
GONE = ("terminated", "terminating")


class CloudSide:
    """``home`` is the cloud's directory. One account per cloud of the demonstration, each with a fresh secret."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.secrets = {cloud: secrets.token_urlsafe(18) for cloud in CLOUDS}

    async def list_vms(self) -> list[dict[str, Any]]:
        """Every VM of every account and region that is not terminated, as the cloud itself tells it."""
        found: list[dict[str, Any]] = []
        for place in PLACES:
            rows = await self._call(place.cloud, place.region, "list_vms", {"tags": {}})
            found += [row for row in rows if row["state"] not in GONE]
        return found

    async def crash(self, cloud: str, region: str, vm_id: str) -> None:
        """Lose a VM, as clouds do: its processes are gone at once and nobody was asked."""
        await self._call(cloud, region, "crash_vm", {"id": vm_id})

    async def _call(self, cloud: str, region: str, operation: str, arguments: dict[str, object]) -> Any:
        headers = {"X-Cloud-Account": cloud, "X-Cloud-Secret": self.secrets[cloud]}
        connector = aiohttp.UnixConnector(str(self.home / "cloud.sock"))
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers, timeout=TIMEOUT) as session,
            session.post(f"http://localhost/v1/{region}/{operation}", json=arguments) as answer,
        ):
            document = await answer.json()
            if answer.status != 200:
                raise StepFailedError(f"{operation} of the local cloud to work", document)
            return document

    def directories(self) -> list[str]:
        """Directories of VMs that are left."""
        place = self.home / "vms"
        return sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []

    def processes(self) -> list[int]:
        """Processes that belong to a VM of this cloud: they bear its directory in their environment."""
        mark = f"MCISD_LOCAL_VM={self.home}/".encode()
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if mark in _environment(pid)]

    async def stop(self) -> None:
        """End the cloud's process and all its VMs; nothing happens if it does not run."""
        if not self.home.is_dir():
            return
        own = self._own_process()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mcisd.drivers.local.cloud", "--home", str(self.home), "--stop", "--terminate-all",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
                while own and self._is_cloud(own):  # noqa: ASYNC110 - the end of somebody else's child has no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self._kill([process.pid, own])
            await process.wait()
        self._kill(self.processes())

    def _own_process(self) -> int:
        """Pid of the cloud's process, 0 if there is none."""
        try:
            pid = int((self.home / "cloud.pid").read_text())
        except (OSError, ValueError):
            return 0
        return pid if self._is_cloud(pid) else 0

    def _is_cloud(self, pid: int) -> bool:
        """Whether this process is the cloud of this home, not a later one with its pid."""
        return os.fsencode(self.home) in _bytes(Path(f"/proc/{pid}/cmdline"))

    def _kill(self, pids: list[int]) -> None:
        """Last resort for what belongs to this cloud and would not end."""
        for pid in pids:
            if pid and str(self.home).encode() in _bytes(Path(f"/proc/{pid}/cmdline")) + _environment(pid):
                with contextlib.suppress(ProcessLookupError):  # it ended in this moment
                    os.kill(pid, signal.SIGKILL)


def _environment(pid: int) -> bytes:
    return _bytes(Path(f"/proc/{pid}/environ"))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # the process ended meanwhile, or is not ours
