"""The way of messages to one partition. In: records, in order. Out: batches, one under way at a time, in that order.

While a batch is under way the next one fills, so batches grow with the load by themselves. A batch that is still small
waits for the next tick. All lanes of a process share the ticks, so what they send then goes to a broker in one request:
it is requests that cost the broker, and us.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from mcisd.aio.clock import Clock
from mcisd.aio.supervise import TaskSet
from mcisd.bus.kafka.options import KafkaLimits
from mcisd.model.errors import BusError

SMALL = 200
"""Records from which on a batch does not wait for company; nor does one that is full."""
Record = tuple[int, bytes, bytes | None, list[tuple[str, bytes]]]
"""Milliseconds since the epoch, key, value (None: a tombstone), headers."""
Deliver = Callable[[list[Record]], Awaitable[int]]
"""Hand records over to the brokers; the offset of the first. BusError if they do not take them."""


class Batch:
    """Records that go together. ``base`` is done when they are safe: the offset of the first."""

    __slots__ = ("base", "records", "size")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.size = 0
        self.base: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.base.add_done_callback(_seen)


def _seen(base: asyncio.Future[int]) -> None:
    """Whoever published may have gone away meanwhile; then nobody else looks at the error."""
    if not base.cancelled():
        base.exception()


class Lane:
    """``done`` is called with each batch that is safe or has failed."""

    def __init__(
        self, deliver: Deliver, done: Callable[[Batch], None], tasks: TaskSet, clock: Clock, limits: KafkaLimits
    ) -> None:
        self._deliver = deliver
        self._done = done
        self._tasks = tasks
        self._clock = clock
        self._limits = limits
        self._waiting: deque[Batch] = deque()
        self._sending = False

    def append(self, record: Record, size: int) -> tuple[Batch, int]:
        """Queue a record of so many bytes; returns its batch, and its place therein."""
        if not self._waiting or self._waiting[-1].size + size > self._limits.batch_bytes:
            self._waiting.append(Batch())
        batch = self._waiting[-1]
        batch.records.append(record)
        batch.size += size
        if not self._sending:
            self._sending = True
            self._tasks.spawn(self._send_all())
        return batch, len(batch.records) - 1

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) == 1 and len(self._waiting[0].records) < SMALL:
                    await self._clock.sleep(self._limits.linger_s - self._clock.monotonic() % self._limits.linger_s)
                await self._send(self._waiting.popleft())
        finally:
            self._sending = False

    async def _send(self, batch: Batch) -> None:
        try:
            batch.base.set_result(await self._deliver(batch.records))
        except BusError as error:
            batch.base.set_exception(error)
        except BaseException:
            batch.base.set_exception(BusError("closed"))
            raise
        finally:
            self._done(batch)

    def close(self) -> None:
        """Fail what still waits."""
        while self._waiting:
            batch = self._waiting.popleft()
            batch.base.set_exception(BusError("closed"))
            self._done(batch)
