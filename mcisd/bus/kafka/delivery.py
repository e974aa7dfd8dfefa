"""Batches to the brokers. In: records of one partition. Out: the offset they got, however long the brokers are away.

The client library's idempotent producer repeats a write until it is taken, without doubles and without changing the
order. What it cannot go on from (its identity is lost, its own task failed) is mended here: a new producer repeats the
batch. Then some of it may be in the log twice, in order; consumers allow for that, as they do after a takeover.
"""

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from mcisd.aio.clock import Clock
from mcisd.aio.supervise import TaskSet
from mcisd.bus.kafka.ending import end_within
from mcisd.bus.kafka.errors import REFUSED, bus_error
from mcisd.bus.kafka.lane import Record
from mcisd.bus.kafka.options import KafkaOptions, client_arguments
from mcisd.model.errors import BusError

log = logging.getLogger(__name__)
SLOW_S = 5.0
PAUSE_S = 0.5
WRITE_MS = 15_000
"""After so long without an answer to a write the broker is taken for hung, and its successor is looked for."""


class Deliverer:
    """Owns the producer of this process."""

    def __init__(self, options: KafkaOptions, clock: Clock, tasks: TaskSet) -> None:
        self._options = options
        self._limits = options.limits
        self._clock = clock
        self._tasks = tasks
        self._renewing = asyncio.Lock()
        self._producer: Any = None
        self._slow: set[tuple[str, int]] = set()
        self.renewals = 0

    async def start(self) -> None:
        self._producer = await self._new()

    async def close(self) -> None:
        await _stop(self._producer, self._limits.close_s)

    async def deliver(self, topic: str, partition: int, records: list[Record]) -> int:
        """The offset of the first record. BusError once the brokers have refused them, or not taken them for long."""
        end = self._clock.monotonic() + self._limits.delivery_s
        watch = asyncio.get_running_loop().call_later(SLOW_S, self._note_slow, topic, partition)
        try:
            while True:
                producer = self._producer
                try:
                    async with asyncio.timeout(end - self._clock.monotonic()):
                        return await self._write(producer, topic, partition, records)
                except TimeoutError:
                    raise self._given_up(topic) from None
                except KafkaTimeoutError:
                    continue  # an earlier batch is still under way
                except KafkaError as error:
                    await self._mend(producer, error, f"writing to topic {topic}")
                if self._clock.monotonic() >= end:
                    raise self._given_up(topic)
        finally:
            watch.cancel()
            self._note_done(topic, partition)

    async def _write(self, producer: Any, topic: str, partition: int, records: list[Record]) -> int:
        batch = producer.create_batch()
        for stamp, key, value, headers in records:
            batch.append(timestamp=stamp, key=key, value=value, headers=headers)
        batch.close()
        future = await producer.send_batch(batch, topic, partition=partition)
        place = await future
        if place.offset < 0:  # written before, and the broker does not know any more where
            raise KafkaError("the place of the messages is not known")
        return int(place.offset)

    async def _mend(self, producer: Any, error: KafkaError, what: str) -> None:
        """Have another producer after an error of this one; BusError if that would not help."""
        if isinstance(error, REFUSED):
            raise bus_error(what, error) from None
        async with self._renewing:
            if self._producer is not producer:
                return
            log.warning("%s: %s; going on with a new producer", what, error)
            await self._clock.sleep(PAUSE_S)
            try:
                async with asyncio.timeout(self._limits.connect_s):
                    fresh = await self._new()
            except (KafkaError, TimeoutError) as failure:
                log.warning("no new producer yet: %s", failure or "no answer")
                return
            self._producer = fresh
            self.renewals += 1
            self._tasks.spawn(_stop(producer, self._limits.close_s))

    async def _new(self) -> Any:
        producer = AIOKafkaProducer(
            **client_arguments(self._options) | {"request_timeout_ms": WRITE_MS},
            enable_idempotence=True,
            acks="all",
            max_batch_size=2 * self._limits.message_bytes,
            max_request_size=2 * self._limits.message_bytes,
        )
        # A batch whose partition has no leader for a while would expire, and leave a hole in the producer's numbers
        # that brokers refuse to go on behind. How long a message may wait is bounded by us.
        producer._message_accumulator._batch_ttl = float("inf")
        try:
            await producer.start()
        except BaseException:
            await _stop(producer, self._limits.close_s)
            raise
        return producer

    def _given_up(self, topic: str) -> BusError:
        return BusError(
            f"topic {topic}: the brokers have not taken messages for {self._limits.delivery_s:g} s",
            remedy="check that the brokers of bus.url run and can be reached",
        )

    def _note_slow(self, topic: str, partition: int) -> None:
        if not self._slow:
            log.warning("Kafka has not taken messages for %g s (topic %s); they wait", SLOW_S, topic)
        self._slow.add((topic, partition))

    def _note_done(self, topic: str, partition: int) -> None:
        if self._slow:
            self._slow.discard((topic, partition))
            if not self._slow:
                log.warning("Kafka takes messages again")


async def _stop(producer: Any, timeout: float) -> None:
    """Stop a producer: in order if what is under way can be finished within the bound, else as it is.

    Its own ``stop`` would wait for its batches as long as the brokers are away.
    """
    await end_within(timeout, producer.flush(), "the producer with messages under way")
    producer._closed = True
    try:
        await end_within(timeout, producer._sender.close(), "the producer's last request")
    finally:
        await end_within(timeout, producer.client.close(), "the producer's connections")
