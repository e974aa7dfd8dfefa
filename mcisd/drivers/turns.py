"""One at a time by key. In: a key. Out: its lock, the same for all who hold or await it, and forgotten after them."""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """Locks of one event loop; those with the same token wait, and then find what the first has made."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()

    def of(self, *key: str) -> asyncio.Lock:
        """``async with turns.of("network", token)``."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
