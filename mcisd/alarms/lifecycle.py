"""The life of an alarm: ok → pending → firing → ok, one step for each value. Pure: states in, changes out.

Laws (tests/unit/alarms/test_alarms_lifecycle.py): firing and resolved alternate; an alarm fires only after its
condition held for ``for_s`` of event time; what is older than the newest step changes nothing; a state that was stored
and loaded goes on as if nothing had happened.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from enum import StrEnum

from mcisd.alarms.rule import Condition
from mcisd.model.alarms import AlarmPhase, AlarmRule, AlarmState, MessageKind


class ChangeKind(StrEnum):
    """``cleared``: pending ended without firing. ``forgotten``: an alarm that did not fire lost its rule or subject."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    CLEARED = "cleared"
    FORGOTTEN = "forgotten"

    @property
    def message(self) -> MessageKind | None:
        """The kind of message people get, if they get one."""
        return _MESSAGES.get(self)


_MESSAGES = {ChangeKind.FIRING: MessageKind.FIRING, ChangeKind.RESOLVED: MessageKind.RESOLVED}


@dataclass(frozen=True, slots=True)
class Change:
    """One transition: what is to be stored and told. ``last``: the state's row goes, its rule or subject is no more."""

    kind: ChangeKind
    rule: AlarmRule
    state: AlarmState
    time: float
    value: float | None = None
    reason: str = ""
    last: bool = False


def step(
    state: AlarmState, seen: float, rule: AlarmRule, condition: Condition, time: float, value: float
) -> Change | None:
    """Judge one value at ``time``; ``seen`` is the time of the newest value judged before.

    None where nothing changes: also for NaN (no value) and for what is older than ``seen`` or than the last change.
    """
    if math.isnan(value) or time < max(seen, state.since):
        return None
    if state.phase is AlarmPhase.FIRING:
        return _resolve(state, rule, time, value) if condition.recovers(value) else None
    if not condition.holds(value):
        if state.phase is AlarmPhase.OK:
            return None
        return Change(ChangeKind.CLEARED, rule, _enter(state, AlarmPhase.OK, time, value), time, value)
    since = state.since if state.phase is AlarmPhase.PENDING else time
    if time - since >= rule.for_s:
        return _fire(state, rule, time, value)
    if state.phase is AlarmPhase.PENDING:
        return None
    return Change(ChangeKind.PENDING, rule, _enter(state, AlarmPhase.PENDING, time, value), time, value)


def silent(state: AlarmState, rule: AlarmRule, time: float) -> Change | None:
    """A VM that should report has not for ``no_data_s``."""
    return None if state.phase is AlarmPhase.FIRING else _fire(state, rule, max(time, state.since), None, "no data")


def heard(state: AlarmState, rule: AlarmRule, time: float, reason: str = "data again") -> Change | None:
    """A silent VM has reported, or is no longer expected to."""
    return _resolve(state, rule, max(time, state.since), None, reason) if state.phase is AlarmPhase.FIRING else None


def end(state: AlarmState, rule: AlarmRule, time: float, reason: str, *, last: bool) -> Change | None:
    """The rule or the subject is gone (``last``) or the rule was changed: a firing alarm resolves, a pending clears."""
    time = max(time, state.since)
    if state.phase is AlarmPhase.FIRING:
        return replace(_resolve(state, rule, time, None, reason), last=last)
    if state.phase is AlarmPhase.PENDING:
        ok = _enter(state, AlarmPhase.OK, time, None)
        return Change(ChangeKind.CLEARED, rule, ok, time, None, reason, last)
    return Change(ChangeKind.FORGOTTEN, rule, state, time, None, reason, last) if last else None


def fired_under(state: AlarmState) -> int:
    """Version of the rule under which this firing alarm fired; it is part of the episode's id."""
    _, _, version = state.episode.rpartition("-r")
    return int(version) if version.isdigit() else 0


def _fire(state: AlarmState, rule: AlarmRule, time: float, value: float | None, reason: str = "") -> Change:
    # The id follows from what is stored and from the event, so a repeated step names the same episode.
    digest = hashlib.sha256(f"{state.episode}|{state.uid}|{time!r}".encode()).hexdigest()[:12]
    firing = replace(
        _enter(state, AlarmPhase.FIRING, time, value),
        episode=f"ep-{digest}-r{rule.version}",
        fired_at=time,
        resolved_at=None,
    )
    return Change(ChangeKind.FIRING, rule, firing, time, value, reason)


def _resolve(state: AlarmState, rule: AlarmRule, time: float, value: float | None, reason: str = "") -> Change:
    ok = replace(_enter(state, AlarmPhase.OK, time, value), resolved_at=time)
    return Change(ChangeKind.RESOLVED, rule, ok, time, value, reason)


def _enter(state: AlarmState, phase: AlarmPhase, time: float, value: float | None) -> AlarmState:
    return replace(state, phase=phase, since=time, value=value)
