"""Objects of one kind in one region, found by id and by creation token.

In: objects with an owner. Out: the same objects; those made a moment ago may not be on the list yet.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    item: T
    token: str
    installation: str
    made_at: float
    listed_at: float
    got_at: float


class Shelf(Generic[T]):
    """Insertion order is kept; every operation but listing is O(1)."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry[T]] = {}
        self._tokens: dict[str, _Entry[T]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def made(self, token: str, now: float, memory: float) -> T | None:
        """What was made with this token in the last ``memory`` seconds, also if it was deleted since."""
        entry = self._tokens.get(token)
        return entry.item if entry is not None and now - entry.made_at <= memory else None

    def put(
        self, key: str, item: T, token: str, installation: str, now: float, lag: tuple[float, float] = (0.0, 0.0)
    ) -> T:
        """``lag``: seconds until lists show it, and until get finds it."""
        entry = _Entry(item, token, installation, now, now + lag[0], now + lag[1])
        self._entries[key] = self._tokens[token] = entry
        return item

    def get(self, key: str, now: float | None = None) -> T | None:
        """The object; with ``now`` only if get finds it yet."""
        entry = self._entries.get(key)
        return entry.item if entry is not None and (now is None or now >= entry.got_at) else None

    def remove(self, key: str) -> None:
        self._entries.pop(key, None)

    def listed(self, installation: str, now: float) -> list[T]:
        """What a list of this installation shows."""
        return [item for _, item in self.owned(installation, now)]

    def owned(self, installation: str, now: float) -> list[tuple[str, T]]:
        """The same, each with its creation token."""
        entries = (e for e in self._entries.values() if e.installation == installation and now >= e.listed_at)
        return [(entry.token, entry.item) for entry in entries]

    def forget(self, gone: Callable[[T], bool]) -> None:
        """Take off what is gone; its token stays known."""
        for key in [key for key, entry in self._entries.items() if gone(entry.item)]:
            del self._entries[key]

    def __iter__(self) -> Iterator[T]:
        return (entry.item for entry in self._entries.values())

    def tokens(self) -> Iterator[tuple[str, str, T]]:
        """(token, installation, object) of all that is there."""
        return ((entry.token, entry.installation, entry.item) for entry in self._entries.values())
