"""The newest values of the VMs of one MCIS, and their aggregate, kept up to date at a cost that does not grow with
the number of VMs. Pure; times of arrival are monotonic seconds.
"""

import heapq
import math

from mcisd.alarms.evaluate import total
from mcisd.model.alarms import Aggregation

REFRESH = 4096
"""A sum is added up anew after so many changes, so that rounding cannot pile up in it."""
SLACK = 64


class Gather:
    """One rule's values of one MCIS under one aggregation; ``missing`` are VMs that must be heard first."""

    __slots__ = ("_clock", "_count", "_heap", "_how", "_lost", "_newest", "_sum", "_turn", "missing")

    def __init__(self, how: Aggregation, missing: frozenset[str] = frozenset()) -> None:
        self.missing = set(missing)
        self._how = how
        # VM → (value, arrival, turn), the longest unheard first: the order in which values grow stale.
        self._newest: dict[str, tuple[float, float, int]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._turn = self._count = 0
        self._sum = self._lost = 0.0
        self._clock = -math.inf

    def __len__(self) -> int:
        return len(self._newest)

    def put(self, vm: str, value: float, arrival: float) -> None:
        """The newest value of a VM; it is finite. It counts as no older than the one that was put before it."""
        self.drop(vm)
        self._clock = arrival = max(arrival, self._clock)
        self.missing.discard(vm)
        self._turn += 1
        self._newest[vm] = (value, arrival, self._turn)
        if self._how in (Aggregation.MIN, Aggregation.MAX):
            heapq.heappush(self._heap, (self._signed(value), self._turn, vm))
            if len(self._heap) > 2 * len(self._newest) + SLACK:
                self._heap = [(self._signed(v), turn, name) for name, (v, _, turn) in self._newest.items()]
                heapq.heapify(self._heap)
        else:
            self._add(value)

    def drop(self, vm: str) -> None:
        """The VM counts no more; nothing happens if it did not."""
        gone = self._newest.pop(vm, None)
        if gone is not None and self._how not in (Aggregation.MIN, Aggregation.MAX):
            self._add(-gone[0])

    def keep(self, vms: frozenset[str], awaited: frozenset[str]) -> None:
        """Forget all VMs but these, and wait for none but those ``awaited``."""
        for vm in self._newest.keys() - vms:
            self.drop(vm)
        self.missing &= awaited

    def expire(self, before: float) -> None:
        """Leave out the VMs whose newest value arrived before this time."""
        while self._newest:
            vm, (_, arrival, _) = next(iter(self._newest.items()))
            if arrival >= before:
                return
            self.drop(vm)

    def value(self) -> float | None:
        """The aggregate; for ``last`` the newest arrival. None where there is no VM."""
        newest = self._newest
        if not newest:
            return None
        match self._how:
            case Aggregation.LAST:
                return newest[next(reversed(newest))][0]
            case Aggregation.MIN | Aggregation.MAX:
                return self._signed(self._extreme())
            case Aggregation.AVG:
                return (self._sum + self._lost) / len(newest)
        return self._sum + self._lost

    def _signed(self, value: float) -> float:
        return -value if self._how is Aggregation.MAX else value

    def _extreme(self) -> float:
        # Values that were replaced stay in the heap until they come to its top.
        heap, newest = self._heap, self._newest
        while True:
            value, turn, vm = heap[0]
            known = newest.get(vm)
            if known is not None and known[2] == turn:
                return value
            heapq.heappop(heap)

    def _add(self, value: float) -> None:
        """Neumaier's sum: what is lost by rounding is carried along."""
        self._count += 1
        old, self._sum = self._sum, self._sum + value
        if self._count >= REFRESH or not math.isfinite(self._sum):
            values = [known[0] for known in self._newest.values()]
            self._count, self._sum = 0, total(values)
            self._lost = total([*values, -self._sum]) if math.isfinite(self._sum) else 0.0
        elif abs(old) >= abs(value):
            self._lost += (old - self._sum) + value
        else:
            self._lost += (value - self._sum) + old
