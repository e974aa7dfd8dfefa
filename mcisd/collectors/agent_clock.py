"""An agent's clock against ours: sample times in, event times out. Pure.

Event times never go back within a VM and never lie more than five seconds ahead of our clock. Both hold because the
aggregation relies on them: a VM has one open window at a time, and a window that was left is complete.
"""

from enum import Enum

TOLERANCE_MS = 5_000
_ROUND_MS = 1_000


class Mark(Enum):
    """What had to be done to a sample time."""

    FINE = "fine"
    STEPPED = "stepped"  # the agent's clock jumped; the correction was measured anew
    BEHIND = "behind"  # older than the sample before it; booked at that one's time


class AgentClock:
    """The correction for one VM. Up to five seconds of difference are believed, more is corrected."""

    def __init__(self) -> None:
        self.skew_ms = 0
        self._floor = 0
        self._last: int | None = None

    def hello(self, time_ms: int, now_ms: int) -> bool:
        """A new link says what time it has; true if it is off.

        The correction is in whole seconds, so that measuring it again gives the same number in spite of some
        milliseconds on the way, and a frame that comes again after a crash falls into the same window.
        """
        skew = now_ms - time_ms
        off = abs(skew) > TOLERANCE_MS
        self.skew_ms = _rounded(skew) if off else 0
        self._last = None
        return off

    def place(self, time_ms: int, now_ms: int) -> tuple[int, Mark]:
        """The event time of a sample, and how it was found.

        A clock that jumped shows itself in two ways that no delay on the network can imitate: a sample from the
        future, or one well before the sample that was taken earlier.
        """
        mark = Mark.FINE
        placed = time_ms + self.skew_ms
        if placed > now_ms + TOLERANCE_MS:
            mark, placed = Mark.STEPPED, now_ms
        elif self._last is not None and time_ms < self._last - TOLERANCE_MS:
            mark, placed = Mark.STEPPED, self._floor
        if mark is Mark.STEPPED:
            self.skew_ms = _rounded(placed - time_ms)
        self._last = time_ms
        if placed < self._floor:
            return self._floor, Mark.BEHIND if mark is Mark.FINE else mark
        self._floor = placed
        return placed, mark


def _rounded(skew_ms: int) -> int:
    return round(skew_ms / _ROUND_MS) * _ROUND_MS
