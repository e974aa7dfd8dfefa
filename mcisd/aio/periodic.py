"""One helper for periodic work: stable offset, no overlap, missed ticks skipped."""

import zlib
from collections.abc import Awaitable, Callable

from mcisd.aio.clock import Clock


def phase(name: str, interval: float) -> float:
    """A stable offset in [0, interval) that spreads names evenly (crc32, the same in every process)."""
    return zlib.crc32(name.encode()) / 2**32 * interval


async def every(clock: Clock, interval: float, work: Callable[[], Awaitable[None]], *, offset: float = 0.0) -> None:
    """Run ``work`` every ``interval`` seconds for ever, first after ``offset``; an exception of it ends the loop."""
    due = clock.monotonic() + offset
    while True:
        await clock.sleep(due - clock.monotonic())
        await work()
        now = clock.monotonic()
        due += interval
        if due < now:
            due = now + interval - (now - due) % interval
