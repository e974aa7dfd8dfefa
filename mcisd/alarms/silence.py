"""Who has not reported in time: a heap of deadlines, so nobody is scanned. Pure; times are monotonic seconds.

A sample only notes when its VM was heard; a deadline that comes due and finds that moves on. So a frame costs nothing
here and a rule costs one look per VM in ``no_data_s``.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from mcisd.model.alarms import AlarmRule


@dataclass(frozen=True, slots=True, order=True)
class _Deadline:
    due: float
    vm: str
    rule: str
    version: int
    no_data_s: float


class Silence:
    """``heard`` tells when a VM was heard last, or was first expected to report."""

    def __init__(self, heard: Callable[[str], float]) -> None:
        self._heard = heard
        self._heap: list[_Deadline] = []
        self._armed: set[tuple[str, str, int]] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def keep(self, watched: set[tuple[str, str, int]]) -> None:
        """Only these are to be watched any more: VM, rule and its version."""
        self._armed &= watched

    def arm(self, vm: str, rule: AlarmRule) -> None:
        """Watch ``vm``, which should report, under ``rule``, if it is not yet watched."""
        key = (vm, rule.uid, rule.version)
        if key not in self._armed:
            self._armed.add(key)
            due = self._heard(vm) + rule.no_data_s
            heapq.heappush(self._heap, _Deadline(due, vm, rule.uid, rule.version, rule.no_data_s))

    def next_due(self) -> float | None:
        return self._heap[0].due if self._heap else None

    def overdue(self, now: float) -> list[tuple[str, str, int]]:
        """``(vm, rule, version)`` of those silent for too long by ``now``; each is watched again when armed again."""
        late = []
        while self._heap and self._heap[0].due <= now:
            deadline = heapq.heappop(self._heap)
            key = (deadline.vm, deadline.rule, deadline.version)
            if key not in self._armed:
                continue
            due = self._heard(deadline.vm) + deadline.no_data_s
            if due > now:
                heapq.heappush(self._heap, _Deadline(due, *key, deadline.no_data_s))
            else:
                self._armed.discard(key)
                late.append(key)
        return late
