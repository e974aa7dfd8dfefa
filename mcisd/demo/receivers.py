"""Who gets the alarm's messages: a webhook receiver and an SMTP server, both real, both on loopback.

In: HTTP posts and mails. Out: what arrived, and when. The SMTP server is aiosmtpd where it is installed, else the small
sink in smtp_sink.py.
"""

import asyncio
import email
import email.policy
import time
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from mcisd.demo.ports import free_port
from mcisd.demo.smtp_sink import SmtpSink
from mcisd.demo.telling import StepFailedError

FIRING, RESOLVED = "firing", "resolved"


@dataclass(frozen=True, slots=True)
class Received:
    """One message: when (seconds since the epoch), and its title."""

    at: float
    title: str

    @property
    def kind(self) -> str:
        return RESOLVED if "[RESOLVED]" in self.title else FIRING


class Receiver(Protocol):
    received: list[Received]


class Webhook:
    """Takes JSON posts at ``/alarms``."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/alarms"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/alarms", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        document = await request.json()
        self.received.append(Received(time.time(), str(document.get("title", ""))))
        return web.json_response({})


class MailServer:
    """Takes every mail that comes over SMTP."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.port = free_port()
        self.software = ""
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}/?from=mcisd@demo.example&to=operator@demo.example&mode=insecure"

    async def start(self) -> None:
        factory = self._factory()
        self._server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _factory(self) -> Any:
        try:
            from aiosmtpd.smtp import SMTP
        except ImportError:
            self.software = "a small SMTP sink of our own"
            return lambda: SmtpSink(self.take)
        self.software = "aiosmtpd"
        return lambda: SMTP(self, hostname="demo.example", enable_SMTPUTF8=True)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.take(envelope.content)
        return "250 taken"

    def take(self, content: bytes) -> None:
        message = email.message_from_bytes(content, policy=email.policy.default)
        self.received.append(Received(time.time(), str(message["Subject"])))


async def until_received(receiver: Receiver, kind: str, name: str, timeout: float) -> Received:
    """The first message of this kind; StepFailedError if none comes in time."""
    end = asyncio.get_running_loop().time() + timeout
    while asyncio.get_running_loop().time() < end:
        for message in receiver.received:
            if message.kind == kind:
                return message
        await asyncio.sleep(0.02)
    raise StepFailedError(f"a {kind} message at the {name} within {timeout:g} s", receiver.received)
