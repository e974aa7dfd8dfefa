"""Publishing. In: messages for topics. Out: the places they got, once the brokers have them safe.

What is under way is bounded in bytes; who publishes beyond that waits, in the order of asking.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mcisd.aio.clock import Clock
from mcisd.aio.supervise import TaskSet
from mcisd.bus.base import Outgoing, SafeCallback, Topic
from mcisd.bus.kafka.delivery import Deliverer
from mcisd.bus.kafka.gate import ByteGate
from mcisd.bus.kafka.lane import Batch, Lane
from mcisd.bus.kafka.options import KafkaOptions
from mcisd.bus.kafka.partition import partition_for
from mcisd.model.errors import TooLargeError

OVERHEAD = 24
"""Bytes a message needs in the log besides what it says, at most."""


class TopicWriter:
    """The lanes of one topic, and who wants to know what is safe. Its ``door`` is held while a new reader finds out
    where it begins."""

    def __init__(self, topic: Topic, name: str, lanes: list[Lane]) -> None:
        self.topic = topic
        self.name = name
        self.lanes = lanes
        self.door = ByteGate(1)
        self.callbacks: list[SafeCallback] = []

    def partition_of(self, key: str) -> int:
        return partition_for(key, len(self.lanes))

    def safe(self, partition: int, batch: Batch) -> None:
        """Tell that the brokers have this batch."""
        if batch.base.exception() is None:
            last = batch.base.result() + len(batch.records) - 1
            for callback in list(self.callbacks):
                callback(partition, last)


class Publisher:
    """``partitions`` are the numbers of partitions by topic."""

    def __init__(
        self, options: KafkaOptions, clock: Clock, topics: Sequence[Topic], partitions: Mapping[str, int]
    ) -> None:
        self.gate = ByteGate(options.limits.in_flight_bytes)
        self._options = options
        self._clock = clock
        self._tasks = TaskSet("bus publisher")
        self._deliverer = Deliverer(options, clock, self._tasks)
        self.writers = {topic.name: self._writer(topic, partitions[topic.name]) for topic in topics}

    async def start(self) -> None:
        await self._deliverer.start()

    async def publish(self, writer: TopicWriter, messages: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Append all in order; returns their places. TooLargeError if one is larger than Kafka would take."""
        sizes = [self._size(message) for message in messages]
        await writer.door.enter(0)
        await self.gate.enter(sum(sizes))
        queued = [self._queue(writer, message, size) for message, size in zip(messages, sizes, strict=True)]
        places = []
        for partition, batch, index in queued:
            base = batch.base.result() if batch.base.done() else await asyncio.shield(batch.base)
            places.append((partition, base + index))
        return places

    async def close(self) -> None:
        """Fail who waits to get in; give what is under way a bounded time; fail the rest."""
        for gate in (self.gate, *(writer.door for writer in self.writers.values())):
            gate.close()
        end = self._clock.monotonic() + self._options.limits.close_s
        while len(self._tasks) and self._clock.monotonic() < end:
            await self._clock.sleep(0.01)
        await self._tasks.close()
        for writer in self.writers.values():
            for lane in writer.lanes:
                lane.close()
        await self._deliverer.close()

    def _size(self, message: Outgoing) -> int:
        key, value, headers = message
        size = len(key) + len(value) + OVERHEAD + sum(len(name) + len(text) + 4 for name, text in headers.items())
        if size > self._options.limits.message_bytes:
            raise TooLargeError(
                f"a message has {size} bytes, more than {self._options.limits.message_bytes}",
                field="value",
                remedy="send it in parts",
            )
        return size

    def _queue(self, writer: TopicWriter, message: Outgoing, size: int) -> tuple[int, Batch, int]:
        key, value, headers = message
        partition = writer.partition_of(key)
        encoded = [(name, text.encode()) for name, text in headers.items()] if headers else []
        content = None if writer.topic.compacted and not value else value
        record = (int(self._clock.now() * 1000), key.encode(), content, encoded)
        return partition, *writer.lanes[partition].append(record, size)

    def _writer(self, topic: Topic, partitions: int) -> TopicWriter:
        writer = TopicWriter(topic, self._options.prefix + topic.name, [])
        for partition in range(partitions):
            deliver = partial(self._deliverer.deliver, writer.name, partition)
            done: Callable[[Batch], None] = partial(self._batch_done, writer, partition)
            writer.lanes.append(Lane(deliver, done, self._tasks, self._clock, self._options.limits))
        return writer

    def _batch_done(self, writer: TopicWriter, partition: int, batch: Batch) -> None:
        self.gate.leave(batch.size)
        writer.safe(partition, batch)
