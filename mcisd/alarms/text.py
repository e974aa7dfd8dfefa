"""Words for people and for events: a change comes in, title, body and event data go out. Pure."""

import math
from datetime import UTC, datetime

from mcisd.alarms.lifecycle import Change, ChangeKind
from mcisd.alarms.ports import Member
from mcisd.model.alarms import Aggregation, AlarmRule, RuleLevel
from mcisd.model.events import Event, mcis_subject, vm_subject
from mcisd.model.ids import new_id


def measured(rule: AlarmRule) -> str:
    """What the rule looks at: ``cpu usage_active``, ``avg of cpu usage_active over 30 s``."""
    plain = f"{rule.measurement} {rule.field_name}"
    if rule.aggregation is Aggregation.LAST and not rule.window_s:
        return plain
    over = f" over {seconds(rule.window_s)}" if rule.window_s else ""
    return f"{rule.aggregation.value} of {plain}{over}"


def title(change: Change, subject: str) -> str:
    """One line: ``[CRITICAL] web/a-1: cpu usage_active 97.2 > 80 for 10 s``."""
    rule, state = change.rule, change.state
    if change.kind is ChangeKind.RESOLVED:
        lasted = seconds(change.time - (state.fired_at or change.time))
        return f"[RESOLVED] {subject}: {_resolved(change)} (fired for {lasted})"
    head = f"[{rule.severity.value.upper()}] {subject}: "
    if rule.no_data_s > 0:
        return f"{head}no data for {seconds(rule.no_data_s)}"
    held = f" for {seconds(rule.for_s)}" if rule.for_s else ""
    return f"{head}{measured(rule)} {number(change.value)} {rule.comparison.value} {number(rule.threshold)}{held}"


def body(change: Change, subject: str, member: Member | None) -> str:
    """Who, where, when, which rule, and the ids by which a receiver knows a message it has had before."""
    rule, state = change.rule, change.state
    lines = [title(change, subject), f"rule: {rule.name}"]
    if rule.tags:
        lines.append("series: " + _pairs(rule.tags))
    if rule.labels:
        lines.append("labels: " + _pairs(rule.labels))
    lines.append(f"namespace: {rule.ns}")
    if member is not None and rule.level is RuleLevel.VM:
        lines.append(f"region: {member.provider} {member.region}".rstrip())
    lines.append(f"fired: {utc(state.fired_at)}")
    if change.kind is ChangeKind.RESOLVED:
        lines.append(f"resolved: {utc(state.resolved_at)}")
    return "\n".join([*lines, f"episode: {state.episode}"])


def sentence(change: Change) -> str:
    """One plain sentence for the event, whatever the change."""
    rule, subject = change.rule, change.state.subject_name
    match change.kind:
        case ChangeKind.PENDING:
            return f"{subject}: {measured(rule)} {number(change.value)} must stay so for {seconds(rule.for_s)} to fire"
        case ChangeKind.CLEARED:
            return f"{subject}: {measured(rule)} {number(change.value)} is in order again, before it fired"
        case _:
            return title(change, subject)


def event(change: Change, member: Member | None) -> Event:
    """The CloudEvent of a change: ``alarm.pending``, ``alarm.firing``, ``alarm.resolved``, ``alarm.cleared``."""
    rule, state = change.rule, change.state
    mcis = member.mcis_name if member else rule.mcis
    per_vm = rule.level is RuleLevel.VM
    path = vm_subject(rule.ns, mcis, member.name if member else state.subject_name) if per_vm else ""
    data: dict[str, object] = {
        "text": sentence(change),
        "rule": rule.name,
        "ruleUid": rule.uid,
        "level": rule.level.value,
        "severity": rule.severity.value,
        "labels": dict(rule.labels),
        "value": change.value,
        "threshold": None if rule.no_data_s > 0 else rule.threshold,
        "comparison": None if rule.no_data_s > 0 else rule.comparison.value,
        "subject": state.subject,
        "subjectName": state.subject_name,
        "episode": state.episode,
        "reason": change.reason,
    }
    return Event(new_id("ev"), f"alarm.{change.kind.value}", path or mcis_subject(rule.ns, mcis), change.time, data)


def subject_name(rule: AlarmRule, member: Member) -> str:
    """What people call the subject: ``web/a-1``, or ``web`` for the whole MCIS."""
    return f"{member.mcis_name}/{member.name}" if rule.level is RuleLevel.VM else member.mcis_name


def number(value: float | None) -> str:
    """At most three digits behind the point, none where there is nothing to say."""
    if value is None or not math.isfinite(value):
        return "no value"
    text = f"{value:.3f}" if abs(value) < 1e9 else f"{value:.6g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def seconds(value: float) -> str:
    """``10 s``, ``3 min 12 s``, ``2 h 5 min``."""
    if value < 60:
        return f"{number(round(value, 1))} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def utc(time: float | None) -> str:
    return "-" if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _resolved(change: Change) -> str:
    rule = change.rule
    if change.value is None:
        return change.reason
    return f"{measured(rule)} {number(change.value)}, was {rule.comparison.value} {number(rule.threshold)}"


def _pairs(pairs: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(pairs.items()))
