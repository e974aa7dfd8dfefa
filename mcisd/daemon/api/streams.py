"""Server-sent events: one writer with a heartbeat, a bound on how many streams there are, and slow readers let go."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from mcisd.model.errors import StoreError

HEARTBEAT = 15.0
WRITE_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a stream; without ``event`` it only tells the reader its place, to resume from."""

    event: str
    data: object
    id: str = ""

    def encode(self) -> bytes:
        head = f"id: {self.id}\n" if self.id else ""
        if not self.event:
            return f"{head}\n".encode()
        return f"{head}event: {self.event}\ndata: {json.dumps(self.data, separators=(',', ':'))}\n\n".encode()


class Streams:
    """Owner of all open streams; ``close`` ends them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def serve(self, request: web.Request, items: AsyncIterator[Item]) -> web.StreamResponse:
        """Send items until the client goes, the stream ends, or a write takes too long."""
        if len(self._tasks) >= self._most:
            raise StoreError(f"{self._most} streams are open already", remedy="close one, or try again later")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await self._pump(response, items)
        except (ConnectionError, TimeoutError):
            pass  # the client is gone or does not read: it resumes by the last id
        finally:
            if task is not None:
                self._tasks.discard(task)
        return response

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2.0)

    async def _pump(self, response: web.StreamResponse, items: AsyncIterator[Item]) -> None:
        await _write(response, b": hello\n\n")
        iterator = aiter(items)
        pending: asyncio.Future[Item] = asyncio.ensure_future(anext(iterator))
        try:
            while True:
                done, _ = await asyncio.wait({pending}, timeout=HEARTBEAT)
                if not done:
                    await _write(response, b": still here\n\n")
                    continue
                try:
                    item = pending.result()
                except StopAsyncIteration:
                    return
                await _write(response, item.encode())
                pending = asyncio.ensure_future(anext(iterator))
        finally:
            pending.cancel()
            await asyncio.wait({pending})
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        await response.write(data)
