"""The bus port.

A topic is an ordered log per partition; a message's key chooses its partition, so what has one key keeps its order.
A consumer group reads every message once and commits how far it has come; its consumers divide the partitions among
themselves, and after a restart or a takeover reading goes on behind the last commit (at least once). A follower reads
everything by itself and commits nothing. Publishing waits when the bus is full: that is the back-pressure, all the way
to the agent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Topic:
    """A declared topic. ``size`` bounds what an embedded bus keeps, in messages; the rest is for a bus on servers."""

    name: str
    size: int = 10_000
    partitions: int = 12
    retention_s: float = 86_400.0
    compacted: bool = False


Outgoing = tuple[str, bytes, Mapping[str, str]]
"""What is to be published: key, value, headers. A compacted topic forgets a key whose newest value is empty."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as a consumer gets it. ``again``: the group had committed it before this consumer took over the
    partition; it comes again because the consumer asked for a look back."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)
    again: bool = False


SafeCallback = Callable[[int, int], None]
"""``(partition, offset)``: all messages of the partition up to and including ``offset`` are safe."""


class Handover(Protocol):
    """A consumer that keeps state per partition is told when partitions come and go. Both are bounded in time by the
    bus; nothing is delivered while they run, and no other consumer of the group has the partitions meanwhile."""

    async def gained(self, partitions: frozenset[int]) -> None:
        """These are ours from now on, and may have been another's; begin with no state for them."""

    async def lost(self, partitions: frozenset[int]) -> None:
        """These are not ours any more: finish what was begun for them and commit it, then forget them."""


class Subscription(Protocol):
    """One consumer."""

    async def fetch(self, most: int = 1000) -> Sequence[Delivery]:
        """At least one message, at most ``most``, in order per partition; waits. BusError("closed") after close."""

    async def commit(self, positions: dict[int, int]) -> None:
        """All messages of these partitions up to and including these offsets are done with. Partitions that are not
        this consumer's (any more) are left out."""

    async def confirm(self) -> bool:
        """True if no other consumer of the group can have the partitions that this one holds: said without a word to
        the bus as long as it is sure by itself. False if another may have them (``lost`` will come), or nobody can say
        just now. To be asked before something is done that another owner must not find done: a consumer whose process
        stood still, or that cannot reach the bus, is replaced before it is told."""

    async def close(self) -> None: ...


class Bus(Protocol):
    async def publish(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, int]:
        """Append; returns ``(partition, offset)`` when the bus has it safe. Waits while the topic is full."""

    async def publish_all(self, topic: str, messages: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Append all, in order; returns the places. If it raises, some may be there and some not."""

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
    ) -> Subscription:
        """Join a group. A ``durable`` group holds messages in the bus until it has committed them; others may miss
        what an embedded bus had to drop, and that is counted in ``dropped``. ``from_start`` is for a group that is
        not known yet. With ``look_back`` each partition gained is read from that many seconds before now (as far as
        the bus still has it) if that is before the last commit; what comes again is marked. A consumer that can wait
        says for how long in ``gather_s``: a bus on servers may hold messages back for that time, to send many at
        once, which costs all of them less."""

    def follow(self, topic: str, reader: str, *, from_start: bool = False, gather_s: float = 0.0) -> Subscription:
        """Read everything from now (or from the start) on, whoever else does. ``reader`` names who, for ``dropped``;
        ``gather_s`` as for a group."""

    def partition_of(self, topic: str, key: str) -> int:
        """The partition of this key."""

    def on_safe(self, topic: str, callback: SafeCallback) -> Callable[[], None]:
        """Call back as messages become safe: on a durable bus when published, on the embedded one when every durable
        group has committed them. Returns the function that ends it."""

    def dropped(self) -> dict[tuple[str, str], int]:
        """Messages lost to slow readers: ``(topic, group or reader)`` → count."""

    def lag(self) -> dict[tuple[str, str], int]:
        """Messages that consumers of this process have before them: ``(topic, group or reader)`` → count."""

    async def check(self) -> str:
        """One line on what the bus is (kind, brokers, topics); BusError says what is wrong and the remedy."""

    async def close(self) -> None: ...
