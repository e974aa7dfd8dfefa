"""Server-sent events as a client reads them. In: an open answer. Out: ``(id, event, data)`` one by one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.integration.api.api_kit import Api


@dataclass(frozen=True)
class Sent:
    id: int
    event: str
    data: Any


@asynccontextmanager
async def stream(api: Api, path: str, last: int | None = None) -> AsyncIterator[AsyncIterator[Sent]]:
    """Follow a stream while the block lasts; ``last`` is the Last-Event-ID."""
    headers = {"Authorization": f"Bearer {api.token}", "Accept": "text/event-stream"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
    async with api.session.get(api.url(path), headers=headers, timeout=timeout) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert (await response.content.readuntil(b"\n\n")).startswith(b":")
        operation = "StreamInfraSvcMonitoring" if "/monitoring/live" in path else "ListEvent"
        api.seen.setdefault(operation, set()).add(200)
        yield _items(api, response.content)


async def _items(api: Api, content: aiohttp.StreamReader) -> AsyncIterator[Sent]:
    while True:
        text = (await content.readuntil(b"\n\n")).decode()
        api.answers.append(text)
        if text.startswith(":"):
            continue
        fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
        if "event" not in fields:
            continue  # the place where the stream begins: an id alone
        yield Sent(int(fields.get("id", 0)), fields["event"], json.loads(fields["data"]))
