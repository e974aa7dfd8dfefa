"""What a compacted topic tells: messages in, a mapping that follows them out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

from mcisd.collectors.ports import FrameBus, Message

K = TypeVar("K")
V = TypeVar("V")


class Book(ABC, Generic[K, V]):
    """Follows ``topic`` from its start. ``reader`` names who reads, as each reader needs all of it."""

    topic: str

    def __init__(self, bus: FrameBus, reader: str) -> None:
        self._bus = bus
        self._reader = f"{self.topic}-{reader}"
        self._known: dict[K, V] = {}

    @property
    def known(self) -> Mapping[K, V]:
        """All that was told so far."""
        return self._known

    async def run(self) -> None:
        """Read for ever; BusError when the bus closes."""
        subscription = self._bus.follow(self.topic, self._reader, from_start=True)
        try:
            while True:
                for message in await subscription.fetch():
                    self.learn(message)
        finally:
            await subscription.close()

    @abstractmethod
    def learn(self, message: Message) -> None:
        """Take in one message."""
