"""The bus port.

A topic is an ordered log per partition; a message's key chooses its partition, so what has one key keeps its order.
A consumer group reads every message once and commits how far it has come; after a restart of the consumer it goes on
behind the last commit (at least once). Publishing waits when the bus is full: that is the back-pressure, all the way
to the agent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Topic:
    """A declared topic. ``size`` bounds what an embedded bus keeps, in messages."""

    name: str
    size: int = 10_000
    partitions: int = 12
    retention_s: float = 3600.0
    compacted: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as a consumer gets it."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)


SafeCallback = Callable[[int, int], None]
"""``(partition, offset)``: all messages of the partition up to and including ``offset`` are safe."""


class Subscription(Protocol):
    """One consumer of one group."""

    async def fetch(self, most: int = 1000) -> list[Delivery]:
        """At least one message, at most ``most``, in order per partition; waits. BusError("closed") after close."""

    async def commit(self, positions: dict[int, int]) -> None:
        """All messages of these partitions up to and including these offsets are done with."""

    async def close(self) -> None: ...


class Bus(Protocol):
    async def publish(
        self, topic: str, key: str, value: bytes, headers: dict[str, str] | None = None
    ) -> tuple[int, int]:
        """Append; returns ``(partition, offset)``. Waits while the topic is full."""

    def subscribe(self, topic: str, group: str, *, durable: bool = False, from_start: bool = False) -> Subscription:
        """Join a group. A ``durable`` group holds messages in the bus until it has committed them; others may miss
        what an embedded bus had to drop, and that is counted in ``dropped``."""

    def on_safe(self, topic: str, callback: SafeCallback) -> Callable[[], None]:
        """Call back as messages become safe: on a durable bus when published, on the embedded one when every durable
        group has committed them. Returns the function that ends it."""

    def dropped(self) -> dict[tuple[str, str], int]:
        """Messages lost to slow non-durable groups: ``(topic, group)`` → count."""

    async def close(self) -> None: ...
