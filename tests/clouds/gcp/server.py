"""The stub's HTTP side. In: requests. Out: answers that Google's own document allows, and all that did not fit.

It runs in a thread with a loop of its own. A request that the document does not know or allow is refused with status
400 and reason "misfit", an answer of the stub that does not fit becomes status 500: both are kept in ``misfits``.
"""

import asyncio
import contextlib
import inspect
import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import unquote

from aiohttp import web

from tests.clouds.gcp import world
from tests.clouds.gcp.discovery import Method, document
from tests.clouds.gcp.faces import Call, Json, Refusal
from tests.clouds.gcp.machines import MachineProject
from tests.clouds.gcp.tokens import Tokens

T = TypeVar("T")
COMPUTE, BILLING = "compute.v1", "cloudbilling.v1"
SKUS_PER_PAGE = 5


class Stub:
    """``with Stub(folder) as stub`` runs it: ``stub.url``, and ``stub.tls_url`` with a certificate nobody trusts."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.projects: dict[str, MachineProject] = {}
        self.tokens = Tokens()
        self.misfits: list[str] = []
        self.seen: list[str] = []
        self.refuse: dict[str, Refusal] = {}
        """By method: what every call of it is answered."""
        self.strike: Callable[[str], Refusal | str | None] = lambda method: None
        """Called with each change: a Refusal to answer, "lose" to break the connection after it, or None."""
        self._certificate = certificate
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="gcp-stub", daemon=True)
        self._ready = threading.Event()
        self.url = self.tls_url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def run(self, work: Callable[[], T]) -> T:
        """Do something to the stub's state, in its own loop."""

        async def inside() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(30)

    def add_project(self, name: str) -> MachineProject:
        project = self.projects[name] = self.run(lambda: MachineProject(name))
        return project

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _open(self) -> web.AppRunner:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/token", self._token)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
        await runner.setup()
        self.url = f"http://{await _listen(runner, None)}"
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self.tls_url = f"https://{await _listen(runner, context)}"
        return runner

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        status, body = self.tokens.grant(str(form.get("assertion", "")))
        return web.json_response(body, status=status)

    async def _handle(self, request: web.Request) -> web.Response:
        path = unquote(request.rel_url.raw_path)
        api = document(COMPUTE if path.startswith("/compute/") else BILLING)
        found = api.find(request.method, path)
        if found is None:
            return self._misfit(400, f"{request.method} {path}: the API has no such method")
        method, parameters = found
        self.seen.append(method.name)
        query, body = list(request.rel_url.query.items()), await request.read()
        wrong = api.request_misfits(method, parameters, query, body)
        if wrong:
            return self._misfit(400, f"{method.name}: {'; '.join(wrong)}")
        call = Call(method.name, parameters, dict(query), json.loads(body or b"{}"))
        try:
            return await self._answer(request, method, call)
        except Refusal as refusal:
            headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
            return web.json_response(refusal.body(), status=refusal.status, headers=headers)

    async def _answer(self, request: web.Request, method: Method, call: Call) -> web.Response:
        if not self.tokens.admits(request.headers.get("Authorization", "")):
            raise Refusal(401, "authError", "Request had invalid authentication credentials.")
        if method.name in self.refuse:
            raise self.refuse[method.name]
        changes = method.verb != "GET" and not method.name.endswith(".wait")
        strike = self.strike(method.name) if changes else None
        if isinstance(strike, Refusal):
            raise strike
        if method.id.startswith("cloudbilling."):
            answer, api = self._skus(call), document(BILLING)
        else:
            answer, api = await self._compute(call), document(COMPUTE)
        answer = _public(answer)
        wrong = api.answer_misfits(method, answer)
        if wrong:
            return self._misfit(500, f"answer of {method.name}: {'; '.join(wrong)}")
        if strike == "lose":
            assert request.transport is not None
            request.transport.abort()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        return web.json_response(answer)

    async def _compute(self, call: Call) -> Json:
        name = call.path["project"]
        project = self.projects.get(name)
        if name in world.FAMILIES:  # public images are read by everybody
            project = next(iter(self.projects.values()))
        if project is None:
            raise Refusal(404, "notFound", f"The resource 'projects/{name}' was not found")
        known = project.operations.known(call)
        if known is not None:
            return dict(known)
        if call.method.endswith("Operations.wait"):
            return await project.operations.wait(call)
        handler = project.handlers().get(call.method)
        if handler is None:
            self.misfits.append(f"{call.method}: the stub does not do this")
            raise Refusal(501, "notImplemented", f"The stub does not do {call.method}")
        assert not inspect.iscoroutinefunction(handler)
        return handler(call)

    def _skus(self, call: Call) -> Json:
        start = int(call.query.get("pageToken") or 0)
        skus, end = world.skus(), start + SKUS_PER_PAGE
        return {"skus": skus[start:end], "nextPageToken": str(end) if end < len(skus) else ""}

    def _misfit(self, status: int, text: str) -> web.Response:
        self.misfits.append(text)
        return web.json_response(Refusal(status, "misfit", text).body(), status=status)


async def _listen(runner: web.AppRunner, context: ssl.SSLContext | None) -> str:
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server = site._server
    assert isinstance(server, asyncio.Server)
    return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _public(value: Json) -> Json:
    """Without the stub's own notes."""
    return {
        name: [_public(one) if isinstance(one, dict) else one for one in part] if isinstance(part, list) else part
        for name, part in value.items()
        if not name.startswith("_")
    }
