"""The local cloud seen from its own side: its socket, its directory, its processes. In: its home. Out: what is there.

The product reaches the cloud through its driver; this is the operator of the cloud, who can count and crash VMs.
"""

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Any

import aiohttp

from mcisd.demo.telling import StepFailedError
from mcisd.demo.world import CLOUDS, PLACES

TIMEOUT = aiohttp.ClientTimeout(total=15.0)
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
        pids = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [int(entry.name) for entry in pids if mark in _environment(entry)]

    async def stop(self) -> None:
        """End the cloud's process and all its VMs; nothing happens if it does not run."""
        if not self.home.is_dir():
            return
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mcisd.drivers.local.cloud", "--home", str(self.home), "--stop", "--terminate-all",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(45.0):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _environment(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except OSError:
        return b""  # it ended meanwhile, or is not ours
