"""An agent's clock against ours: sample times in, event times out. Pure.

Event times never go back within a lane of a link and never lie more than five seconds ahead of our clock. Nor do they
leave their lane: what is replayed lies before the window in which the link began, what is live in it or behind it.
The aggregation relies on all three: a lane that has left a window has left it for good.
"""

from enum import Enum

TOLERANCE_MS = 5_000
_ROUND_MS = 1_000
_NEVER = 1 << 62


class Mark(Enum):
    """What had to be done to a sample time."""

    FINE = "fine"
    STEPPED = "stepped"  # the agent's clock jumped; the correction was measured anew
    BEHIND = "behind"  # older than the sample before it, or outside its lane; booked at the nearest time that fits


def skew(time_ms: int, now_ms: int) -> int:
    """How much to add to the times of an agent that said it is ``time_ms``. Up to five seconds are believed.

    The correction is in whole seconds, so that measuring it again gives the same number in spite of some milliseconds
    on the way, and a frame that comes again on another link falls into the same window.
    """
    difference = now_ms - time_ms
    return _rounded(difference) if abs(difference) > TOLERANCE_MS else 0


class AgentClock:
    """The times of one lane, all from ``floor_ms`` to ``ceiling_ms``."""

    def __init__(self, skew_ms: int = 0, floor_ms: int = 0, ceiling_ms: int = _NEVER) -> None:
        self.skew_ms = skew_ms
        self._floor = floor_ms
        self._ceiling = ceiling_ms
        self._last: int | None = None

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
        if not self._floor <= placed <= self._ceiling:
            placed = min(max(placed, self._floor), self._ceiling)
            mark = Mark.BEHIND if mark is Mark.FINE else mark
        self._floor = placed
        return placed, mark


def _rounded(skew_ms: int) -> int:
    return round(skew_ms / _ROUND_MS) * _ROUND_MS
