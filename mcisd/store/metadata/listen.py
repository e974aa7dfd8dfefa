"""Notifications of the database in, calls of ``hear`` out: one connection that does nothing else, kept up."""

from collections.abc import Awaitable, Callable
from typing import Any

from mcisd.aio.clock import Clock
from mcisd.aio.signal import Signal
from mcisd.aio.supervise import Service
from mcisd.model.errors import StoreError
from mcisd.store.metadata.statements import CHANNEL

PROBE_S = 15.0
"""Seconds between looks whether the other end is still there."""


class Listener:
    """``hear`` gets each text notified, in the order of the commits; ``missed`` is called when the connection was away
    for a while and is back. Both run in the event loop and must be quick."""

    def __init__(
        self,
        dial: Callable[[], Awaitable[Any]],
        hear: Callable[[str], None],
        missed: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._dial = dial
        self._hear = hear
        self._missed = missed
        self._first: Any = None
        self._listening = False
        self._service = Service("metadata notifications", self._body, clock)

    @property
    def error(self) -> str | None:
        """Why nothing is heard now; None if all is well."""
        return None if self._listening else self._service.error or "it connects again"

    async def start(self) -> None:
        """Listening when it returns. StoreError if that cannot be."""
        self._first = await self._dial()
        self._service.start()

    async def stop(self) -> None:
        await self._service.stop()

    async def _body(self) -> None:
        again = self._first is None
        connection, self._first = self._first or await self._dial(), None
        lost = Signal()
        connection.add_termination_listener(lambda _connection: lost.set())
        try:
            await connection.add_listener(CHANNEL, self._on_notification)
            self._listening = True
            if again:
                self._missed()
            while not await lost.wait(PROBE_S):
                await connection.fetchval("SELECT 1")
        finally:
            self._listening = False
            connection.terminate()  # nothing is under way on it, and the other end may be gone
        raise StoreError("the connection that hears of other processes was lost")

    def _on_notification(self, _connection: object, _pid: int, _channel: str, text: object) -> None:
        self._hear(str(text))
