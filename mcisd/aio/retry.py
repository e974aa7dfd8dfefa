"""Retry inside a total deadline, with full jitter, honouring ``retriable`` and ``retry_after`` of our errors."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from mcisd.aio.clock import Clock
from mcisd.model.errors import McisdError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from ``first`` up to ``most`` seconds, each drawn evenly from its upper half."""

    first: float = 0.5
    most: float = 30.0

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Seconds to wait after failed attempt number ``attempt`` (from 0)."""
        top = min(self.most, self.first * 2.0 ** min(attempt, 30))
        return top * (0.5 + rng.random() / 2)


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    clock: Clock,
    deadline: float,
    backoff: Backoff,
    rng: random.Random,
    on_retry: Callable[[int, McisdError], None] | None = None,
) -> T:
    """The result of ``call``, tried again on retriable errors until ``deadline`` seconds have passed in all.

    The last error is raised when the next try would start after the deadline. Attempts are not bounded in time here:
    ``call`` brings its own timeout.
    """
    end = clock.monotonic() + deadline
    attempt = 0
    while True:
        try:
            return await call()
        except McisdError as error:
            if not error.retriable:
                raise
            wait = max(backoff.delay(attempt, rng), getattr(error, "retry_after", None) or 0.0)
            if clock.monotonic() + wait >= end:
                raise
            if on_retry is not None:
                on_retry(attempt, error)
        attempt += 1
        await clock.sleep(wait)
