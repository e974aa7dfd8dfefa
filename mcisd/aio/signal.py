"""A wake-up that is never lost: set any number of times, waited for with a limit."""

import asyncio


class Signal:
    """Set from the loop; ``wait`` returns at once if it was set since the last wait."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, limit: float | None = None) -> bool:
        """Wait until set, at most ``limit`` seconds; True if it was set. Clears it."""
        try:
            async with asyncio.timeout(limit):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
