"""Who has not reported in time: a heap of deadlines, so nobody is scanned. Pure; times are monotonic seconds.

A sample only notes when its VM was heard; a deadline that comes due and finds that moves on. So a frame costs nothing
here and a rule costs one look per VM in ``no_data_s``.
"""

import heapq
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
    def __init__(self) -> None:
        self._heard: dict[str, float] = {}
        self._heap: list[_Deadline] = []
        self._armed: set[tuple[str, str, int]] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def hear(self, vm: str, at: float) -> None:
        self._heard[vm] = at

    def expect(self, vms: set[str], at: float) -> None:
        """Exactly these VMs should report; who is new among them has from now on as long as everybody."""
        for vm in self._heard.keys() - vms:
            del self._heard[vm]
        for vm in vms - self._heard.keys():
            self._heard[vm] = at
        self._armed = {key for key in self._armed if key[0] in vms}

    def arm(self, vm: str, rule: AlarmRule) -> None:
        """Watch ``vm`` under ``rule``, if it is expected and not yet watched."""
        key = (vm, rule.uid, rule.version)
        if vm in self._heard and key not in self._armed:
            self._armed.add(key)
            due = self._heard[vm] + rule.no_data_s
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
            due = self._heard[deadline.vm] + deadline.no_data_s
            if due > now:
                heapq.heappush(self._heap, _Deadline(due, *key, deadline.no_data_s))
            else:
                self._armed.discard(key)
                late.append(key)
        return late
