"""Commits and hints in, calls of those who listen out: in this process at once, in others by way of short texts.

The texts are what a database that can notify carries from process to process.
"""

import json
from collections.abc import Callable, Iterable
from secrets import token_hex
from typing import TypeVar

from mcisd.model.errors import TooLargeError

ROOM = 7_800
"""Bytes of names in one text: PostgreSQL takes less than 8000 bytes in a notification."""
C = TypeVar("C")


class Signals:
    """Who listens in this process. ``origin`` marks what it sent itself: that was told at once, not by the database."""

    def __init__(self) -> None:
        self.origin = token_hex(6)
        self._on_commit: list[Callable[[], None]] = []
        self._on_hint: list[Callable[[str], None]] = []

    def on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        return _added(self._on_commit, callback)

    def on_hint(self, callback: Callable[[str], None]) -> Callable[[], None]:
        return _added(self._on_hint, callback)

    def tell(self, committed: bool, names: Iterable[str] = ()) -> None:
        """Call those of this process."""
        if committed:
            for woken in list(self._on_commit):
                woken()
        for name in names:
            for hinted in list(self._on_hint):
                hinted(name)

    @property
    def commit(self) -> str:
        """What to send to other processes with a commit that wrote events."""
        return _json([self.origin, True, []])

    def texts(self, names: Iterable[str]) -> list[str]:
        """What to send to other processes with hints; more than one if they do not fit. See ``check_hint``."""
        texts: list[str] = []
        group: list[str] = []
        room = ROOM
        for name in names:
            size = _size(name)
            if size > room:
                texts.append(_json([self.origin, False, group]))
                group, room = [], ROOM
            group.append(name)
            room -= size
        if group:
            texts.append(_json([self.origin, False, group]))
        return texts

    def hear(self, text: str) -> None:
        """Take one text that any process has sent, this one included."""
        origin, committed, names = json.loads(text)
        if origin != self.origin:
            self.tell(committed, names)


def check_hint(name: str) -> None:
    """TooLargeError if ``name`` does not fit into one text."""
    if _size(name) > ROOM:
        raise TooLargeError("the name of a hint is too long", field="name", remedy="hint a shorter name")


def _size(name: str) -> int:
    return len(_json(name).encode()) + 1


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _added(callbacks: list[C], callback: C) -> Callable[[], None]:
    callbacks.append(callback)

    def remove() -> None:
        if callback in callbacks:
            callbacks.remove(callback)

    return remove
