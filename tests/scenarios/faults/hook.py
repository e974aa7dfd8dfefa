"""The receiver of messages: JSON posts in, counts by (episode, kind) out."""

import re
from collections import Counter

from aiohttp import web

_EPISODE = re.compile(r"episode: (\S+)")


class Hook:
    """Takes posts at ``/alarms`` and remembers how often each message came."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, str]] = Counter()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/alarms"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/alarms", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        document = await request.json()
        found = _EPISODE.search(str(document.get("message", "")))
        kind = "resolved" if "[RESOLVED]" in str(document.get("title", "")) else "firing"
        self.messages[found.group(1) if found else "?", kind] += 1
        return web.json_response({})
