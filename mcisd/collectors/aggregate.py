"""From frames to windows: the topic ``metrics`` in, batches of windows to the writer, commits back to the bus."""

import asyncio
import logging
import struct

from mcisd.aio.clock import Clock
from mcisd.aio.periodic import every
from mcisd.collectors.book import Batch, WindowBook
from mcisd.collectors.ports import FrameBus, FrameSubscription, Message
from mcisd.collectors.stats import WriteStats
from mcisd.collectors.writer import Writer
from mcisd.model.errors import BusError

log = logging.getLogger(__name__)

GROUP = "writer"


class Aggregator:
    """Consumer of the durable group "writer". What it has taken survives a restart of ``run``, not of the process.

    At most ``most_frames`` wait to be handed over; beyond that it stops reading, which fills the bus, which stops
    the agents.
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
        most_frames: int = 50_000,
        stats: WriteStats | None = None,
    ) -> None:
        self.stats = stats or writer.stats
        self._bus = bus
        self._writer = writer
        self._clock = clock
        self._tick_s = tick_s
        self._most_frames = most_frames
        self._book = WindowBook(width_ms, lateness_s)
        self._subscription: FrameSubscription | None = None
        self._committed: dict[int, int] = {}
        self._handing = asyncio.Lock()
        self._next: Batch | None = None

    def join(self) -> None:
        """Join the group. Done before the receiver starts, no frame is published that nobody waits for."""
        if self._subscription is None:
            self._subscription = self._bus.subscribe("metrics", GROUP, durable=True)

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

    async def _leave(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    async def _consume(self) -> None:
        subscription = self._subscription
        if subscription is None:
            raise BusError("closed")
        while True:
            for message in await subscription.fetch():
                self._add(message)
            while self._book.unwritten > self._most_frames and await self._hand_over():
                await self._clock.sleep(0)
            while self._book.unwritten > 2 * self._most_frames:
                await self._clock.sleep(self._tick_s)

    def _add(self, message: Message) -> None:
        before = self._book.duplicates
        try:
            self._book.add(message.partition, message.offset, message.value, self._clock.monotonic())
        except (struct.error, UnicodeDecodeError) as error:
            self.stats.bad_frames += 1
            self._book.skip(message.partition, message.offset)
            log.warning("message %d of topic metrics is no frame: %s", message.offset, error)
            return
        self.stats.duplicates += self._book.duplicates - before
        self.stats.frames += 1 - (self._book.duplicates - before)

    async def _tick(self) -> None:
        await self._hand_over()
        await self._commit()

    async def _hand_over(self) -> bool:
        """Give the writer what is due; False if nothing is. One at a time, as order matters when it is full."""
        async with self._handing:
            batch = self._next or self._book.take(int(self._clock.now() * 1000), self._clock.monotonic())
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

    async def _commit(self) -> None:
        positions = {p: offset for p, offset in self._book.positions().items() if offset > self._committed.get(p, -1)}
        if not positions or self._subscription is None:
            return
        try:
            await self._subscription.commit(positions)
        except BusError as error:
            log.warning("cannot commit, will do so later: %s", error.message)
            return
        self._committed.update(positions)
