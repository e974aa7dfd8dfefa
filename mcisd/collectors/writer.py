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
from mcisd.model.identity import NOBODY, Identity
from mcisd.model.samples import Schema, frame_head

log = logging.getLogger(__name__)

QUEUE = 4  # batches
CHUNK = 5_000  # frames summarised and written at once
KNOW_S = 10.0  # to wait for a schema or an identity that nobody has told yet
WRITE_S = 60.0
WATCH_S = 2.0  # how often to look, while the store takes its time, whether we still may
HELD_S = 0.25

OnWritten = Callable[[Batch], Awaitable[None]]
Held = Callable[[], Awaitable[bool]]
"""False while another may have what we are about to write: wait, ask again, and look what of it is ours then."""


class Writer:
    """Writes batches one after the other, in the order they came: a window that is written again comes later.

    ``identities`` says whose windows they are; None where the store does not need it.
    """

    def __init__(
        self,
        *,
        store: WindowStore,
        schemas: Mapping[bytes, Schema],
        identities: Mapping[str, Identity] | None = None,
        clock: Clock,
        width_ms: int = 10_000,
        stats: WriteStats | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.stats = stats or WriteStats()
        self._store = store
        self._schemas = schemas
        self._identities = identities
        self._clock = clock
        self._width_ms = width_ms
        self._backoff = backoff or Backoff(0.2, 15.0)
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret
        self._queue: BoundedQueue[tuple[Batch, OnWritten]] = BoundedQueue(QUEUE)
        self._hand: tuple[Batch, OnWritten] | None = None
        self._lost: set[bytes] = set()
        self._nameless: set[str] = set()
        self._down = False
        self._attempt: asyncio.Task[int] | None = None
        self._writing: set[int] = set()  # partitions
        self._held: Held | None = None

    @property
    def idle(self) -> bool:
        return self._hand is None and not len(self._queue)

    def guard(self, held: Held) -> None:
        """Ask this before each attempt to write, and during long ones."""
        self._held = held

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

    async def release(self, partitions: frozenset[int], seconds: float) -> None:
        """Nothing of these partitions is being written when it returns: what is gets ``seconds``, then it is cut off.

        Batches must have been told before that they are given up.
        """
        attempt = self._attempt
        if attempt is not None and self._writing & partitions:
            done, _ = await asyncio.wait({attempt}, timeout=seconds)
            if not done:
                attempt.cancel()
                await asyncio.wait({attempt}, timeout=1.0)
            await self._clock.sleep(0)  # let the run take note

    async def _write(self, batch: Batch) -> None:
        windows = await self._explained(batch.windows)
        await self._named(windows)
        for chunk in _chunks(windows):
            await self._store_until_done(batch, chunk)
        self.stats.windows += len(batch.ours(windows))
        self.stats.given_up += len(windows) - len(batch.ours(windows))

    async def _store_until_done(self, batch: Batch, chunk: list[FrameWindow]) -> None:
        await retry(
            lambda: self._put(batch, chunk),
            clock=self._clock,
            deadline=math.inf,
            backoff=self._backoff,
            rng=self._rng,
            on_retry=self._refused,
        )
        if self._down:
            self._down = False
            log.warning("the series store is back")

    async def _put(self, batch: Batch, chunk: list[FrameWindow]) -> None:
        """Write what is still ours of the chunk; anew, if some of it was taken from us meanwhile."""
        windows: list[FrameWindow] = []
        blocks: list[WindowBlock] = []
        while True:
            await self._until_held()
            ours = batch.ours(chunk)
            if not ours:
                return
            if len(ours) != len(windows):  # nothing of it yet, or less by now; this takes a while, so ask again
                windows, blocks = ours, list(summarise(ours, self._schemas, self._width_ms))
            elif await self._attempted(windows, blocks):
                return
            await self._clock.sleep(0)

    async def _until_held(self) -> None:
        """Nothing is written by a process that may have been replaced. It is told in time what is not its own."""
        if self._held is None or await self._held():
            return
        self.stats.doubts += 1
        log.warning("the bus may have given our partitions to another, samples wait")
        while not await self._held():
            await self._clock.sleep(HELD_S)

    async def _attempted(self, windows: list[FrameWindow], blocks: list[WindowBlock]) -> bool:
        """Write these windows, in blocks; False if that was cut off. StoreError if the store would not."""
        known = self._identities or NOBODY
        identities = {window.vm: known[window.vm] for window in windows if window.vm in known}
        self._writing = {window.partition for window in windows}
        self._attempt = attempt = asyncio.ensure_future(self._store.write(blocks, identities))
        try:
            async with asyncio.timeout(WRITE_S):
                if self._held is not None:
                    await self._watched(attempt, self._held)
                self.stats.rows += await attempt
        except TimeoutError:
            raise StoreError(f"the series store did not answer within {WRITE_S:g} s") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return False
        finally:
            self._attempt = None
        self.stats.blocks += len(blocks)
        return True

    async def _watched(self, attempt: asyncio.Task[int], held: Held) -> None:
        """Wait for the attempt; cut it off when what it writes may be another's."""
        try:
            while not (await asyncio.wait({attempt}, timeout=WATCH_S))[0]:
                if not await held():
                    attempt.cancel()
        finally:
            if not attempt.done():
                attempt.cancel()
                await asyncio.wait({attempt}, timeout=1.0)

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
        await self._wait(lambda: not missing - self._lost - self._schemas.keys())
        self._lost |= missing - self._schemas.keys()
        found = []
        for window in windows:
            if all(key in self._schemas for key in _keys(window)):
                found.append(window)
            else:
                self.stats.unknown_schema += len(window.frames)
        return found

    async def _named(self, windows: list[FrameWindow]) -> None:
        """Wait a while for the identities that are not known; windows that go without are counted."""
        known = self._identities
        if known is None:
            return
        vms = {window.vm for window in windows}
        if vms - known.keys():
            await self._wait(lambda: not vms - self._nameless - known.keys())
        self._nameless = (self._nameless | vms) - known.keys()
        if self._nameless:
            self.stats.unknown_identity += sum(window.vm in self._nameless for window in windows)

    async def _wait(self, known: Callable[[], bool]) -> None:
        until = self._clock.monotonic() + KNOW_S
        while not known() and self._clock.monotonic() < until:
            await self._clock.sleep(0.1)


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
