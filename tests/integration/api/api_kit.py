"""A whole daemon in this process, and a client that keeps every answer it was given.

In: settings. Out: an ``Api`` that speaks HTTP to the real server, and which operation has answered with which status.
"""

import asyncio
import io
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from mcisd.aio.clock import SystemClock
from mcisd.daemon.api.context import Context
from mcisd.daemon.api.routes import ROUTES
from mcisd.daemon.api.routing import PREFIX
from mcisd.daemon.app import App
from mcisd.daemon.settings import Settings
from mcisd.model.records import Record
from mcisd.store.base import MetadataStore
from mcisd.store.metadata.kinds import KINDS

PATTERNS = [
    (route.method, re.compile(re.sub(r"{\w+}", "[^/]+", route.full_path) + "$"), route.operation) for route in ROUTES
]
SECRET = "planted-secret-4711"
"""What is planted wherever a secret may be given; no answer, event or log record may show it."""


@dataclass(frozen=True)
class Answer:
    """What the server answered; ``body`` is the parsed JSON, None where there is none."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text) if self.text else None


@dataclass
class Api:
    """The API of one running daemon, with its token unless told otherwise."""

    app: App
    session: aiohttp.ClientSession
    token: str
    seen: dict[str, set[int]] = field(default_factory=dict)  # operationId → statuses it has answered
    answers: list[str] = field(default_factory=list)

    @property
    def context(self) -> Context:
        assert self.app.context is not None
        return self.app.context

    def url(self, path: str) -> URL:
        full = path.removeprefix("!") if path.startswith("!") else PREFIX + path
        return URL(self.app.url + full, encoded=True)

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        expect: int | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Ask; ``path`` is below the prefix, or with a leading ``!`` as it is. AssertionError for another status."""
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        sent = {"Authorization": f"Bearer {self.token}"} | (headers or {})
        timeout = aiohttp.ClientTimeout(total=40)
        async with self.session.request(
            method,
            self.url(path),
            data=io.BytesIO(data) if data is not None else None,
            headers=sent,
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            text = await response.text()
        answer = Answer(response.status, dict(response.headers), text)
        self.note(method, path, answer)
        if expect is not None:
            assert answer.status == expect, f"{method} {path}: {answer.status} {text[:500]}"
        return answer

    def note(self, method: str, path: str, answer: Answer) -> None:
        self.answers.append(answer.text)
        full = str(self.url(path).path)
        for verb, pattern, operation in PATTERNS:
            if verb == method and pattern.match(full):
                self.seen.setdefault(operation, set()).add(answer.status)

    async def get(self, path: str) -> Any:
        return (await self("GET", path, expect=200)).body

    async def post(self, path: str, body: object = None, expect: int = 201) -> Any:
        return (await self("POST", path, body, expect=expect)).body

    async def delete(self, path: str) -> None:
        await self("DELETE", path, expect=204)

    async def finished(self, answer: Any, state: str = "succeeded") -> Any:
        """Follow an operation to its end, which must be ``state``."""
        found = answer
        for _ in range(4):
            found = await self.get(f"/operations/{answer['id']}?wait=10")
            if found["state"] != "running":
                break
        assert found["state"] == state, found
        return found


async def eventually(look: Callable[[], Awaitable[Any]], what: str, seconds: float = 30.0) -> Any:
    """What ``look`` returns as soon as it is true; AssertionError after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        seen = await look()
        if seen:
            return seen
        assert time.monotonic() < end, f"never saw {what}; last: {seen!r}"
        await asyncio.sleep(0.05)


def settings_of(home: Path, **sections: dict[str, object]) -> Settings:
    """Free ports, no agents, quick looks at the clouds; ``sections`` override."""
    tree: dict[str, Any] = {
        "api": {"port": 0},
        "collector": {"port": 0, "window_s": 1.0, "lateness_s": 0.2},
        "agents": {"enabled": False},
        "reconcile": {"busy_s": 0.05, "idle_s": 0.5},
    }
    for name, values in sections.items():
        tree[name] = tree.get(name, {}) | values
    return Settings.model_validate(tree | {"home": home})


@asynccontextmanager
async def daemon(settings: Settings, bundle: Callable[[], bytes] = lambda: b"no agent here") -> AsyncIterator[Api]:
    """A running daemon; it has stopped when the block is left."""
    app = App(settings, SystemClock(), bundle)
    await app.start()
    try:
        token = (settings.home / "token").read_text().strip()
        async with aiohttp.ClientSession() as session:
            yield Api(app, session, token)
    finally:
        await app.stop()


async def rows(store: MetadataStore) -> dict[str, list[Record]]:
    """Every row that a request could change, by table; the call history and cursors move by themselves."""
    async with store.reading() as tx:
        kinds = [kind for kind in KINDS if kind.table not in ("call", "setting")]
        return {kind.table: await tx.find(kind, order="uid") for kind in kinds}


class Records(logging.Handler):
    """Keeps every log record's text, at all levels."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
