"""One rule on one subject: its state, and what is remembered of a VM's samples to judge the next one. Pure."""

import struct
from dataclasses import dataclass

from mcisd.alarms.evaluate import Rate, Window, across_columns
from mcisd.alarms.lifecycle import Change, step
from mcisd.alarms.rule import Condition, matching, upward
from mcisd.model.alarms import Aggregation, AlarmRule, AlarmState, RuleLevel
from mcisd.model.samples import COUNTER, FRAME_HEAD, Schema

F64 = struct.Struct("<d")


class Track:
    """A rule on a subject. ``seen`` is the time of the newest value judged, ``stored``: the store has a row of it."""

    __slots__ = ("born", "condition", "rule", "seen", "state", "stored")

    def __init__(self, rule: AlarmRule, state: AlarmState, born: float, *, stored: bool = False) -> None:
        self.stored = stored
        self.restart(rule, state, born)

    def restart(self, rule: AlarmRule, state: AlarmState, born: float) -> None:
        """Go on from ``state`` under ``rule``, having seen no sample."""
        self.rule, self.state, self.born = rule, state, born
        self.condition = Condition.of(rule)
        self.seen = state.since

    def take(self, change: Change | None) -> Change | None:
        """Make a change one's own; from then on a row of it is in the store."""
        if change is not None:
            self.state, self.stored = change.state, True
        return change

    def judge(self, time: float, value: float) -> Change | None:
        change = step(self.state, self.seen, self.rule, self.condition, time, value)
        self.seen = max(self.seen, time)
        return self.take(change)


class Series:
    """What one rule, as it is at ``version``, remembers of one VM: its window and its counters."""

    __slots__ = ("rates", "version", "window")

    def __init__(self, rule: AlarmRule) -> None:
        self.version = rule.version
        self.window = Window(rule.window_s) if rule.window_s > 0 else None
        self.rates: dict[str, Rate] = {}


@dataclass(frozen=True, slots=True)
class Probe:
    """One rule made ready for the frames of one VM in one schema. ``track`` is None for a rule about the whole MCIS:
    its value is judged elsewhere, together with those of the other VMs."""

    rule: AlarmRule
    track: Track | None
    series: Series
    columns: tuple[tuple[int, Rate | None], ...]
    high_is_bad: bool

    @classmethod
    def of(cls, rule: AlarmRule, track: Track | None, series: Series, schema: Schema) -> "Probe | None":
        """None where the rule reads none of the schema's columns."""
        at = matching(rule, schema.columns)
        if not at:
            return None
        columns = [(i, schema.columns[i]) for i in at]
        rates = [series.rates.setdefault(c.series, Rate()) if c.kind == COUNTER else None for _, c in columns]
        return cls(rule, track, series, tuple(zip(at, rates, strict=True)), upward(rule.comparison))

    @property
    def plain(self) -> bool:
        """Its condition can hold only where one of its columns by itself fulfils it: see ``sieve.py``."""
        if self.rule.level is not RuleLevel.VM or self.series.window is not None:
            return False
        if any(rate is not None for _, rate in self.columns):
            return False
        extreme = (Aggregation.LAST, Aggregation.MIN, Aggregation.MAX)
        return len(self.columns) == 1 or self.rule.aggregation in extreme

    def read(self, time: float, frame: bytes) -> float | None:
        """The rule's value of this frame, which is newer than all before; None where it has none."""
        values: list[float] = []
        for column, rate in self.columns:
            raw: float = F64.unpack_from(frame, FRAME_HEAD.size + F64.size * column)[0]
            values.append(raw if rate is None else rate.feed(time, raw))
        how = self.rule.aggregation
        value = across_columns(values, how, self.high_is_bad)
        if value is None or self.series.window is None:
            return value
        return self.series.window.feed(time, value, how)
