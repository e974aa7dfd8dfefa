"""A bound on the bytes in flight. In: sizes. Out: leave to go on, strictly in the order of asking."""

import asyncio
from collections import deque

from mcisd.model.errors import BusError


class ByteGate:
    """Let callers in, first come first served, while fewer than ``limit`` bytes are inside. One caller may overshoot,
    so a large one is not kept out for ever. ``hold`` keeps everybody out until ``go_on`` was called as often."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside = 0
        self._holds = 0
        self._closed = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passing = False

    def __len__(self) -> int:
        """How many callers wait."""
        return len(self._waiting)

    async def enter(self, size: int) -> None:
        """Wait for leave to bring ``size`` bytes in; BusError("closed") once the gate is closed."""
        if self._closed:
            raise BusError("closed")
        if self._waiting or self._passing or not self._open:
            await self._wait()
        self.inside += size
        self._next()

    def leave(self, size: int) -> None:
        """So many bytes are gone."""
        self.inside -= size
        self._next()

    def hold(self) -> None:
        self._holds += 1

    def go_on(self) -> None:
        self._holds -= 1
        self._next()

    def close(self) -> None:
        """Wake everybody with BusError("closed")."""
        self._closed = True
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(BusError("closed"))

    @property
    def _open(self) -> bool:
        return not self._holds and self.inside < self.limit

    async def _wait(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._passing = False  # it was our turn; it is the next one's now
                self._next()
            elif future in self._waiting:
                self._waiting.remove(future)
            raise
        self._passing = False

    def _next(self) -> None:
        """Wake the one that waits longest, if there is room; it wakes the next, so nobody overtakes."""
        while self._waiting and self._open and not self._passing:
            future = self._waiting.popleft()
            if not future.done():
                self._passing = True
                future.set_result(None)
