"""A webhook: JSON posts in, the moment of their arrival out."""

import asyncio
import time

from aiohttp import web

Post = tuple[float, dict[str, object]]
"""Seconds since the epoch when it had been read, and its document."""


class Hook:
    """Takes posts at ``/hook``."""

    def __init__(self) -> None:
        self.port = 0
        self._posts: asyncio.Queue[Post] = asyncio.Queue(10_000)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def next(self, timeout: float) -> Post:
        """The next post; TimeoutError if none comes."""
        async with asyncio.timeout(timeout):
            return await self._posts.get()

    async def _take(self, request: web.Request) -> web.Response:
        document = await request.json()
        self._posts.put_nowait((time.time(), document))
        return web.json_response({})
