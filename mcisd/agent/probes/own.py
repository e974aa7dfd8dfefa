"""The agent's own health: a shared ``Stats`` in, measurement ``mcisd_agent`` out."""

import os
import time

from mcisd.agent.probes.base import ProcFiles

FIELDS = (
    ("dropped_frames", "c"),
    ("spooled_frames", "g"),
    ("spooled_bytes", "g"),
    ("gather_errors", "c"),
    ("reconnects", "c"),
    ("rss_bytes", "g"),
    ("cpu_seconds", "c"),
    ("gather_ms", "g"),
    ("replayed_frames", "c"),
)


class Stats:
    """What the parts of one agent count; all counts start at 0 with the process."""

    def __init__(self) -> "None":
        self.dropped_frames = 0  # lost for good: too old, no room, or unreadable
        self.spooled_frames = 0  # on disk now
        self.spooled_bytes = 0
        self.gather_errors = 0
        self.reconnects = 0  # links lost after they were up
        self.gather_ms = 0.0  # the round before this one
        self.replayed_frames = 0  # sent late, as there was no link when they were measured
        self.received = 0  # bytes over the agent's own link
        self.sent = 0


class OwnProbe:
    """What the agent itself uses and loses."""

    measurement = "mcisd_agent"
    fields = FIELDS

    def __init__(self, files: "ProcFiles", stats: "Stats") -> "None":
        self._files = files
        self._stats = stats
        self._page = os.sysconf("SC_PAGE_SIZE")

    def read(self, tick: "bool") -> "list[tuple[dict[str, str], list[float]]]":
        """One row. Raises OSError, ValueError."""
        stats = self._stats
        rss = int(self._files.text("proc/self/statm").split(None, 2)[1]) * self._page
        counts = (stats.dropped_frames, stats.spooled_frames, stats.spooled_bytes, stats.gather_errors)
        values = [float(number) for number in counts]
        more = [float(rss), time.process_time(), stats.gather_ms, float(stats.replayed_frames)]
        return [({}, [*values, float(stats.reconnects), *more])]
