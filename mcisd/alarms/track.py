"""One rule on one subject: its state, and what is remembered of the samples to judge the next one."""

import struct
from dataclasses import dataclass

from mcisd.alarms.evaluate import Rate, Window, across_columns, combine
from mcisd.alarms.lifecycle import Change, step
from mcisd.alarms.rule import Condition, matching, upward
from mcisd.model.alarms import AlarmRule, AlarmState, RuleLevel
from mcisd.model.samples import COUNTER, FRAME_HEAD, Schema

F64 = struct.Struct("<d")


class Series:
    """What one rule remembers of one VM: its newest time, its window, its counters."""

    __slots__ = ("rates", "time", "window")

    def __init__(self, rule: AlarmRule) -> None:
        self.time = 0.0
        self.window = Window(rule.window_s) if rule.window_s > 0 else None
        self.rates: dict[str, Rate] = {}


class Track:
    """A rule on a subject. ``latest`` (MCIS rules only): VM → its newest value and when that arrived."""

    __slots__ = ("born", "condition", "latest", "rule", "seen", "series", "state", "stored")

    def __init__(self, rule: AlarmRule, state: AlarmState, born: float, *, stored: bool = False) -> None:
        self.stored = stored
        self.restart(rule, state, born)

    def restart(self, rule: AlarmRule, state: AlarmState, born: float) -> None:
        """Go on from ``state`` under ``rule``, having seen no sample."""
        self.rule, self.state, self.born = rule, state, born
        self.condition = Condition.of(rule)
        self.seen = state.since
        self.series: dict[str, Series] = {}
        self.latest: dict[str, tuple[float, float]] = {}

    def take(self, change: Change | None) -> Change | None:
        """Make a change one's own; from then on a row of it is in the store."""
        if change is not None:
            self.state, self.stored = change.state, True
        return change

    def judge(self, time: float, value: float) -> Change | None:
        change = step(self.state, self.seen, self.rule, self.condition, time, value)
        self.seen = max(self.seen, time)
        return self.take(change)

    def judge_group(
        self, vm: str, time: float, value: float, arrival: float, reporting: frozenset[str], stale_s: float
    ) -> Change | None:
        """Judge an MCIS by the newest values of its VMs; those silent for longer than ``stale_s`` are left out.

        After a start it waits until every VM that reports was heard, at most ``stale_s``: half an MCIS is not one.
        """
        self.latest.pop(vm, None)
        self.latest[vm] = (value, arrival)
        fresh = {name: got for name, (got, at) in self.latest.items() if arrival - at <= stale_s}
        if not reporting <= fresh.keys() and arrival - self.born < stale_s:
            return None
        total = combine(list(fresh.values()), self.rule.aggregation)
        # The VMs' clocks differ a little: time of the MCIS is the newest of them, so every arrival counts.
        return None if total is None else self.judge(max(time, self.seen), total)


@dataclass(frozen=True, slots=True)
class Probe:
    """One rule made ready for the frames of one VM in one schema."""

    track: Track
    series: Series
    columns: tuple[tuple[int, Rate | None], ...]
    high_is_bad: bool

    @classmethod
    def of(cls, track: Track, vm: str, schema: Schema) -> "Probe | None":
        """None where the rule reads none of the schema's columns."""
        rule = track.rule
        at = matching(rule, schema.columns)
        if not at:
            return None
        series = track.series.setdefault(vm, Series(rule))
        columns = [(i, schema.columns[i]) for i in at]
        rates = [series.rates.setdefault(c.series, Rate()) if c.kind == COUNTER else None for _, c in columns]
        positions = [FRAME_HEAD.size + F64.size * i for i, _ in columns]
        return cls(track, series, tuple(zip(positions, rates, strict=True)), upward(rule.comparison))

    def read(self, time: float, frame: bytes) -> float | None:
        """The rule's value of this frame; None where it has none, or is not newer than the VM's newest."""
        series, how = self.series, self.track.rule.aggregation
        if time <= series.time:
            return None
        series.time = time
        values: list[float] = []
        for position, rate in self.columns:
            raw: float = F64.unpack_from(frame, position)[0]
            values.append(raw if rate is None else rate.feed(time, raw))
        value = across_columns(values, how, self.high_is_bad)
        if value is None or series.window is None:
            return value
        return series.window.feed(time, value, how)

    @property
    def per_vm(self) -> bool:
        return self.track.rule.level is RuleLevel.VM
