"""How fast a cloud may be called: a pure bucket that slows down when the cloud says so and creeps back.

In: times and "throttled" news from calls.py. Out: how many seconds the next call has to wait.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Limits of one lane (account × region).

    ``rate`` calls per second at most, ``burst`` calls at once after a pause, ``concurrency`` calls under way.
    ``floor`` is the rate that throttling never goes below; ``recovery`` seconds lead from nothing back to ``rate``;
    within ``calm`` seconds only one halving counts, because parallel calls are refused together; a Retry-After
    holds the whole lane back for ``longest_pause`` seconds at most.
    """

    rate: float = 20.0
    burst: int = 40
    concurrency: int = 16
    floor: float = 0.2
    recovery: float = 60.0
    calm: float = 1.0
    longest_pause: float = 30.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0 and 0 < self.floor <= self.rate):
            raise ValueError("rate and floor must be positive, and floor not above rate")
        if self.burst < 1 or self.concurrency < 1 or self.recovery <= 0:
            raise ValueError("burst and concurrency must be at least 1, recovery above 0")


class AdaptiveBucket:
    """A token bucket kept as the time at which it would be full again, so nothing has to be refilled.

    In any span of T seconds it lets at most ``burst + rate × T`` calls go, and in the order in which they asked.
    Times are seconds of one monotonic clock.
    """

    def __init__(self, pace: Pace, now: float) -> None:
        self._pace = pace
        self._slack = (pace.burst - 1) / pace.rate
        self._due = now
        self._rate = pace.rate
        self._rate_at = now
        self._halved_at = -math.inf

    def rate(self, now: float) -> float:
        """Calls per second allowed now."""
        grown = self._pace.rate / self._pace.recovery * max(0.0, now - self._rate_at)
        return min(self._pace.rate, self._rate + grown)

    def wait(self, now: float) -> float:
        """Seconds a call that asks now would have to wait; takes nothing."""
        return max(0.0, self._due - self._slack - now)

    def take(self, now: float) -> float:
        """Take one token; the seconds to wait before the call may go."""
        wait = self.wait(now)
        self._due = max(self._due, now) + 1.0 / self.rate(now)
        return wait

    def charge(self, now: float, calls: int) -> None:
        """Take tokens for what went out already; the debt is never longer than ``longest_pause``."""
        due = max(self._due, now)
        self._due = max(due, min(due + calls / self.rate(now), now + self._slack + self._pace.longest_pause))

    def throttled(self, now: float, retry_after: float | None = None) -> None:
        """The cloud refused a call: half the rate, no burst, and a pause if it asked for one."""
        if now - self._halved_at >= self._pace.calm:
            self._rate = max(self._pace.floor, self.rate(now) / 2)
            self._rate_at = self._halved_at = now
        pause = min(max(0.0, retry_after or 0.0), self._pace.longest_pause)
        self._due = max(self._due, now + pause + self._slack)
