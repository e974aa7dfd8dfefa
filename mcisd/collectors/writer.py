"""The way into the store: batches of windows in, rows out. Tries again for ever; who hands over too fast waits."""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping

from mcisd.aio.clock import Clock
from mcisd.aio.queue import BoundedQueue
from mcisd.aio.retry import Backoff, retry
from mcisd.collectors.book import Batch
from mcisd.collectors.ports import WindowStore
from mcisd.collectors.stats import WriteStats
from mcisd.collectors.windows import FrameWindow, WindowBlock, summarise
from mcisd.model.errors import McisdError, StoreError
from mcisd.model.samples import Schema, frame_head

log = logging.getLogger(__name__)

QUEUE = 4  # batches
CHUNK = 5_000  # frames summarised and written at once
SCHEMA_WAIT_S = 10.0
WRITE_S = 60.0

OnWritten = Callable[[Batch], Awaitable[None]]


class Writer:
    """Writes batches one after the other, in the order they came: a window that is written again comes later."""

    def __init__(
        self,
        *,
        store: WindowStore,
        schemas: Mapping[bytes, Schema],
        clock: Clock,
        width_ms: int = 10_000,
        stats: WriteStats | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.stats = stats or WriteStats()
        self._store = store
        self._schemas = schemas
        self._clock = clock
        self._width_ms = width_ms
        self._backoff = backoff or Backoff(0.2, 15.0)
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret
        self._queue: BoundedQueue[tuple[Batch, OnWritten]] = BoundedQueue(QUEUE)
        self._hand: tuple[Batch, OnWritten] | None = None
        self._lost: set[bytes] = set()
        self._down = False

    @property
    def idle(self) -> bool:
        return self._hand is None and not len(self._queue)

    async def put(self, batch: Batch, on_written: OnWritten) -> None:
        """Hand over a batch; waits while the queue is full."""
        await self._queue.put((batch, on_written))

    async def run(self) -> None:
        """Write for ever. A batch in the hand of a run that failed is the first of the next run."""
        while True:
            if self._hand is None:
                self._hand = await self._queue.get()
            batch, on_written = self._hand
            await self._write(batch)
            self._hand = None
            await on_written(batch)

    async def _write(self, batch: Batch) -> None:
        windows = await self._explained(batch.windows)
        for chunk in _chunks(windows):
            blocks = list(summarise(chunk, self._schemas, self._width_ms))
            self.stats.rows += await self._store_until_done(blocks)
            self.stats.blocks += len(blocks)
        self.stats.windows += len(windows)

    async def _store_until_done(self, blocks: list[WindowBlock]) -> int:
        rows = await retry(
            lambda: self._store_once(blocks),
            clock=self._clock,
            deadline=math.inf,
            backoff=self._backoff,
            rng=self._rng,
            on_retry=self._refused,
        )
        if self._down:
            self._down = False
            log.warning("the series store is back")
        return rows

    async def _store_once(self, blocks: list[WindowBlock]) -> int:
        try:
            async with asyncio.timeout(WRITE_S):
                return await self._store.write(blocks)
        except TimeoutError:
            raise StoreError(f"the series store did not answer within {WRITE_S:g} s") from None

    def _refused(self, _: int, error: McisdError) -> None:
        self.stats.failures += 1
        if not self._down:
            self._down = True
            log.warning("the series store takes nothing, samples wait: %s", error.message)

    async def _explained(self, windows: list[FrameWindow]) -> list[FrameWindow]:
        """The windows whose schemas are known, after a while for the others; what stays unknown is counted."""
        missing = {key for window in windows for key in _keys(window) if key not in self._schemas}
        if not missing:
            return windows
        until = self._clock.monotonic() + SCHEMA_WAIT_S
        while missing - self._lost - self._schemas.keys() and self._clock.monotonic() < until:
            await self._clock.sleep(0.1)
        self._lost |= missing - self._schemas.keys()
        found = []
        for window in windows:
            if all(key in self._schemas for key in _keys(window)):
                found.append(window)
            else:
                self.stats.unknown_schema += len(window.frames)
        return found


def _keys(window: FrameWindow) -> set[bytes]:
    return {window.schema} if window.schema is not None else {frame_head(frame)[1] for frame in window.frames}


def _chunks(windows: list[FrameWindow]) -> Iterator[list[FrameWindow]]:
    chunk: list[FrameWindow] = []
    frames = 0
    for window in windows:
        chunk.append(window)
        frames += len(window.frames)
        if frames >= CHUNK:
            yield chunk
            chunk, frames = [], 0
    if chunk:
        yield chunk
