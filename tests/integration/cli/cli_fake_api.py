"""A fake of the API on a loopback port for the tests of client and CLI. In: scripted answers. Out: what was asked."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from mcisd.client import Target

TOKEN = "test-token-of-the-fake"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class FakeApi:
    """``answers`` maps ``"GET /ns"`` to a JSON value, a handler, or a list of these to be used up in turn."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    @property
    def target(self) -> Target:
        return Target(self.url, TOKEN)

    def calls(self, key: str) -> list[Asked]:
        return [one for one in self.asked if f"{one.method} {one.path}" == key]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api/v1")
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.asked.append(Asked(request.method, path, dict(request.query), dict(request.headers), body))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        answer = self.answers.get(f"{request.method} {path}")
        if isinstance(answer, list) and answer and isinstance(answer[0], Turn):
            answer = answer.pop(0).answer if len(answer) > 1 else answer[0].answer
        if callable(answer):
            made = await answer(request)
            assert isinstance(made, web.StreamResponse)
            return made
        if answer is None:
            return problem(404, "not-found", f"there is nothing at {path}")
        return web.json_response(answer)


@dataclass(slots=True)
class Turn:
    """One of several answers in turn; the last one stays."""

    answer: Any


def problem(status: int, code: str, detail: str, **more: str) -> web.Response:
    body = {"type": f"urn:mcisd:problem:{code}", "title": code, "status": status, "detail": detail, "code": code}
    return web.Response(status=status, text=json.dumps(body | more), content_type="application/problem+json")


def refusing(status: int, code: str, detail: str, **more: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return problem(status, code, detail, **more)

    return handler


def streaming(*chunks: bytes) -> Handler:
    """An event stream of these chunks that then ends."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    return handler


async def nothing(_: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


@asynccontextmanager
async def fake_api() -> AsyncIterator[FakeApi]:
    """A fake that serves on a free port."""
    fake = FakeApi()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()


def operation(state: str = "running", **more: Any) -> dict[str, Any]:
    base = {
        "id": "op-1", "kind": "create", "nameSpace": "default", "infraSvc": "web", "state": state, "actor": "user",
        "total": 2, "succeeded": 2, "failed": 0, "message": "2 of 2 VM(s)", "createdAt": 100.0, "finishedAt": 101.5,
    }  # fmt: skip
    return base | more


def event(sequence: int, kind: str = "vm.running") -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"e{sequence}", "source": "mcisd", "type": kind, "subject": "ns/default/infra/web",
        "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json", "sequence": sequence,
        "data": {"text": f"event {sequence}"},
    }  # fmt: skip


def sse(one: dict[str, Any]) -> bytes:
    return f"id: {one['sequence']}\nevent: {one['type']}\ndata: {json.dumps(one)}\n\n".encode()
