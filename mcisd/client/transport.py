"""HTTP to the daemon: one request in, decoded JSON or ApiError out; and event streams that resume by themselves.

A GET, and a write that bears an idempotency key, is asked again for a moment when nobody answers: a daemon that
restarts is not an error. Everything has a timeout.
"""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from mcisd.client.errors import ApiError, from_answer, too_late, unreachable
from mcisd.client.sse import Sse, SseParser
from mcisd.client.target import Target, discover

Json = dict[str, Any]
PREFIX = "/api/v1"
TIMEOUT = 30.0
PATIENCE = 3.0
"""Seconds for which nobody answering is not yet an error."""
QUIET = 45.0
"""Seconds of silence after which a stream is opened again."""
_BAD = 400
_AWAY = 500
_PAUSE = 0.1
_MOST_PAUSE = 2.0


class Transport:
    """One session with one daemon. Use it as an async context manager, or call ``close``."""

    def __init__(self, target: Target, *, patience: float = PATIENCE) -> None:
        self.target = target
        self._patience = patience
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {target.token}"}, trust_env=False)

    @classmethod
    def discover(
        cls,
        url: str | None = None,
        home: Path | None = None,
        *,
        patience: float = PATIENCE,
        environment: Mapping[str, str] = os.environ,
    ) -> Self:
        """A client of the daemon that environment and home directory name; call it inside a running loop."""
        return cls(discover(environment, url, home), patience=patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, query: Mapping[str, object] | None = None, *, timeout: float = TIMEOUT) -> Any:
        return await self.request("GET", path, query=query, timeout=timeout)

    async def post(self, path: str, body: object = None, *, timeout: float = TIMEOUT) -> Any:
        return await self.request("POST", path, body=body, timeout=timeout)

    async def put(self, path: str, body: object) -> Any:
        return await self.request("PUT", path, body=body)

    async def delete(self, path: str) -> None:
        await self.request("DELETE", path)

    async def begin(
        self, path: str, body: object = None, key: str | None = None, *, query: Mapping[str, object] | None = None
    ) -> Json:
        """A write that starts an operation; ``key`` (made if None) makes asking twice harmless."""
        operation: Json = await self.request("POST", path, query=query, body=body, key=key or secrets.token_hex(16))
        return operation

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        key: str | None = None,
        timeout: float = TIMEOUT,
        prefix: str = PREFIX,
    ) -> Any:
        """The decoded answer, None if it is empty. Raises ApiError."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._patience, _PAUSE
        repeatable = method == "GET" or key is not None
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                return await self._once(method, prefix + path, query, body, headers, timeout)
            except aiohttp.ClientError as error:
                # A refused connection has changed nothing, whatever the method; a lost answer may have.
                safe = repeatable or isinstance(error, aiohttp.ClientConnectorError)
                if not safe or loop.time() + pause > end:
                    raise unreachable(self.target.url, _why(error)) from None
            except TimeoutError:
                raise too_late(f"{method} {path}", timeout) from None
            await asyncio.sleep(pause)
            pause = min(_MOST_PAUSE, pause * 2)

    async def stream(
        self, path: str, query: Mapping[str, object] | None = None, last_id: str = ""
    ) -> AsyncGenerator[Sse]:
        """Messages of an event stream for ever: a broken stream is opened again after the last id seen.

        ApiError if the daemon refuses the request, or is away for longer than a minute.
        """
        loop = asyncio.get_running_loop()
        patience = max(60.0, self._patience)
        end, pause = loop.time() + patience, _PAUSE
        while True:
            parser = SseParser(last_id)
            try:
                async with aclosing(self._messages(path, query, parser)) as messages:
                    async for message in messages:
                        end, pause = loop.time() + patience, _PAUSE
                        yield message
                end = loop.time() + patience
            except (aiohttp.ClientError, TimeoutError) as error:
                if loop.time() > end:
                    raise unreachable(self.target.url, _why(error)) from None
            except ApiError as error:
                if error.status < _AWAY or loop.time() > end:
                    raise
            except ValueError as error:
                raise ApiError(str(error), code="http", remedy="check the address with --url") from None
            last_id = parser.last_id
            await asyncio.sleep(pause)
            pause = min(_MOST_PAUSE, pause * 2)

    async def _messages(self, path: str, query: Mapping[str, object] | None, parser: SseParser) -> AsyncGenerator[Sse]:
        headers = {"Accept": "text/event-stream"}
        if parser.last_id:
            headers["Last-Event-ID"] = parser.last_id
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=QUIET)
        url = self.target.url + PREFIX + path
        async with self._session.get(url, params=_plain(query), headers=headers, timeout=limits) as answer:
            if answer.status >= _BAD:
                raise await _refused(answer)
            async for chunk in answer.content.iter_any():
                for message in parser.feed(chunk):
                    yield message

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: object,
        headers: dict[str, str],
        timeout: float,
    ) -> Any:
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=5.0)
        data = None if body is None else json.dumps(body)
        if data is not None:
            headers = {**headers, "Content-Type": "application/json"}
        async with self._session.request(
            method, self.target.url + path, params=_plain(query), data=data, headers=headers, timeout=limits
        ) as answer:
            if answer.status >= _BAD:
                raise await _refused(answer)
            raw = await answer.read()
        try:
            return json.loads(raw) if raw else None
        except ValueError:
            raise ApiError("the answer is not JSON", code="http", remedy="check the address with --url") from None


def _plain(query: Mapping[str, object] | None) -> dict[str, str]:
    """Query values as text; None is left out."""
    return {name: str(value) for name, value in (query or {}).items() if value is not None and value != ""}


async def _refused(answer: aiohttp.ClientResponse) -> ApiError:
    try:
        body = json.loads(await answer.read())
    except ValueError:
        body = None
    return from_answer(answer.status, body, answer.reason or "")


def _why(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "connection refused"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it hung up"
    return str(error) or type(error).__name__
