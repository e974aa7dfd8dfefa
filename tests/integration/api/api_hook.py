"""A real webhook receiver on loopback. In: HTTP posts. Out: their JSON bodies and paths."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Hook:
    port: int = 0
    received: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def apprise_url(self, path: str) -> str:
        return f"json://127.0.0.1:{self.port}/{path}"

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(await request.json())
        self.paths.append(request.path)
        return web.Response()


@asynccontextmanager
async def webhook() -> AsyncIterator[Hook]:
    """Listens while the block lasts."""
    hook = Hook()
    app = web.Application()
    app.router.add_post("/{tail:.*}", hook.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        hook.port = int(runner.addresses[0][1])
        yield hook
    finally:
        await runner.cleanup()
