"""From raw columns to the one value that a rule compares: rates, several columns, windows, several VMs. Pure.

NaN and None mean "no value": whoever gets None keeps the state as it is. So does infinity, which no machine measures.
"""

import math
from collections import deque
from collections.abc import Sequence

from mcisd.model.alarms import Aggregation

BUCKETS = 240
WARM_S = 60.0
GAP_S = 10.0


def total(values: Sequence[float]) -> float:
    """The sum without rounding errors; infinite where it is too large for a float, NaN where that says nothing."""
    try:
        return math.fsum(values)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf if sum(value / 2.0**64 for value in values) > 0 else -math.inf


def combine(values: Sequence[float], how: Aggregation) -> float | None:
    """One value of many, None of none; for ``last`` the values are in the order of time."""
    if not values:
        return None
    match how:
        case Aggregation.LAST:
            return values[-1]
        case Aggregation.AVG:
            return total(values) / len(values)
        case Aggregation.MIN:
            return min(values)
        case Aggregation.MAX:
            return max(values)
        case Aggregation.SUM:
            return total(values)


def across_columns(values: Sequence[float], how: Aggregation, high_is_bad: bool) -> float | None:
    """One value of the columns of one frame that a rule reads; ``last`` takes the worst of them."""
    there = [value for value in values if math.isfinite(value)]
    if how is Aggregation.LAST:
        how = Aggregation.MAX if high_is_bad else Aggregation.MIN
    value = combine(there, how)
    return value if value is not None and math.isfinite(value) else None


class Rate:
    """A counter to its increase per second; no value at first, after a gap in it, or when the counter was reset."""

    __slots__ = ("_time", "_value")

    def __init__(self) -> None:
        self._time = math.nan
        self._value = math.nan

    def feed(self, time: float, value: float) -> float:
        """Increase per second since the sample before, NaN if there is none to compare with."""
        past, before = time - self._time, self._value
        self._time, self._value = time, value
        if math.isnan(past) or past <= 0 or not value >= before:
            return math.nan
        return (value - before) / past


class _Bucket:
    __slots__ = ("count", "high", "last", "low", "start", "time", "total")

    def __init__(self, start: float, time: float, value: float) -> None:
        self.start, self.time, self.count = start, time, 1
        self.total = self.low = self.high = self.last = value

    def add(self, time: float, value: float) -> None:
        self.time, self.last = time, value
        self.count += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)


class Window:
    """The values of the last ``span`` seconds of one series, in at most BUCKETS + 1 buckets whatever their rate.

    The window is half open, ``(time - span, time]``; its old edge is as fine as one bucket (``span / BUCKETS``).
    It speaks once it has watched ``min(span, WARM_S)`` seconds: a window that has just begun is not an hour.
    """

    __slots__ = ("_begun", "_buckets", "_newest", "span")

    def __init__(self, span: float) -> None:
        self.span = span
        self._begun = self._newest = math.nan
        self._buckets: deque[_Bucket] = deque()

    def __len__(self) -> int:
        return len(self._buckets)

    def feed(self, time: float, value: float, how: Aggregation) -> float | None:
        """Take a sample (times grow) and give the aggregate, None while too little has been seen."""
        buckets = self._buckets
        while buckets and buckets[0].time <= time - self.span:
            buckets.popleft()
        if not time - self._newest <= max(self.span, GAP_S):
            # Nothing was heard for a whole span: what came before says nothing about now.
            self._begun = time
        self._newest = time
        start = math.floor(time / self.span * BUCKETS)
        if buckets and buckets[-1].start == start:
            buckets[-1].add(time, value)
        else:
            buckets.append(_Bucket(start, time, value))
        return self._value(how) if time - self._begun >= min(self.span, WARM_S) else None

    def _value(self, how: Aggregation) -> float:
        buckets = self._buckets
        match how:
            case Aggregation.LAST:
                return buckets[-1].last
            case Aggregation.MIN:
                return min(bucket.low for bucket in buckets)
            case Aggregation.MAX:
                return max(bucket.high for bucket in buckets)
        whole = total([bucket.total for bucket in buckets])
        return whole if how is Aggregation.SUM else whole / sum(bucket.count for bucket in buckets)
