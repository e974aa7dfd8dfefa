"""From frames to windows: the topic ``metrics`` in, batches of windows to the writer, commits back to the bus."""

import asyncio
import logging
import struct
from collections.abc import Sequence

from mcisd.aio.clock import Clock
from mcisd.aio.periodic import every
from mcisd.collectors.book import Batch, WindowBook
from mcisd.collectors.ports import FrameBus, FrameSubscription, Message
from mcisd.collectors.writer import Writer
from mcisd.model.errors import BusError

log = logging.getLogger(__name__)

GROUP = "writer"
FETCH = 2_000  # messages
GATHER_S = 0.5
"""A window waits for its last frames for seconds; a part of one changes nothing, and saves the bus many requests."""
COMMIT_S = 10.0
LOST_S = 5.0  # for what is being written of a partition that goes to another; well below what the bus allows


class Aggregator:
    """Consumer of the durable group "writer".

    On a bus of this process alone, what it has taken survives a restart of ``run``. On a bus that is ``shared`` it
    knows nothing of a partition that it gains, and lets go of one that it loses.

    At most ``most_frames`` wait to be handed over; beyond twice that it stops reading, which fills the bus, which
    stops the agents.
    """

    def __init__(
        self,
        *,
        bus: FrameBus,
        writer: Writer,
        clock: Clock,
        width_ms: int = 10_000,
        lateness_s: float = 2.0,
        tick_s: float = 1.0,
        most_frames: int = 100_000,
        shared: bool = False,
    ) -> None:
        self.stats = writer.stats
        self._bus = bus
        self._writer = writer
        self._clock = clock
        self._tick_s = tick_s
        self._most_frames = most_frames
        self._shared = shared
        self._book = WindowBook(width_ms, lateness_s, shared=shared, stats=writer.stats)
        self._subscription: FrameSubscription | None = None
        self._committed: dict[int, int] = {}
        self._handing = asyncio.Lock()
        self._next: Batch | None = None
        self._waiting = False
        self._read_until = clock.monotonic() - GATHER_S
        if shared:
            writer.guard(self._held)

    def join(self) -> None:
        """Join the group. Done before the receiver starts, no frame is published that nobody waits for."""
        if self._subscription is None:
            handover = self if self._shared else None
            self._subscription = self._bus.subscribe(
                "metrics", GROUP, durable=True, from_start=True, handover=handover, gather_s=GATHER_S
            )

    async def run(self) -> None:
        """Consume for ever; ends with the exception that stops it, and can be run again."""
        self.join()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._consume())
                group.create_task(every(self._clock, self._tick_s, self._tick, offset=self._tick_s))
        finally:
            await self._leave()

    async def drain(self) -> None:
        """Hand everything to the writer, complete or not, and wait until it is stored. The caller bounds the time."""
        async with self._handing:
            await self._give(self._next)
            await self._give(self._book.take_all())
        while not self._writer.idle:
            await self._clock.sleep(0.02)

    def forget(self, vm: str) -> None:
        """The VM is gone for good."""
        self._book.forget(vm)

    async def gained(self, partitions: frozenset[int]) -> None:
        """These partitions are ours from now on; another may have had them."""
        self._book.begin(partitions)
        for partition in partitions:
            self._committed.pop(partition, None)

    async def lost(self, partitions: frozenset[int]) -> None:
        """These partitions go to another, who begins behind the last commit and sees all that is not final.

        What is being written of them ends first, one way or another, so that nothing of ours comes after what is his.
        If he has begun already, as we stood still or could not reach the bus, it ends at once, and he is not told
        how far we had come.
        """
        self._book.give_up(partitions)
        held = await self._held()
        await self._writer.release(partitions, LOST_S if held else 0.0)
        if held:
            await self._commit(partitions)
        self._book.begin(partitions)

    async def _held(self) -> bool:
        """What we took from the bus is ours to write. What was taken before we left the group is given up already."""
        return self._subscription is None or await self._subscription.confirm()

    async def _leave(self) -> None:
        try:
            if self._subscription is not None:
                await self._subscription.close()
        finally:
            self._subscription = None

    async def _consume(self) -> None:
        subscription = self._subscription
        if subscription is None:
            raise BusError("closed")
        whole = False
        while True:
            self._waiting = whole
            messages = await subscription.fetch(FETCH)
            self._waiting, whole = False, len(messages) < FETCH
            now = self._clock.monotonic()
            self._add(messages, now)
            if whole:
                self._read_until = now - GATHER_S
            while self._book.unwritten > self._most_frames and await self._hand_over():
                await self._clock.sleep(0)
            while self._book.unwritten > 2 * self._most_frames:
                await self._clock.sleep(self._tick_s)

    def _add(self, messages: Sequence[Message], now: float) -> None:
        add = self._book.add
        for message in messages:
            try:
                add(message.partition, message.offset, message.value, now)
            except (struct.error, UnicodeDecodeError) as error:
                self.stats.bad_frames += 1
                self._book.skip(message.partition, message.offset)
                log.warning("message %d of topic metrics is no frame: %s", message.offset, error)

    async def _tick(self) -> None:
        await self._hand_over()
        await self._commit()

    def _until(self) -> float:
        """When all that was on the bus had been read: what the bus may hold back before now, while we wait for more; a
        backlog is no silence of VMs."""
        if self._waiting:
            self._read_until = self._clock.monotonic() - GATHER_S
        return self._read_until

    async def _hand_over(self) -> bool:
        """Give the writer what is due; False if nothing is. One at a time, as order matters when it is full."""
        async with self._handing:
            now = self._clock.monotonic()
            batch = self._next or self._book.take(int(self._clock.now() * 1000), now, self._until())
            await self._give(batch)
            return batch is not None

    async def _give(self, batch: Batch | None) -> None:
        """A batch that was taken from the book and could not be given away, as we were stopped, is the next one."""
        self._next = batch
        if batch is not None:
            await self._writer.put(batch, self._written)
            self._next = None

    async def _written(self, batch: Batch) -> None:
        self._book.written(batch)
        await self._commit()

    async def _commit(self, only: frozenset[int] | None = None) -> None:
        positions = {
            partition: offset
            for partition, offset in self._book.positions(self._until()).items()
            if offset > self._committed.get(partition, -1) and (only is None or partition in only)
        }
        if not positions or self._subscription is None:
            return
        try:
            async with asyncio.timeout(COMMIT_S):
                await self._subscription.commit(positions)
        except (BusError, TimeoutError) as error:
            log.warning("cannot commit, will do so later: %s", error or f"no answer within {COMMIT_S:g} s")
            return
        self._committed.update(positions)
