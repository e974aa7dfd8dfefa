"""A bell: many may ring, one waits; rings while nobody waits are remembered as one."""

import asyncio

from mcisd.aio.clock import Clock
from mcisd.aio.queue import BoundedQueue


class Bell:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rings: BoundedQueue[None] = BoundedQueue(1)

    def ring(self) -> None:
        self._rings.offer(None)

    async def wait(self, seconds: float | None = None) -> None:
        """Until somebody rings or has rung, at most ``seconds`` (None: without end)."""
        if seconds is None:
            await self._rings.get()
            return
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._rings.get()), loop.create_task(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
