"""A bounded pool of threads for a library that blocks. In: functions. Out: what they return, awaited.

Work is handed over only when a thread is free, so nothing queues up inside the pool.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from mcisd.model.errors import CloudTransientError

T = TypeVar("T")
WORKERS = 8
FAREWELL = 5.0
"""Seconds that ``close`` waits for work under way; each request has a time limit of its own and ends soon after."""


class Threads:
    """Belongs to the event loop in which it was made; ``name`` is seen in lists of threads."""

    def __init__(self, name: str, workers: int = WORKERS) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._free = asyncio.Semaphore(workers)
        self._loop = asyncio.get_running_loop()
        self._under_way: set[asyncio.Future[None]] = set()
        self._closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work``, run in a thread with the caller's context; CloudTransientError once closed.

        A cancelled caller leaves at once, its work goes on to its end in the thread.
        """
        await self._free.acquire()
        if self._closed:
            self._free.release()
            raise CloudTransientError("the connection is closed")
        ended: asyncio.Future[None] = self._loop.create_future()
        self._under_way.add(ended)
        future = self._pool.submit(copy_context().run, work)
        future.add_done_callback(lambda done: self._tell(done, ended))
        return await asyncio.wrap_future(future)

    def _tell(self, _: "Future[T]", ended: "asyncio.Future[None]") -> None:
        """Runs in the thread: the loop may be gone by now, then nobody waits any more."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, ended)

    def _end(self, ended: "asyncio.Future[None]") -> None:
        self._under_way.discard(ended)
        ended.set_result(None)
        self._free.release()

    async def close(self) -> None:
        """Take no more work, and wait a little for what is under way."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=FAREWELL)
