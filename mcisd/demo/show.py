"""What all scenes share: the daemon, its client, the cloud's side, the receivers; and waiting for things to be so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mcisd.client import Client
from mcisd.client.transport import Json
from mcisd.demo.cloud import CloudSide
from mcisd.demo.receivers import MailServer, Webhook
from mcisd.demo.telling import StepFailedError, Teller, expect
from mcisd.demo.watching import EventWatch
from mcisd.demo.world import INFRA, NS


class Daemon(Protocol):
    """The daemon as the story handles it: one process, or one for each role."""

    url: str
    home: Path
    cloud_home: Path

    @property
    def log(self) -> Path: ...
    @property
    def pid(self) -> int: ...
    async def start(self) -> None: ...
    async def kill(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(slots=True)
class Show:
    """One run of the demonstration."""

    tell: Teller
    daemon: Daemon
    cloud: CloudSide
    client: Client
    events: EventWatch
    webhook: Webhook
    mail: MailServer
    web_port: int
    loaded: str = ""
    pages: dict[str, str] = field(default_factory=dict)

    async def vms(self, infra: str = INFRA) -> list[Json]:
        """The VMs of an MCIS as the API shows them."""
        found: list[Json] = (await self.client.get_infra(NS, infra))["vms"]
        return found

    async def finished(self, operation: Json, timeout: float) -> Json:
        """The operation's end; StepFailedError unless all of it succeeded in time."""
        try:
            async with asyncio.timeout(timeout):
                ended = await self.client.follow_operation(operation["id"])
        except TimeoutError:
            now = await self.client.get_operation(operation["id"])
            raise StepFailedError(f"the end of {operation['kind']} within {timeout:g} s", now["message"]) from None
        expect(ended["state"] == "succeeded", f"{ended['kind']} to succeed", f"{ended['state']}: {ended['message']}")
        return ended

    async def until_reporting(self, since: float, timeout: float, infra: str = INFRA) -> int:
        """Wait until every VM of an MCIS has sent a sample later than ``since`` (seconds since the epoch) and its
        agent is up; how many there are."""
        count = 0

        async def reporting() -> tuple[bool, object]:
            nonlocal count
            vms = await self.vms(infra)
            count = len(vms)
            late = [vm["name"] for vm in vms if vm["agent"] != "up" or (vm["lastSampleAt"] or 0.0) <= since]
            return not late, f"{len(late)} do not, such as {late[:3]}"

        await until(reporting, "every agent to report", timeout)
        return count


async def until(look: Callable[[], Awaitable[tuple[bool, object]]], expected: str, timeout: float) -> None:
    """Look again and again until it is so; StepFailedError with what was seen last if it never is."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while True:
        so, seen = await look()
        if so:
            return
        if loop.time() > end:
            raise StepFailedError(f"{expected} within {timeout:g} s", seen)
        await asyncio.sleep(0.05)
