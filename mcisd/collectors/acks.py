"""Which frames of a link may be acknowledged: places on the bus in, sequence numbers out. Pure.

A frame is acknowledged when the bus says it is safe *and* it is the last of its window in its lane, or the last of the
replay: an agent that must send again then sends whole windows (``docs/delivery.md``).
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

LIVE, REPLAY = 0, 1
"""The lanes, numbered by the flag REPLAYED."""


@dataclass(slots=True, eq=False)
class Lane:
    """How far one lane of one link has come. Sequence numbers; 0 is "nothing yet"."""

    acked: int = 0
    published: int = 0
    window: int = -1
    place: tuple[int, int] = (0, -1)  # (partition, offset) of the frame ``published``


@dataclass(slots=True, eq=False)
class LinkProgress:
    """How far one link has come. Of the links before it nothing is known: their frames may since have come in part by
    another collector, and then they must come again as a whole."""

    vm: str
    seen: int = 0  # the highest number of the VM at its beginning
    lanes: tuple[Lane, Lane] = field(default_factory=lambda: (Lane(), Lane()))


@dataclass(slots=True)
class AckBook:
    """All VMs, the newest link of each. ``width_ms`` is the width of a window."""

    width_ms: int
    links: dict[str, LinkProgress] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    _safe: dict[int, int] = field(default_factory=dict)
    _ends: dict[int, list[tuple[int, int, LinkProgress, Lane, int]]] = field(default_factory=dict)
    _tie: "count[int]" = field(default_factory=count)

    def begin(self, vm: str) -> LinkProgress:
        """A new link of the VM: nothing of it is published yet."""
        before = self.links.get(vm)
        seen = max(before.seen, *(lane.published for lane in before.lanes)) if before else 0
        self.changed.discard(vm)
        progress = self.links[vm] = LinkProgress(vm, seen)
        return progress

    def published(self, progress: LinkProgress, lane: Lane, seq: int, time_ms: int, place: tuple[int, int]) -> None:
        """A frame is on the bus. Frames of a lane come here in their order, and their times never go back."""
        window = time_ms // self.width_ms
        if window > lane.window:
            if lane.window >= 0:
                self._ended(progress, lane)
            lane.window = window
        lane.published, lane.place = seq, place

    def replay_done(self, progress: LinkProgress) -> None:
        """All of the replay has been published: its last window has ended."""
        if progress.lanes[REPLAY].published:
            self._ended(progress, progress.lanes[REPLAY])

    def safe(self, partition: int, offset: int) -> None:
        """Everything of the partition up to ``offset`` is safe."""
        self._safe[partition] = max(offset, self._safe.get(partition, -1))
        ends = self._ends.get(partition, [])
        while ends and ends[0][0] <= offset:
            _, _, progress, lane, seq = heappop(ends)
            self._ack(progress, lane, seq)

    def forget(self, vm: str) -> None:
        """The VM is gone for good."""
        self.links.pop(vm, None)
        self.changed.discard(vm)

    def take_changed(self) -> list[LinkProgress]:
        """Every link with something new to acknowledge."""
        found = [self.links[vm] for vm in self.changed]
        self.changed.clear()
        return found

    def _ended(self, progress: LinkProgress, lane: Lane) -> None:
        partition, offset = lane.place
        if offset <= self._safe.get(partition, -1):
            self._ack(progress, lane, lane.published)
        else:
            entry = (offset, next(self._tie), progress, lane, lane.published)
            heappush(self._ends.setdefault(partition, []), entry)

    def _ack(self, progress: LinkProgress, lane: Lane, seq: int) -> None:
        if seq > lane.acked:
            lane.acked = seq
            if self.links.get(progress.vm) is progress:
                self.changed.add(progress.vm)
