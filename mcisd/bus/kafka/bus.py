"""The bus on Kafka. In: options and the topics as declared. Out: ``bus.base.Bus`` for daemons of many processes.

Each publish is acknowledged by all copies that are in step before it returns. A group's place is kept by the brokers.
A broker that is away makes publishing and reading wait, and both go on by themselves when it is back.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

from mcisd.aio.clock import Clock
from mcisd.aio.retry import Backoff, retry
from mcisd.bus.base import Handover, Outgoing, SafeCallback, Topic
from mcisd.bus.kafka.errors import KafkaError, bus_error, spare_the_log
from mcisd.bus.kafka.follower import KafkaFollower
from mcisd.bus.kafka.group import KafkaSubscription
from mcisd.bus.kafka.options import KafkaOptions
from mcisd.bus.kafka.publish import Publisher, TopicWriter
from mcisd.bus.kafka.reader import Reader, Wanted
from mcisd.bus.kafka.topics import TopicKeeper
from mcisd.bus.topics import ALL
from mcisd.model.errors import BusError, InputError

CHECK_S = 10.0


class KafkaBus:
    """Use ``open``. Implements ``bus.base.Bus``."""

    def __init__(
        self, options: KafkaOptions, clock: Clock, keeper: TopicKeeper, publisher: Publisher, partitions: dict[str, int]
    ) -> None:
        self._options = options
        self._clock = clock
        self._keeper = keeper
        self._publisher = publisher
        self._partitions = partitions
        self._readers: list[Reader] = []
        self._lost: dict[tuple[str, str], int] = {}
        self._closed = False

    @classmethod
    async def open(cls, options: KafkaOptions, clock: Clock, topics: Sequence[Topic] = ALL) -> "KafkaBus":
        """Connect, create the topics that are missing, check the others.

        ConfigError for options or topics that do not fit; BusError if no broker answers for ``limits.connect_s``.
        """
        spare_the_log()

        async def attempt() -> KafkaBus:
            return await cls._open(options, clock, topics)

        rng = random.Random()  # noqa: S311 - jitter, not a secret
        return await retry(attempt, clock=clock, deadline=options.limits.connect_s, backoff=Backoff(0.2, 2.0), rng=rng)

    @classmethod
    async def _open(cls, options: KafkaOptions, clock: Clock, topics: Sequence[Topic]) -> "KafkaBus":
        keeper = TopicKeeper(options, clock)
        publisher = None
        try:
            async with asyncio.timeout(options.limits.connect_s):
                await keeper.start()
                partitions = await keeper.ensure(topics)
                publisher = Publisher(options, clock, topics, partitions)
                await publisher.start()
        except BaseException as error:
            await keeper.close()
            if isinstance(error, KafkaError | TimeoutError):
                raise bus_error(f"Kafka at {options.servers}", error) from error
            raise
        return cls(options, clock, keeper, publisher, partitions)

    async def publish(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, int]:
        """Append; returns ``(partition, offset)`` when the brokers have it safe. Waits while too much is under way or
        the brokers are away; BusError (retriable) if they are for ``limits.delivery_s``."""
        return (await self._publisher.publish(self._writer(topic), [(key, value, headers or {})]))[0]

    async def publish_all(self, topic: str, messages: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Append all, in order; returns the places."""
        return await self._publisher.publish(self._writer(topic), messages) if messages else []

    def subscribe(
        self,
        topic: str,
        group: str,
        *,
        durable: bool = False,
        from_start: bool = False,
        handover: Handover | None = None,
        look_back: Callable[[], float] | None = None,
        gather_s: float = 0.0,
    ) -> KafkaSubscription:
        """Join a group. Every group is durable here, as long as the topic keeps its messages.

        Joining takes place after this returns; what this process publishes meanwhile waits until it is known where a
        new group begins, so the group reads it.
        """
        wanted = self._wanted(topic, group, gather_s, from_start)
        subscription = KafkaSubscription(self._options, self._clock, wanted, handover, look_back)
        self._readers.append(subscription)
        return subscription

    def follow(self, topic: str, reader: str, *, from_start: bool = False, gather_s: float = 0.0) -> KafkaFollower:
        """Read everything by oneself; what this process publishes from now on is read in any case."""
        wanted = self._wanted(topic, reader, gather_s, from_start)
        follower = KafkaFollower(self._options, self._clock, wanted)
        self._readers.append(follower)
        return follower

    def partition_of(self, topic: str, key: str) -> int:
        """The partition of this key: as Kafka's own clients choose it."""
        return self._writer(topic).partition_of(key)

    def on_safe(self, topic: str, callback: SafeCallback) -> Callable[[], None]:
        """Call back when the brokers have messages of this process."""
        callbacks = self._writer(topic).callbacks
        callbacks.append(callback)
        return lambda: callbacks.remove(callback) if callback in callbacks else None

    def dropped(self) -> dict[tuple[str, str], int]:
        """Messages that Kafka let go of (retention) before a reader of this process had read them."""
        self._sweep()
        lost = dict(self._lost)
        for reader in self._readers:
            if reader.dropped:
                key = reader.topic.name, reader.who
                lost[key] = lost.get(key, 0) + reader.dropped
        return lost

    def lag(self) -> dict[tuple[str, str], int]:
        """Messages before the readers of this process: those of a group together, of followers the furthest behind."""
        self._sweep()
        behind: dict[tuple[str, str], int] = {}
        for reader in self._readers:
            key = reader.topic.name, reader.who
            known = behind.get(key, 0)
            behind[key] = max(known, reader.lag()) if isinstance(reader, KafkaFollower) else known + reader.lag()
        return behind

    async def check(self) -> str:
        """Ask the brokers; BusError if none answers."""
        try:
            async with asyncio.timeout(CHECK_S):
                count = await self._keeper.brokers()
        except (KafkaError, TimeoutError) as error:
            raise bus_error(f"Kafka at {self._options.servers}", error) from error
        return f"Kafka at {self._options.servers}, {count} brokers, {len(self._partitions)} topics"

    async def close(self) -> None:
        """Readers give back and end, what is under way gets a bounded time, then all who wait get BusError."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(reader.close() for reader in self._readers))
        await self._publisher.close()
        await self._keeper.close()

    def _writer(self, topic: str) -> TopicWriter:
        if self._closed:
            raise BusError("closed")
        try:
            return self._publisher.writers[topic]
        except KeyError:
            raise InputError(f"no topic {topic!r}", field="topic", remedy="declare it in bus/topics.py") from None

    def _wanted(self, topic: str, who: str, gather_s: float, from_start: bool) -> Wanted:
        writer = self._writer(topic)
        self._sweep()
        return Wanted(writer.topic, len(writer.lanes), who, writer.door, gather_s, from_start)

    def _sweep(self) -> None:
        """Forget readers that have closed, but not what they lost."""
        for reader in [reader for reader in self._readers if reader.closed]:
            self._readers.remove(reader)
            if reader.dropped:
                key = reader.topic.name, reader.who
                self._lost[key] = self._lost.get(key, 0) + reader.dropped
