"""What group consumers and followers have in common. In: records of the client library. Out: deliveries, in order.

A task reads ahead into a bounded buffer; ``fetch`` takes from it without waiting in between, so what it returns was
this consumer's at that moment.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from mcisd.aio.clock import Clock
from mcisd.aio.signal import Signal
from mcisd.aio.supervise import Service, TaskSet
from mcisd.bus.base import Delivery, Topic
from mcisd.bus.kafka.ending import end_within
from mcisd.bus.kafka.errors import KafkaError, bus_error
from mcisd.bus.kafka.gate import ByteGate
from mcisd.bus.kafka.options import POLL_MS, KafkaOptions, client_arguments
from mcisd.model.errors import BusError

log = logging.getLogger(__name__)
IDLE_MS = 5_000
CHUNK = 1_000
HOLD_S = 10.0
GATHER_BYTES = 262_144
"""With so many to send, brokers do not wait for more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read. ``who`` is the group's or the reader's name; the topic's ``gate`` is held until the place where
    reading begins is known, so what this process publishes after it subscribed is read. Brokers may hold messages back
    for ``gather_s``: each answer of theirs costs both sides a look at every partition."""

    topic: Topic
    partitions: int
    who: str
    gate: ByteGate
    gather_s: float
    from_start: bool


class Reader(ABC):
    """Base of consumers."""

    def __init__(self, options: KafkaOptions, clock: Clock, wanted: Wanted) -> None:
        self.topic = topic = wanted.topic
        self.who = who = wanted.who
        self.dropped = 0
        self._options = options
        self._clock = clock
        self._name = options.prefix + topic.name
        self._from_start = wanted.from_start
        self._gather_s = wanted.gather_s
        self._all = [TopicPartition(self._name, number) for number in range(wanted.partitions)]
        self._buffer: deque[Delivery] = deque()
        self._ring = Signal()
        self._room = Signal()
        self._closed = False
        self._failure: BaseException | None = None
        self._next: dict[int, int] = {}
        self._again: dict[int, int] = {}
        self._consumer: Any = None
        self._tasks = TaskSet(f"bus reader {who} of {topic.name}")
        self._service = Service(f"bus reader {who} of {topic.name}", self._run, clock)
        self._gate: ByteGate | None = wanted.gate
        wanted.gate.hold()
        self._late = asyncio.get_running_loop().call_later(HOLD_S, self._begun)
        self._service.start()

    @property
    def closed(self) -> bool:
        return self._closed

    async def fetch(self, most: int = 1000) -> Sequence[Delivery]:
        """At least one and at most ``most`` messages, in order per partition. Await it directly, not as a task of its
        own: between its end and your going on, partitions could change hands."""
        while True:
            if self._closed:
                raise BusError("closed")
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._buffer:
                buffer = self._buffer
                found = [buffer.popleft() for _ in range(min(most, len(buffer)))]
                if len(buffer) < self._options.limits.read_ahead:
                    self._room.set()
                return found
            await self._ring.wait()

    @abstractmethod
    async def close(self) -> None:
        """End it; whoever waits in ``fetch`` gets BusError("closed")."""

    def lag(self) -> int:
        """Messages the brokers have beyond what was read, as far as this process has heard."""
        first: dict[int, int] = {}
        for message in self._buffer:
            first.setdefault(message.partition, message.offset)
        begin = {number: min(first.get(number, after), self._done_with(number)) for number, after in self._next.items()}
        return sum(max(0, self._end(number) - offset) for number, offset in begin.items())

    def _done_with(self, number: int) -> int:
        """The offset up to which a partition's owner is done with it, as far as it says."""
        return self._next[number]

    def _end(self, number: int) -> int:
        part = TopicPartition(self._name, number)
        if self._consumer is None or part not in self._consumer.assignment():
            return 0
        return self._consumer.highwater(part) or 0

    @abstractmethod
    async def _run(self) -> None:
        """One life of the client."""

    def _begun(self) -> None:
        """Publishing may go on: it is known where this reader begins."""
        self._late.cancel()
        if self._gate is not None:
            self._gate.go_on()
            self._gate = None

    async def _open(self, **arguments: Any) -> Any:
        """A started consumer."""
        if self._gather_s:
            arguments |= {"fetch_min_bytes": GATHER_BYTES, "fetch_max_wait_ms": int(self._gather_s * 1000)}
        consumer = AIOKafkaConsumer(
            **client_arguments(self._options),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=POLL_MS,
            **arguments,
        )
        self._consumer = consumer
        async with asyncio.timeout(self._options.limits.connect_s):
            await consumer.start()
        return consumer

    async def _stop(self) -> None:
        """Stop the consumer within a bound."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        what = f"the consumer {self.who} of {self._name}"
        try:
            await end_within(self._options.limits.close_s, consumer.stop(), what)
        finally:
            await end_within(self._options.limits.close_s, consumer._client.close(), what)

    async def _read(self, consumer: Any) -> None:
        """Move what arrives into the buffer, for ever."""
        while True:
            while len(self._buffer) >= self._options.limits.read_ahead:
                await self._room.wait()
            found: Mapping[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=IDLE_MS, max_records=CHUNK)
            for part, records in found.items():
                self._take(part.partition, records)

    def _take(self, number: int, records: list[Any]) -> None:
        missed = records[0].offset - self._next.get(number, records[0].offset)
        if missed > 0 and not self.topic.compacted:
            self.dropped += missed
            log.warning("%s: %d messages of topic %s were gone before they were read", self.who, missed, self._name)
        self._next[number] = records[-1].offset + 1
        name, again, add = self.topic.name, self._again.get(number, -1), self._buffer.append
        for record in records:
            if record.value is None:
                continue  # a tombstone
            headers = {key: value.decode() for key, value in record.headers} if record.headers else {}
            key = record.key.decode() if record.key else ""
            add(Delivery(name, number, record.offset, key, record.value, headers, record.offset <= again))
        self._ring.set()

    def _fail(self, failure: BaseException) -> None:
        """Let the next fetch raise it."""
        if isinstance(failure, KafkaError):
            failure = bus_error(f"reading topic {self._name}", failure)
        self._failure = failure
        self._ring.set()

    def _shut(self) -> None:
        self._closed = True
        self._begun()
        self._buffer.clear()
        self._ring.set()
        self._room.set()
