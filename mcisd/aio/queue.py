"""A bounded queue that can be closed, and says what it does when it is full."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueClosedError(Exception):
    """Put into, or got from, a queue that is closed (and, for get, empty)."""


class BoundedQueue(Generic[T]):
    """First in, first out, at most ``size`` items.

    ``put`` waits when full; ``offer`` refuses when full; ``push`` drops the oldest and counts it in ``dropped``.
    After ``close`` nothing goes in, and readers get what is left, then stop.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("a queue holds at least one item")
        self.size = size
        self.dropped = 0
        self._items: deque[T] = deque()
        self._closed = False
        self._getters: deque[asyncio.Future[None]] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        return self._closed

    def offer(self, item: T) -> bool:
        """Put at once; False if full."""
        self._check_open()
        if len(self._items) >= self.size:
            return False
        self._items.append(item)
        _wake_one(self._getters)
        return True

    def push(self, item: T) -> T | None:
        """Put at once; if full, the oldest makes room, is counted and returned."""
        self._check_open()
        oldest = None
        if len(self._items) >= self.size:
            oldest = self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        _wake_one(self._getters)
        return oldest

    async def put(self, item: T) -> None:
        """Put, waiting for room."""
        while not self.offer(item):
            await _wait(self._putters)

    async def get(self) -> T:
        """The oldest item, waiting for one; QueueClosedError when closed and empty."""
        while not self._items:
            if self._closed:
                raise QueueClosedError
            await _wait(self._getters)
        item = self._items.popleft()
        _wake_one(self._putters)
        return item

    def get_now(self) -> T:
        """The oldest item, which must be there; QueueClosedError if none is."""
        if not self._items:
            raise QueueClosedError
        item = self._items.popleft()
        _wake_one(self._putters)
        return item

    async def get_many(self, most: int) -> list[T]:
        """At least one and at most ``most`` items, as many as are there."""
        items = [await self.get()]
        while self._items and len(items) < most:
            items.append(self._items.popleft())
            _wake_one(self._putters)
        return items

    def close(self) -> None:
        """No more items; waiting readers and writers wake."""
        self._closed = True
        for waiters in (self._getters, self._putters):
            while waiters:
                _wake_one(waiters)

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            try:
                item = await self.get()
            except QueueClosedError:
                return
            yield item

    def _check_open(self) -> None:
        if self._closed:
            raise QueueClosedError


async def _wait(waiters: deque[asyncio.Future[None]]) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(future)
    try:
        await future
    except asyncio.CancelledError:
        # The wake-up that was meant for us must not be lost with us.
        if future.done() and not future.cancelled():
            _wake_one(waiters)
        elif future in waiters:
            waiters.remove(future)
        raise


def _wake_one(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        future = waiters.popleft()
        if not future.done():
            future.set_result(None)
            return
