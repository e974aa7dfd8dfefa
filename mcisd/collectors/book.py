"""Which frames make up which window: frames in, windows to write and positions to commit out. Pure.

Each VM has one open window, as its frames come in order and their times never go back. A window is *final* when its VM
has sent a frame of a later one. It is written when it is final, or, for a VM that fell silent, when the wall clock has
left it behind; in that case its frames are kept, and when the VM goes on with the same window it is written again,
whole. ``docs/delivery.md`` says why nothing is lost or counted twice.
"""

from dataclasses import dataclass, field

from mcisd.collectors.windows import FrameWindow
from mcisd.model.samples import frame_head

FORGET_S = 90_000.0  # 25 hours: agents keep frames for a day, so nothing of an older window can come any more


@dataclass(slots=True, eq=False)
class Batch:
    """Windows for the writer, and the first offset of theirs in each partition. Each is one of its own."""

    windows: list[FrameWindow]
    firsts: dict[int, int]

    @property
    def frames(self) -> int:
        return sum(len(window.frames) for window in self.windows)


@dataclass(slots=True)
class _Window:
    start_ms: int
    schema: bytes | None
    partition: int
    last_seq: int
    touched: float  # monotonic seconds of the last arrival
    first_unwritten: int | None  # offset
    frames: list[bytes] = field(default_factory=list)


class WindowBook:
    """All open windows. ``width_ms`` is their width, ``lateness_s`` how long to wait for what is under way."""

    def __init__(self, width_ms: int = 10_000, lateness_s: float = 2.0) -> None:
        self.width_ms = width_ms
        self.unwritten = 0  # frames not handed out yet
        self.duplicates = 0
        self._lateness = lateness_s
        self._open: dict[str, _Window] = {}
        self._final: list[tuple[str, _Window]] = []
        self._given: list[Batch] = []
        self._consumed: dict[int, int] = {}

    def add(self, partition: int, offset: int, value: bytes, now: float) -> None:
        """A frame from the bus; one that was there before changes nothing. struct.error on what is no frame."""
        vm, schema, seq, time_ms, _ = frame_head(value)
        self._consumed[partition] = max(offset, self._consumed.get(partition, -1))
        start = time_ms - time_ms % self.width_ms
        window = self._open.get(vm)
        if window is not None and seq <= window.last_seq:
            self.duplicates += 1
            return
        if window is None or start > window.start_ms:
            if window is not None and window.first_unwritten is not None:
                self._final.append((vm, window))
            window = self._open[vm] = _Window(start, schema, partition, seq, now, None)
        self._put(window, schema, seq, offset, value, now)

    def skip(self, partition: int, offset: int) -> None:
        """A message that is no frame: nothing to wait for."""
        self._consumed[partition] = max(offset, self._consumed.get(partition, -1))

    def take(self, wall_ms: int, now: float) -> Batch | None:
        """What is to be written now, at wall clock ``wall_ms`` and monotonic second ``now``; None if nothing is."""
        horizon = wall_ms - int(self._lateness * 1000) - self.width_ms
        due = [entry for entry in self._final if entry[1].start_ms <= horizon]
        self._final = [entry for entry in self._final if entry[1].start_ms > horizon]
        for vm, window in list(self._open.items()):
            quiet = now - window.touched
            if window.first_unwritten is None:
                if quiet > FORGET_S:
                    del self._open[vm]
            elif window.start_ms <= horizon and quiet >= self._lateness:
                due.append((vm, window))
        return self._hand_out(due)

    def take_all(self) -> Batch | None:
        """Everything that was not written yet, complete or not: for the end of the process."""
        due = self._final + [(vm, window) for vm, window in self._open.items() if window.first_unwritten is not None]
        self._final = []
        return self._hand_out(due)

    def written(self, batch: Batch) -> None:
        """The store has this batch."""
        self._given.remove(batch)

    def positions(self) -> dict[int, int]:
        """What may be committed: everything before the first frame whose window is not in the store."""
        firsts: dict[int, int] = {}
        for window in [*self._open.values(), *(window for _, window in self._final)]:
            if window.first_unwritten is not None:
                _least(firsts, window.partition, window.first_unwritten)
        for batch in self._given:
            for partition, offset in batch.firsts.items():
                _least(firsts, partition, offset)
        return {partition: firsts.get(partition, last + 1) - 1 for partition, last in self._consumed.items()}

    def forget(self, vm: str) -> None:
        """The VM is gone for good: what it has not finished is handed out with the next batch, then let go."""
        window = self._open.pop(vm, None)
        if window is not None and window.first_unwritten is not None:
            self._final.append((vm, window))

    def _put(self, window: _Window, schema: bytes, seq: int, offset: int, value: bytes, now: float) -> None:
        if schema != window.schema:
            window.schema = None
        if window.first_unwritten is None:
            window.first_unwritten = offset
            self.unwritten += len(window.frames)
        window.frames.append(value)
        window.last_seq, window.touched = seq, now
        self.unwritten += 1

    def _hand_out(self, due: list[tuple[str, _Window]]) -> Batch | None:
        if not due:
            return None
        batch = Batch([], {})
        for vm, window in due:
            if window.first_unwritten is not None:
                _least(batch.firsts, window.partition, window.first_unwritten)
            window.first_unwritten = None
            batch.windows.append(FrameWindow(vm, window.start_ms, window.schema, tuple(window.frames)))
        self.unwritten -= batch.frames
        self._given.append(batch)
        return batch


def _least(firsts: dict[int, int], partition: int, offset: int) -> None:
    firsts[partition] = min(offset, firsts.get(partition, offset))
