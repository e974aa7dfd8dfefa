"""Alarm rules: is a rule sound, whom does it concern, which columns of a frame does it read. Pure."""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from mcisd.alarms.ports import Member
from mcisd.model.alarms import Aggregation, AlarmRule, Comparison, RuleLevel, Severity
from mcisd.model.errors import InputError
from mcisd.model.ids import check_name
from mcisd.model.samples import Column

E = TypeVar("E", bound=StrEnum)
LONGEST_S = 3600.0
COMPARE: dict[Comparison, Callable[[float, float], bool]] = {
    Comparison.GT: operator.gt,
    Comparison.GE: operator.ge,
    Comparison.LT: operator.lt,
    Comparison.LE: operator.le,
}


def check_rule(rule: AlarmRule) -> AlarmRule:
    """``rule`` with its choices as enum members, if it is sound; else InputError naming the field and the remedy."""
    check_name(rule.name, "name")
    rule = replace(
        rule,
        level=_choice(RuleLevel, rule.level, "level"),
        severity=_choice(Severity, rule.severity, "severity"),
        comparison=_choice(Comparison, rule.comparison, "comparison"),
        aggregation=_choice(Aggregation, rule.aggregation, "aggregation"),
    )
    for name in ("window_s", "for_s", "no_data_s"):
        _check_time(getattr(rule, name), name)
    if rule.level is RuleLevel.MCIS and rule.vm:
        raise InputError("vm is set but level is infra", field="vm", remedy="leave vm out, or set level to vm")
    if rule.no_data_s > 0:
        _check_no_data(rule)
    else:
        _check_condition(rule)
    return rule


def concerns(rule: AlarmRule, member: Member) -> bool:
    """The rule is about this VM, or about the MCIS it belongs to. A rule may name either by name or by uid."""
    return (
        rule.ns == member.ns
        and rule.mcis in (member.mcis, member.mcis_name)
        and rule.vm in ("", member.vm, member.name)
    )


def matching(rule: AlarmRule, columns: tuple[Column, ...]) -> tuple[int, ...]:
    """Positions of the columns the rule reads: same measurement and field, all of its tags (others may be there)."""
    wanted = rule.tags.items()
    return tuple(
        at
        for at, column in enumerate(columns)
        if column.measurement == rule.measurement and column.field == rule.field_name and wanted <= set(column.tags)
    )


@dataclass(frozen=True, slots=True)
class Condition:
    """The rule's comparison made ready: ``holds`` starts an alarm, ``recovers`` ends it."""

    compare: Callable[[float, float], bool]
    threshold: float
    recovery: float

    @classmethod
    def of(cls, rule: AlarmRule) -> "Condition":
        recovery = rule.threshold if rule.recovery is None else rule.recovery
        return cls(COMPARE[rule.comparison], rule.threshold, recovery)

    def holds(self, value: float) -> bool:
        return self.compare(value, self.threshold)

    def recovers(self, value: float) -> bool:
        return not self.compare(value, self.recovery)


def upward(comparison: Comparison) -> bool:
    """Large values are the bad ones."""
    return comparison in (Comparison.GT, Comparison.GE)


def _check_no_data(rule: AlarmRule) -> None:
    if rule.level is not RuleLevel.VM:
        raise InputError("a no-data rule is judged for each VM", field="level", remedy="set level to vm")
    if rule.for_s > 0:
        raise InputError("no_data_s says already how long", field="for_s", remedy="leave for_s out of a no-data rule")


def _check_condition(rule: AlarmRule) -> None:
    for name in ("measurement", "field_name"):
        if not getattr(rule, name):
            raise InputError(
                f"{name} is empty", field=name, remedy="name what to measure, such as cpu and usage_active"
            )
    for name in ("threshold", "recovery"):
        value = getattr(rule, name)
        if value is not None and not math.isfinite(value):
            raise InputError(f"{name} is not a finite number", field=name, remedy="give a number")
    condition = Condition.of(rule)
    wrong = condition.recovery > rule.threshold if upward(rule.comparison) else condition.recovery < rule.threshold
    if wrong:
        side = "at or below" if upward(rule.comparison) else "at or above"
        raise InputError(
            f"recovery {rule.recovery:g} is on the wrong side of the threshold {rule.threshold:g}",
            field="recovery",
            remedy=f"with {rule.comparison.value} the recovery lies {side} the threshold",
        )


def _check_time(value: float, field: str) -> None:
    if not math.isfinite(value) or not 0 <= value <= LONGEST_S:
        raise InputError(
            f"{field} is {value}, out of range", field=field, remedy=f"give seconds from 0 to {LONGEST_S:.0f}"
        )


def _choice(kind: type[E], value: str, field: str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise InputError(f"{field} {value!r:.40} is not known", field=field, remedy=f"use one of {known}") from None
