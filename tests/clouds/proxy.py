"""A proxy before a cloud's server that does what the server does not: refuse, lose answers, change them.

In: requests to ``proxy.url``. Out: the server's answers, except where a rule steps in. How an error looks is the
cloud's own business: a rule brings the whole answer.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host"})


@dataclass(frozen=True)
class Seen:
    """One request as a rule judges it."""

    method: str
    path: str
    query: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer of the proxy's own."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Rule:
    """``when`` it applies, for the next ``times`` requests (None: until taken away):

    ``reply`` is answered instead of asking the server. Or, with ``lose``, the server is asked and the connection broken
    before its answer. Or ``change`` makes another answer of the server's (status, body).
    """

    when: Callable[[Seen], bool]
    reply: Callable[[Seen], Reply] | None = None
    lose: bool = False
    change: Callable[[Seen, Reply], Reply] | None = None
    times: int | None = None
    hits: int = 0


class FaultProxy:
    """Listens on a free port of this host; ``async with FaultProxy(target)`` starts and stops it."""

    def __init__(self, target: str) -> None:
        self._target = target.rstrip("/")
        self.rules: list[Rule] = []
        self.seen: list[Seen] = []
        self.url = ""

    @asynccontextmanager
    async def rule(self, rule: Rule) -> AsyncIterator[Rule]:
        """The rule holds inside."""
        self.rules.append(rule)
        try:
            yield rule
        finally:
            self.rules.remove(rule)

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=120))
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
        await self._runner.setup()
        sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        await web.SockSite(self._runner, sock).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen = Seen(request.method, request.path, request.rel_url.raw_query_string, CIMultiDict(request.headers), body)
        self.seen.append(seen)
        rule = next((rule for rule in self.rules if rule.times != 0 and rule.when(seen)), None)
        if rule is None:
            return _response(await self._ask(request, body))
        rule.hits += 1
        if rule.times is not None:
            rule.times -= 1
        if rule.reply is not None:
            return _response(rule.reply(seen))
        answer = await self._ask(request, body)
        if rule.lose:
            assert request.transport is not None
            request.transport.abort()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        elif rule.change is not None:
            answer = rule.change(seen, answer)
        return _response(answer)

    async def _ask(self, request: web.Request, body: bytes) -> Reply:
        headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in HOP)
        headers["Host"] = request.headers.get("Host", "")  # signatures cover it
        url = self._target + request.raw_path
        async with self._client.request(
            request.method,
            URL(url, encoded=True),
            data=body or None,
            headers=headers,
            allow_redirects=False,
            skip_auto_headers=("Content-Type",),
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP - {"content-encoding"}}
            return Reply(answer.status, await answer.read(), kept)


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
