"""Which frames of a VM may be acknowledged: places on the bus in, sequence numbers out. Pure.

A frame is acknowledged when the bus says it is safe *and* it is the last of its window: an agent that must send again
then sends whole windows, so that a window which is written again always has all its frames (``docs/delivery.md``).
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush


@dataclass(slots=True)
class VmProgress:
    """How far one VM has come. Sequence numbers; 0 is "nothing yet"."""

    published: int = 0
    acked: int = 0
    window: int = -1
    last: tuple[int, int] = (0, -1)  # (partition, offset) of the frame ``published``


@dataclass(slots=True)
class AckBook:
    """All VMs. ``width_ms`` is the width of a window."""

    width_ms: int
    vms: dict[str, VmProgress] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    _safe: dict[int, int] = field(default_factory=dict)
    _ends: dict[int, list[tuple[int, str, int]]] = field(default_factory=dict)

    def progress(self, vm: str) -> VmProgress:
        return self.vms.setdefault(vm, VmProgress())

    def acked(self, vm: str) -> int:
        """Up to which frame the VM has been told that all is safe; 0 for nothing."""
        progress = self.vms.get(vm)
        return progress.acked if progress else 0

    def published(self, vm: str, seq: int, time_ms: int, partition: int, offset: int) -> None:
        """A frame is on the bus. Frames of a VM come here in their order, and their times never go back."""
        progress = self.progress(vm)
        window = time_ms // self.width_ms
        if window > progress.window:
            if progress.window >= 0:
                self._window_ended(vm, progress)
            progress.window = window
        progress.published = seq
        progress.last = (partition, offset)

    def safe(self, partition: int, offset: int) -> None:
        """Everything of the partition up to ``offset`` is safe."""
        self._safe[partition] = max(offset, self._safe.get(partition, -1))
        ends = self._ends.get(partition, [])
        while ends and ends[0][0] <= offset:
            _, vm, seq = heappop(ends)
            self._ack(vm, seq)

    def forget(self, vm: str) -> None:
        """The VM is gone for good."""
        self.vms.pop(vm, None)
        self.changed.discard(vm)

    def take_changed(self) -> list[tuple[str, int]]:
        """``(vm, seq)`` of every VM with something new to acknowledge."""
        found = [(vm, self.vms[vm].acked) for vm in self.changed]
        self.changed.clear()
        return found

    def _window_ended(self, vm: str, progress: VmProgress) -> None:
        partition, offset = progress.last
        if offset <= self._safe.get(partition, -1):
            self._ack(vm, progress.published)
        else:
            heappush(self._ends.setdefault(partition, []), (offset, vm, progress.published))

    def _ack(self, vm: str, seq: int) -> None:
        progress = self.vms.get(vm)
        if progress is not None and seq > progress.acked:
            progress.acked = seq
            self.changed.add(vm)
