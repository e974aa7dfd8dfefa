"""What all handlers of one connection share. In: its settings. Out: its book, its locks, its memory of VMs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcisd.drivers.libvirt.book import Book
from mcisd.drivers.libvirt.settings import Settings

_LOCKS = tuple(threading.Lock() for _ in range(64))
"""Of the whole process, so that two connections do not make the same object at once; several objects share one."""
_RESERVING = threading.Lock()


@dataclass(slots=True)
class Ground:
    """``addresses``: id of a running VM → its address; ``stopping``: id → when its power goes (monotonic seconds)."""

    settings: Settings
    installation: str
    book: Book
    addresses: dict[str, str] = field(default_factory=dict)
    stopping: dict[str, float] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    """VM that is about to start → its memory in MiB."""
    reserving: threading.Lock = _RESERVING
    filters: bool | None = None
    """Whether packets are filtered; None until it was asked."""

    @contextmanager
    def lock(self, item_id: str) -> Iterator[None]:
        """One thread at a time works on this object. Held in threads only, never across a wait of the event loop."""
        with _LOCKS[hash(item_id) % len(_LOCKS)]:
            yield
