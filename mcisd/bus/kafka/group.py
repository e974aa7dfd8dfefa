"""A consumer of a group. In: a topic and a group's name. Out: the messages of the partitions that are ours at a time.

At every change in the group all its consumers give all partitions back (finish, commit, forget) and get their new ones:
so nobody begins with a partition before another has ended with it. Gaining runs beside the client library's own task,
as that must go on telling the group that we live.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError

from mcisd.aio.clock import Clock
from mcisd.aio.signal import Signal
from mcisd.bus.base import Handover
from mcisd.bus.kafka.errors import REFUSED, KafkaError, bus_error
from mcisd.bus.kafka.membership import Membership
from mcisd.bus.kafka.options import KafkaOptions
from mcisd.bus.kafka.reader import Reader, Wanted
from mcisd.model.errors import BusError

log = logging.getLogger(__name__)
REBALANCE_MARGIN_S = 10.0
COMMIT_S = 5.0
WATCH_S = 2.0


class KafkaSubscription(Reader):
    """Implements ``bus.base.Subscription``."""

    def __init__(
        self,
        options: KafkaOptions,
        clock: Clock,
        wanted: Wanted,
        handover: Handover | None,
        look_back: Callable[[], float] | None,
    ) -> None:
        self._handover = handover
        self._look_back = look_back
        self._group = options.prefix + wanted.who
        self._membership = Membership(clock, options.limits.session_s)
        self._committing = asyncio.Lock()
        self._committed: dict[int, int] = {}
        self._owned: frozenset[int] = frozenset()
        self._told = False
        self._known = False
        self._reading: asyncio.Task[Any] | None = None
        self._trouble: Exception | None = None
        self._troubled = Signal()
        self._prepared = Signal()
        super().__init__(options, clock, wanted)

    # --- for the consumer's owner

    async def commit(self, positions: dict[int, int]) -> None:
        """Done with everything up to and including these offsets. Waits while the brokers are away."""
        while True:
            if self._closed:
                raise BusError("closed")
            try:
                async with asyncio.timeout(COMMIT_S), self._committing:
                    await self._commit(positions)  # a consumer that was stopped meanwhile would try for ever
            except TimeoutError:
                continue
            except (CommitFailedError, IllegalStateError):
                log.info("group %s: partitions changed hands before a commit", self._group)
            except KafkaError as error:
                raise bus_error(f"group {self._group}: committing", error) from error
            return

    async def confirm(self) -> bool:
        """True if the brokers said lately that we are in the group, or say so now, to a commit that changes nothing."""
        if self._closed:
            return False
        if not self._owned or self._membership.fresh:
            return True
        try:
            async with asyncio.timeout(COMMIT_S), self._committing:
                same = {TopicPartition(self._name, number): offset for number, offset in self._committed.items()}
                if same and self._consumer is not None:
                    await self._consumer.commit(same)
        except (KafkaError, TimeoutError) as error:
            log.info("group %s: not sure of our partitions: %s", self._group, error or "no answer")
        return self._membership.fresh or not self._owned

    async def _commit(self, positions: dict[int, int]) -> None:
        consumer, behind = self._consumer, self._to_commit(positions)
        if not behind or consumer is None:
            return
        await consumer.commit(behind)
        for part, offset in behind.items():
            if part.partition in self._owned:
                self._committed[part.partition] = max(offset, self._committed.get(part.partition, 0))

    def _to_commit(self, positions: dict[int, int]) -> dict[TopicPartition, int]:
        """What of this is ours and new, as Kafka counts: the offset behind the last that is done with."""
        return {
            TopicPartition(self._name, number): offset + 1
            for number, offset in positions.items()
            if number in self._owned and offset >= self._committed.get(number, 0)
        }

    async def close(self) -> None:
        """Give back what is ours and leave the group. A new group is known to the brokers before."""
        if self._closed:
            return
        await self._until_known()
        await self._give_back()
        self._shut()
        await self._service.stop(self._options.limits.close_s + 1.0)
        await self._tasks.close()

    def _done_with(self, number: int) -> int:
        return min(self._committed.get(number, self._next[number]), self._next[number])

    # --- its life

    async def _run(self) -> None:
        """One life of the client; it ends with an error, and the service begins another."""
        limits = self._options.limits
        self._membership.forget()
        self._trouble, self._troubled = None, Signal()
        try:
            consumer = await self._open(
                group_id=self._group,
                session_timeout_ms=int(limits.session_s * 1000),
                heartbeat_interval_ms=int(limits.heartbeat_s * 1000),
                rebalance_timeout_ms=int((limits.handover_s + REBALANCE_MARGIN_S) * 1000),
                partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            )
            if not self._known:
                await self._make_known(consumer)
            self._membership.watch(consumer._coordinator)
            consumer.subscribe([self._name], listener=_Listener(self))
            while self._trouble is None:
                await self._troubled.wait(WATCH_S)
                consumer._coordinator.check_errors()  # where nothing is ours, nobody else would ask
            raise self._trouble
        except REFUSED as error:
            self._fail(error)
            raise
        finally:
            await self._give_back()
            await self._stop()

    async def _make_known(self, consumer: Any) -> None:
        """Commit where the group begins, if it is new: at the end as of now, or with the oldest that is kept.

        Partitions that a known group has not heard of are new, and are read from their start.
        """
        consumer.assign(self._all)
        found = await asyncio.gather(*(consumer.committed(part) for part in self._all))
        unknown = [part for part, offset in zip(self._all, found, strict=True) if offset is None]
        if unknown:
            new_group = len(unknown) == len(self._all) and not self._from_start
            ask = consumer.end_offsets if new_group else consumer.beginning_offsets
            try:
                await consumer.commit(await ask(unknown))
            except CommitFailedError:
                log.info("group %s: others are in it already, and have said where it begins", self._group)
        consumer.unsubscribe()
        self._known = True
        self._prepared.set()
        self._begun()

    async def _until_known(self) -> None:
        if not self._known and not await self._prepared.wait(self._options.limits.close_s):
            log.warning("group %s: the brokers were not told where it begins", self._group)

    # --- partitions come and go

    def gain(self, numbers: frozenset[int]) -> None:
        """The group gave us these; begin, beside."""
        self._membership.forget()
        self._owned = numbers
        self._reading = self._tasks.spawn(self._begin(self._consumer, numbers)) if numbers else None

    async def _begin(self, consumer: Any, numbers: frozenset[int]) -> None:
        try:
            for number, position in (await self._positions(consumer, numbers)).items():
                self._next[number] = position
                consumer.seek(TopicPartition(self._name, number), position)
            if self._handover is not None:
                self._told = True
                async with asyncio.timeout(self._options.limits.handover_s):
                    await self._handover.gained(numbers)
            log.info("group %s: reads %d partitions of %s", self._group, len(numbers), self._name)
            await self._read(consumer)
        except Exception as error:  # noqa: BLE001 - Kafka's, or the owner's own; it gets that back from fetch
            if not isinstance(error, KafkaError):
                self._fail(error)
            self._trouble = error
            self._troubled.set()

    async def _positions(self, consumer: Any, numbers: frozenset[int]) -> dict[int, int]:
        """Where to begin with each partition; remembers what was committed, and what therefore comes again."""
        parts = [TopicPartition(self._name, number) for number in sorted(numbers)]
        oldest = await consumer.beginning_offsets(parts)
        earlier: dict[TopicPartition, Any] = {}
        if self._look_back is not None:
            since = int((self._clock.now() - self._look_back()) * 1000)
            earlier = await consumer.offsets_for_times(dict.fromkeys(parts, max(0, since)))
        begin: dict[int, int] = {}
        found = await asyncio.gather(*(consumer.committed(part) for part in parts))
        for part, committed in zip(parts, found, strict=True):
            position = oldest[part] if committed is None else committed
            self._committed[part.partition] = position
            self._again[part.partition] = position - 1
            back = earlier.get(part)
            begin[part.partition] = position if back is None else min(position, back.offset)
        return begin

    async def _give_back(self) -> None:
        """Stop delivering, let the owner finish, forget. Nothing happens where nothing is ours."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
        self._buffer.clear()
        told, self._told = self._told, False
        if told and self._handover is not None:
            limit = self._options.limits.handover_s
            try:
                async with asyncio.timeout(limit):
                    await self._handover.lost(self._owned)
            except TimeoutError:
                log.error("group %s: partitions were not given back in %g s", self._group, limit)
            except Exception as error:
                log.exception("group %s: giving partitions back failed", self._group)
                self._fail(error)
        self._owned = frozenset()
        for of_partition in (self._next, self._again, self._committed):
            of_partition.clear()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    def __init__(self, subscription: KafkaSubscription) -> None:
        self._subscription = subscription

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._subscription._give_back()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._subscription.gain(frozenset(part.partition for part in assigned))
