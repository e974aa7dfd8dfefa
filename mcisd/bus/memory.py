"""The embedded bus: messages go in, every group reads them in order, nothing leaves the process.

One partition per topic. A plain topic is a ring: what a durable group has not committed stays (publishing waits when
the ring is full of it), what only slow non-durable groups still want is dropped, oldest first, and counted. Once a
durable group is there, messages that every group is done with are let go early, to save memory. A compacted topic
keeps the newest message per key and never waits.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from mcisd.aio.queue import BoundedQueue, QueueClosedError
from mcisd.bus.base import Delivery, Handover, Outgoing, SafeCallback, Topic
from mcisd.bus.log import CompactedLog, Log, RingLog
from mcisd.bus.topics import ALL
from mcisd.model.errors import BusError, InputError

PARTITION = 0


def _ring(bell: BoundedQueue[None]) -> None:
    """Wake whoever waits on the bell, now or at the next look; a bell that was closed meanwhile needs no waking."""
    with suppress(QueueClosedError):
        bell.offer(None)


class _Group:
    """A consumer group: how far it has committed, and its consumers in the order in which they joined."""

    def __init__(self, name: str, durable: bool, committed: int) -> None:
        self.name = name
        self.durable = durable
        self.committed = committed
        self.remembered = durable
        self.members: list[MemorySubscription] = []

    @property
    def needs(self) -> int | None:
        """The smallest offset it may still read; None where nobody reads."""
        if self.durable:
            return self.committed + 1
        return self.members[0].position if self.members else None


class MemorySubscription:
    """One consumer. The partition belongs to the group's eldest consumer; the others stand by until it closes."""

    def __init__(self, topic: "_TopicState", group: _Group, handover: Handover | None, look_back: bool) -> None:
        self._topic = topic
        self._group = group
        self._handover = handover
        self._look_back = look_back
        self._owns = False
        self._closed = False
        self._again = -1
        self.bell: BoundedQueue[None] = BoundedQueue(1)
        self.position = group.committed + 1

    async def fetch(self, most: int = 1000) -> list[Delivery]:
        """At least one and at most ``most`` messages in order; BusError("closed") once this or the bus is closed."""
        while True:
            if self._closed:
                raise BusError("closed")
            if self._group.members[0] is self:
                if not self._owns:
                    await self._gain()
                found = self._topic.read(self, most)
                if found:
                    return found if found[0].offset > self._again else [self._marked(message) for message in found]
            try:
                await self.bell.get()
            except QueueClosedError:
                raise BusError("closed") from None

    async def commit(self, positions: dict[int, int]) -> None:
        """Done with everything up to and including the offset; smaller than before changes nothing."""
        if self._closed:
            raise BusError("closed")
        offset = positions.get(PARTITION)
        if offset is not None and self._owns:
            self._topic.commit(self._group, offset)

    async def confirm(self) -> bool:
        """True while open: nobody is put out of a group within one process."""
        return not self._closed

    async def close(self) -> None:
        """Leave the group; the next consumer goes on behind the last commit."""
        if self._closed:
            return
        if self._owns and self._handover is not None:
            await self._handover.lost(frozenset({PARTITION}))
        self.shut()
        self._topic.leave(self._group, self)

    def shut(self) -> None:
        self._closed = True
        self.bell.close()

    async def _gain(self) -> None:
        self._owns = True
        if self._look_back:
            self._again = self._group.committed
            self.position = min(self.position, self._topic.log.first)
        if self._handover is not None:
            await self._handover.gained(frozenset({PARTITION}))

    def _marked(self, message: Delivery) -> Delivery:
        return replace(message, again=True) if message.offset <= self._again else message


class _TopicState:
    """The log of one topic, its groups, and who wants to know what is safe."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.log: Log = CompactedLog(topic.name, topic.size) if topic.compacted else RingLog(topic.name, topic.size)
        self.groups: dict[str, _Group] = {}
        self.callbacks: list[SafeCallback] = []
        self.dropped: dict[str, int] = {}
        self.room: BoundedQueue[None] = BoundedQueue(1)
        self._safe = -1

    # --- writing

    def full(self) -> bool:
        """A durable group still needs the oldest message of a log without a free place."""
        if not self.log.full:
            return False
        needs = self._durable_needs()
        return needs is not None and needs <= self.log.first

    def append(self, messages: Sequence[Outgoing]) -> list[int]:
        """Put messages into the log, which has room for one; returns the offsets of as many as it has room for. The
        oldest goes where only slow readers still want it."""
        log = self.log
        offsets: list[int] = []
        for key, value, headers in messages:
            if log.full:
                if offsets and self.full():
                    break
                self._drop_oldest()
            offsets.append(log.append(key, value, dict(headers)))
        for group in self.groups.values():
            if group.members:
                _ring(group.members[0].bell)
        self._advance()
        return offsets

    def _drop_oldest(self) -> None:
        for group in self.groups.values():
            needs = group.needs
            if not group.durable and needs is not None and needs <= self.log.first:
                self.dropped[group.name] = self.dropped.get(group.name, 0) + 1
                group.members[0].position = self.log.first + 1
        self.log.drop_first()

    # --- reading

    def join(
        self, name: str, durable: bool, from_start: bool, handover: Handover | None = None, look_back: bool = False
    ) -> MemorySubscription:
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = _Group(name, durable, (self.log.first if from_start else self.log.next) - 1)
        elif group.durable != durable:
            raise InputError(
                f"group {name!r} of topic {self.topic.name!r} is {'' if group.durable else 'not '}durable",
                field="durable",
                remedy="subscribe all consumers of a group alike",
            )
        member = MemorySubscription(self, group, handover, look_back)
        missed = self.log.first - member.position
        if missed > 0 and not durable and not group.members and not self.topic.compacted:
            self.dropped[name] = self.dropped.get(name, 0) + missed
        group.members.append(member)
        return member

    def read(self, member: MemorySubscription, most: int) -> list[Delivery]:
        found = self.log.read(member.position, most)
        if found:
            member.position = found[-1].offset + 1
        return found

    def commit(self, group: _Group, offset: int) -> None:
        offset = min(offset, self.log.next - 1)
        if offset <= group.committed:
            return
        group.committed = offset
        group.remembered = True
        self._advance()

    def leave(self, group: _Group, member: MemorySubscription) -> None:
        group.members.remove(member)
        if group.members:
            heir = group.members[0]
            heir.position = group.committed + 1
            _ring(heir.bell)
        elif not group.remembered:
            del self.groups[group.name]

    # --- letting go

    def _durable_needs(self) -> int | None:
        return min((g.committed + 1 for g in self.groups.values() if g.durable), default=None)

    def _advance(self) -> None:
        """After an append or a commit: tell what became safe, free what nobody needs, wake a waiting publisher."""
        durable = self._durable_needs()
        safe = self.log.next - 1 if durable is None or self.topic.compacted else durable - 1
        if safe > self._safe:
            self._safe = safe
            for callback in list(self.callbacks):
                callback(PARTITION, safe)
        if durable is not None and not self.topic.compacted:
            self.log.release(min(n for g in self.groups.values() if (n := g.needs) is not None))
        if not self.full():
            _ring(self.room)

    def close(self) -> None:
        self.room.close()
        for group in self.groups.values():
            for member in group.members:
                member.shut()


class MemoryBus:
    """The bus of a daemon that is one process. Implements ``bus.base.Bus``."""

    def __init__(self, topics: Iterable[Topic] = ALL) -> None:
        self._topics = {topic.name: _TopicState(topic) for topic in topics}
        self._closed = False
        self._followers = 0

    async def publish(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, int]:
        """Append; returns ``(0, offset)``. Waits while a durable group holds the whole log."""
        (place,) = await self.publish_all(topic, [(key, value, headers or {})])
        return place

    async def publish_all(self, topic: str, messages: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Append all, in order; waits where there is no room."""
        state = self._state(topic)
        places: list[tuple[int, int]] = []
        while len(places) < len(messages):
            while state.full():
                try:
                    await state.room.get()
                except QueueClosedError:
                    raise BusError("closed") from None
            if self._closed:
                raise BusError("closed")
            rest = messages[len(places) :] if places else messages
            places += [(PARTITION, offset) for offset in state.append(rest)]
        return places

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
    ) -> MemorySubscription:
        """Join a group; one that is new begins behind the newest message, or ``from_start`` with the oldest kept.

        Messages bear no time here: a look back goes as far as the bus has any. Nothing is held back.
        """
        if self._closed:
            raise BusError("closed")
        return self._state(topic).join(group, durable, from_start, handover, look_back is not None)

    def follow(self, topic: str, reader: str, *, from_start: bool = False, gather_s: float = 0.0) -> MemorySubscription:
        """Read everything by oneself: a group of one, that is forgotten when it closes."""
        if self._closed:
            raise BusError("closed")
        self._followers += 1
        return self._state(topic).join(f"{reader}#{self._followers}", False, from_start)

    def partition_of(self, topic: str, key: str) -> int:
        """There is one partition."""
        self._state(topic)
        return PARTITION

    def on_safe(self, topic: str, callback: SafeCallback) -> Callable[[], None]:
        """Call back when every durable group has committed; at once on publishing where there is none."""
        callbacks = self._state(topic).callbacks
        callbacks.append(callback)
        return lambda: callbacks.remove(callback) if callback in callbacks else None

    def dropped(self) -> dict[tuple[str, str], int]:
        """Messages lost to slow readers: ``(topic, group or reader)`` → count."""
        lost: dict[tuple[str, str], int] = {}
        for name, state in self._topics.items():
            for group, count in state.dropped.items():
                key = name, group.partition("#")[0]
                lost[key] = lost.get(key, 0) + count
        return lost

    def lag(self) -> dict[tuple[str, str], int]:
        """Messages before each reader; of several followers of one name the furthest behind."""
        behind: dict[tuple[str, str], int] = {}
        for name, state in self._topics.items():
            for group in state.groups.values():
                key = name, group.name.partition("#")[0]
                behind[key] = max(behind.get(key, 0), state.log.next - 1 - group.committed if group.durable else 0)
                if group.members:
                    behind[key] = max(behind[key], state.log.next - group.members[0].position)
        return behind

    async def check(self) -> str:
        """There is nothing to go wrong."""
        return f"in this process, {len(self._topics)} topics"

    async def close(self) -> None:
        """Wake everybody who waits with BusError("closed"); what was not read is gone."""
        self._closed = True
        for state in self._topics.values():
            state.close()

    def _state(self, topic: str) -> _TopicState:
        try:
            return self._topics[topic]
        except KeyError:
            raise InputError(f"no topic {topic!r}", field="topic", remedy="declare it in bus/topics.py") from None
