"""The logs behind the embedded bus: a ring for plain topics, a map for compacted ones. Messages in, messages out."""

from itertools import islice
from typing import Protocol

from mcisd.bus.base import Delivery


class Log(Protocol):
    """An ordered log. Offsets grow by one; ``first`` is the oldest kept, ``next`` the one the next message gets."""

    first: int
    next: int

    @property
    def full(self) -> bool: ...

    def append(self, key: str, value: bytes, headers: dict[str, str]) -> int: ...

    def read(self, position: int, most: int) -> list[Delivery]: ...

    def drop_first(self) -> None: ...

    def release(self, before: int) -> None: ...


class RingLog:
    """At most ``size`` messages at ``offset % size``: reading anywhere costs only what is read."""

    def __init__(self, topic: str, size: int) -> None:
        self.first = 0
        self.next = 0
        self._topic = topic
        self._size = size
        self._slots: list[Delivery | None] = []

    @property
    def full(self) -> bool:
        return self.next - self.first >= self._size

    def append(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        """Put at the end of a log that is not full; returns the offset."""
        offset = self.next
        slot = Delivery(self._topic, 0, offset, key, value, headers)
        if offset < self._size:
            self._slots.append(slot)
        else:
            self._slots[offset % self._size] = slot
        self.next += 1
        return offset

    def read(self, position: int, most: int) -> list[Delivery]:
        begin = max(position, self.first)
        end = min(self.next, begin + most)
        slots, size = self._slots, self._size
        return [slot for i in range(begin, end) if (slot := slots[i % size]) is not None]

    def drop_first(self) -> None:
        self._slots[self.first % self._size] = None
        self.first += 1

    def release(self, before: int) -> None:
        """Let go of everything before this offset."""
        while self.first < min(before, self.next):
            self.drop_first()


class CompactedLog:
    """The newest message of each key, at most ``size`` keys; the key that was quiet longest makes room."""

    def __init__(self, topic: str, size: int) -> None:
        self.next = 0
        self._topic = topic
        self._size = size
        self._newest: dict[str, Delivery] = {}

    @property
    def first(self) -> int:
        return next(iter(self._newest.values())).offset if self._newest else self.next

    @first.setter
    def first(self, value: int) -> None:
        raise AttributeError("first follows from the messages kept")

    @property
    def full(self) -> bool:
        """Never: a new key takes the place of the oldest."""
        return False

    def append(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        offset = self.next
        self._newest.pop(key, None)
        if not value:  # a tombstone
            self.next += 1
            return offset
        if len(self._newest) >= self._size:
            self.drop_first()
        self._newest[key] = Delivery(self._topic, 0, offset, key, value, headers)
        self.next += 1
        return offset

    def read(self, position: int, most: int) -> list[Delivery]:
        """From the end backwards, as what is new is there, and few."""
        found = []
        for message in reversed(self._newest.values()):
            if message.offset < position:
                break
            found.append(message)
        return list(islice(reversed(found), most))

    def drop_first(self) -> None:
        del self._newest[next(iter(self._newest))]

    def release(self, before: int) -> None:
        """Nothing: the newest of a key stays for whoever comes."""
