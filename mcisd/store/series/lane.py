"""Blocking calls in, awaited results out: one thread, one call at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mcisd.model.errors import StoreError
from mcisd.store.settle import settled

T = TypeVar("T")


class Lane:
    """A thread of its own for an engine that blocks.

    At most one call is in the thread, the others wait in their callers. A caller that is cancelled still waits until
    its call has ended (``interrupt`` may hasten that), so that no call outlives the one who asked for it.
    """

    def __init__(self, name: str, interrupt: Callable[[], None] | None = None) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._turn = asyncio.Lock()
        self._interrupt = interrupt
        self._closed = False

    async def run(self, call: Callable[[], T]) -> T:
        """The result of ``call``; StoreError after ``close``."""
        async with self._turn:
            if self._closed:
                raise StoreError("the store is closed")
            future = asyncio.get_running_loop().run_in_executor(self._thread, call)
            return await settled(future, self._interrupt)

    async def close(self, last: Callable[[], object] | None = None) -> None:
        """Wait for the call under way, make the ``last`` one and end the thread. Twice does no harm."""
        async with self._turn:
            if not self._closed:
                self._closed = True
                if last is not None:
                    await settled(asyncio.get_running_loop().run_in_executor(self._thread, last))
                await settled(asyncio.to_thread(self._thread.shutdown))
