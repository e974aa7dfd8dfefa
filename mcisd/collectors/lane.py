"""What is known of one lane of one link while it stands: its times, its rates, how far it has come."""

from mcisd.collectors.acks import LIVE, REPLAY, LinkProgress
from mcisd.collectors.agent_clock import AgentClock
from mcisd.collectors.rates import Rates
from mcisd.model.samples import REPLAYED


class LaneState:
    """``flags`` are those its frames bear on the bus."""

    __slots__ = ("at", "clock", "flags", "packed", "progress", "rates", "seq")

    def __init__(self, flags: int, clock: AgentClock, interval_ms: int, progress: LinkProgress) -> None:
        self.flags = flags
        self.clock = clock
        self.rates = Rates(interval_ms)
        self.progress = progress.lanes[REPLAY if flags & REPLAYED else LIVE]
        self.packed = -1  # the window of the newest frame
        self.seq = 0  # … its number
        self.at = 0.0  # … and when it came, monotonic seconds


def begin(progress: LinkProgress, skew_ms: int, window_ms: int, interval_ms: int) -> tuple[LaneState, LaneState]:
    """The live and the replay lane of a link; the window that begins at ``window_ms`` and all later ones are live."""
    live, replay = AgentClock(skew_ms, floor_ms=window_ms), AgentClock(skew_ms, ceiling_ms=window_ms - 1)
    return LaneState(0, live, interval_ms, progress), LaneState(REPLAYED, replay, interval_ms, progress)
