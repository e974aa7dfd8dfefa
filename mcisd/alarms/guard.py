"""The guard before the store: a change and the stored row come in, what is to be written comes out. Pure.

For a moment two processes may judge the same subject: one has lost its partition and does not know it yet. Writing
transactions run one after the other, so the second sees what the first has written, and here it is decided what its
change still means: ``at time t the alarm fires`` is nothing new if it fires already, and ``at time t it is over`` ends
the episode that is stored, whichever process began it. So a row goes ok → pending → firing → ok, its time never goes
back, and each episode has one beginning and one end, however many judge.
"""

from dataclasses import replace
from enum import Enum

from mcisd.alarms.lifecycle import Change, ChangeKind, fired_under
from mcisd.model.alarms import AlarmPhase, AlarmState


class Refusal(Enum):
    """``WRITTEN``: the store has this change already. ``STALE``: the row has moved on without it."""

    WRITTEN = "written"
    STALE = "stale"


def admit(row: AlarmState | None, change: Change) -> Change | Refusal:
    """The change as it applies to the stored row (None: there is none), or why it does not."""
    if change.last:
        return Refusal.WRITTEN if row is None else _ended(row, change)
    new = change.state
    if row is None:
        return change if change.kind in (ChangeKind.PENDING, ChangeKind.FIRING) else Refusal.STALE
    if (row.phase, row.since, row.episode) == (new.phase, new.since, new.episode):
        return Refusal.WRITTEN
    return _moved(row, change) if change.time >= row.since else Refusal.STALE


def _moved(row: AlarmState, change: Change) -> Change | Refusal:
    match change.kind, row.phase:
        case ChangeKind.PENDING, AlarmPhase.OK:
            return change
        case ChangeKind.CLEARED, AlarmPhase.PENDING:
            return replace(change, state=replace(change.state, episode=row.episode))
        case ChangeKind.FIRING, AlarmPhase.OK | AlarmPhase.PENDING if change.state.episode != row.episode:
            return change
        case ChangeKind.RESOLVED, AlarmPhase.FIRING if _may_end(row, change):
            return replace(change, state=_resolved(row, change))
    return Refusal.STALE


def _may_end(row: AlarmState, change: Change) -> bool:
    """An alarm that fires under a newer version of the rule is not ended for the older one."""
    return fired_under(row) <= max(change.rule.version, fired_under(change.state))


def _ended(row: AlarmState, change: Change) -> Change:
    """The end for good: of what the row says, not of what the change believed."""
    match row.phase:
        case AlarmPhase.FIRING:
            return replace(change, kind=ChangeKind.RESOLVED, state=_resolved(row, change))
        case AlarmPhase.PENDING:
            return replace(change, kind=ChangeKind.CLEARED, state=replace(row, phase=AlarmPhase.OK, since=change.time))
    return replace(change, kind=ChangeKind.FORGOTTEN, state=row)


def _resolved(row: AlarmState, change: Change) -> AlarmState:
    return replace(change.state, episode=row.episode, fired_at=row.fired_at, resolved_at=change.time)
