"""A bus with partitions that outlives its readers: emulated, in memory, for tests of the alarms with several processes.

It keeps everything, hands partitions over as the bus port says, and can take them away from a reader that does not
notice (``seize``), as a bus does with a process that stands still. Keys go to partitions by their last character.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from mcisd.alarms.ports import Handover
from mcisd.bus.base import Delivery
from mcisd.model.errors import BusError


class Log:
    """One topic: what was published, by partition, and how far each group has committed."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.parts: list[list[Delivery]] = [[] for _ in range(partitions)]
        self.committed: dict[str, list[int]] = {}
        self.readers: dict[str, list[LogFeed]] = {}
        self.news = asyncio.Event()

    def append(self, at: int, key: str, value: bytes) -> tuple[int, int]:
        offset = len(self.parts[at])
        self.parts[at].append(Delivery(self.name, at, offset, key, value))
        self.wake()
        return at, offset

    def wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


class LogFeed:
    """One consumer. ``ours``: the partitions it believes to own; ``lease``: those the bus says it owns."""

    def __init__(
        self, log: Log, group: str, handover: Handover | None, look_back: Callable[[], float] | None, limit: int
    ) -> None:
        self.log, self.group, self.handover, self.look_back, self.limit = log, group, handover, look_back, limit
        self.positions: dict[int, int] = {}
        self.again: dict[int, int] = {}
        self.lease: set[int] = set()
        self.closed = False

    @property
    def read_out(self) -> bool:
        """All there is of the partitions it owns was fetched."""
        if not self.lease <= self.positions.keys():
            return False
        return all(position == len(self.log.parts[at]) for at, position in self.positions.items())

    async def fetch(self, most: int = 1000) -> Sequence[Delivery]:
        while True:
            if self.closed:
                raise BusError("closed")
            await self._gain(self.lease - self.positions.keys())
            for at in list(self.positions):
                found = self.log.parts[at][self.positions[at] :][: min(most, self.limit)]
                if found:
                    self.positions[at] += len(found)
                    # The next partition has its turn next time.
                    self.positions[at] = self.positions.pop(at)
                    return [self._marked(one) for one in found]
            await self.log.news.wait()

    async def commit(self, positions: dict[int, int]) -> None:
        committed = self.log.committed[self.group]
        for at in positions.keys() & self.lease:
            committed[at] = max(committed[at], positions[at])

    async def close(self) -> None:
        if not self.closed:
            await self.give_up(set(self.positions))
            self.vanish()

    def vanish(self) -> None:
        """Gone without a word."""
        if not self.closed:
            self.closed = True
            self.log.readers[self.group].remove(self)
            self.lease.clear()
            self.log.wake()

    async def give_up(self, partitions: set[int]) -> None:
        if self.handover is not None and partitions:
            await self.handover.lost(frozenset(partitions))
        for at in partitions:
            self.positions.pop(at, None)
            self.lease.discard(at)

    async def _gain(self, new: set[int]) -> None:
        if not new:
            return
        committed = self.log.committed[self.group]
        for at in new:
            self.again[at] = committed[at] if self.look_back is not None and self.look_back() > 0 else -1
            self.positions[at] = 0 if self.again[at] >= 0 else committed[at] + 1
        if self.handover is not None:
            await self.handover.gained(frozenset(new))

    def _marked(self, one: Delivery) -> Delivery:
        again = one.offset <= self.again[one.partition]
        return Delivery(one.topic, one.partition, one.offset, one.key, one.value, {}, again)


class LogBus:
    """``limit``: the most messages one fetch gives, so that batches fall differently."""

    def __init__(self, partitions: int = 2, limit: int = 1000) -> None:
        self.limit = limit
        self.logs = {
            name: Log(name, 1 if name == "schemas" else partitions) for name in ("metrics", "schemas", "groups")
        }

    def partition_of(self, topic: str, key: str) -> int:
        return ord(key[-1]) % len(self.logs[topic].parts)

    async def publish_all(
        self, topic: str, messages: Sequence[tuple[str, bytes, Mapping[str, str]]]
    ) -> list[tuple[int, int]]:
        return [self.put(topic, key, value) for key, value, _ in messages]

    def put(self, topic: str, key: str, value: bytes) -> tuple[int, int]:
        return self.logs[topic].append(self.partition_of(topic, key), key, value)

    def subscribe(
        self,
        topic: str,
        group: str,
        *,
        durable: bool = False,
        from_start: bool = False,
        handover: Handover | None = None,
        look_back: Callable[[], float] | None = None,
    ) -> LogFeed:
        log = self.logs[topic]
        log.committed.setdefault(group, [-1] * len(log.parts))
        feed = LogFeed(log, group, handover, look_back, self.limit)
        log.readers.setdefault(group, []).append(feed)
        self._fill(log, group)
        return feed

    def follow(self, topic: str, reader: str, *, from_start: bool = False) -> LogFeed:
        feed = self.subscribe(topic, f"{reader}#{sum(map(len, self.logs[topic].readers.values()))}")
        feed.lease = set(range(len(self.logs[topic].parts)))
        return feed

    async def hand_over(self, topic: str, group: str, partition: int, to: LogFeed) -> None:
        """In good order: the owner finishes first."""
        for feed in self.logs[topic].readers[group]:
            if partition in feed.lease:
                await feed.give_up({partition})
        to.lease.add(partition)
        self.logs[topic].wake()

    def seize(self, topic: str, group: str, partition: int, to: LogFeed) -> None:
        """The owner does not notice: it goes on reading, but its commits count no more."""
        for feed in self.logs[topic].readers[group]:
            feed.lease.discard(partition)
        to.lease.add(partition)
        self.logs[topic].wake()

    def fill(self) -> None:
        """Partitions without an owner go to the eldest reader of each group."""
        for log in self.logs.values():
            for group in log.readers:
                self._fill(log, group)

    def _fill(self, log: Log, group: str) -> None:
        readers = log.readers[group]
        owned = {at for feed in readers for at in feed.lease}
        if readers:
            readers[0].lease |= set(range(len(log.parts))) - owned
            log.wake()
