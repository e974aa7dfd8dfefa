"""What a change means for the row that is stored, case by case; and how far a consumer has come."""

from dataclasses import replace

import pytest

from mcisd.alarms.guard import Refusal, admit
from mcisd.alarms.lifecycle import Change, ChangeKind, end, step
from mcisd.alarms.progress import Progress
from mcisd.alarms.rule import Condition
from mcisd.model.alarms import AlarmPhase, AlarmRule, AlarmState
from tests.unit.alarms.alarms_kit import START, rule, state


def moved(of: AlarmRule, begin: AlarmState, at: float, value: float) -> Change:
    change = step(begin, 0.0, of, Condition.of(of), START + at, value)
    assert change is not None
    return change


OF = rule()
OK = replace(state(OF), since=START, version=3)
FIRED = moved(OF, OK, 10, 90.0)
OTHER = moved(OF, OK, 12, 95.0)
OVER = moved(OF, FIRED.state, 20, 10.0)
PENDING = moved(rule(for_s=9.0), OK, 10, 90.0)
CLEARED = moved(rule(for_s=9.0), PENDING.state, 12, 10.0)
STALE, WRITTEN = Refusal.STALE, Refusal.WRITTEN


@pytest.mark.parametrize(
    ("row", "change", "expected"),
    [
        (None, FIRED, FIRED),
        (OK, FIRED, FIRED),
        (PENDING.state, FIRED, FIRED),
        (FIRED.state, FIRED, WRITTEN),
        (FIRED.state, OTHER, STALE),
        (FIRED.state, PENDING, STALE),
        (FIRED.state, OVER, OVER),
        (OVER.state, OVER, WRITTEN),
        (OVER.state, FIRED, STALE),
        (OK, OVER, STALE),
        (None, OVER, STALE),
        (OK, PENDING, PENDING),
        (PENDING.state, PENDING, WRITTEN),
        (PENDING.state, CLEARED, CLEARED),
        (FIRED.state, CLEARED, STALE),
        (replace(OVER.state, since=FIRED.time), FIRED, STALE),
    ],
)
def test_a_change_is_admitted_once_and_in_order(
    row: AlarmState | None, change: Change, expected: Change | Refusal
) -> None:
    assert admit(row, change) == expected


def test_the_end_of_an_episode_that_another_process_began_ends_that_one() -> None:
    found = admit(FIRED.state, moved(OF, OTHER.state, 20, 10.0))
    assert isinstance(found, Change)
    assert (found.kind, found.state.episode, found.state.fired_at) == (
        ChangeKind.RESOLVED,
        FIRED.state.episode,
        FIRED.time,
    )


def test_an_alarm_of_a_newer_version_of_the_rule_is_not_ended_for_the_older() -> None:
    newer = moved(rule(version=2), replace(OK, since=START + 30), 31, 90.0)
    late = end(FIRED.state, OF, START + 40, "rule changed", last=False)
    assert late is not None
    assert admit(newer.state, late) is STALE


@pytest.mark.parametrize(
    ("row", "kind"),
    [(FIRED.state, ChangeKind.RESOLVED), (PENDING.state, ChangeKind.CLEARED), (OK, ChangeKind.FORGOTTEN)],
)
def test_the_end_for_good_is_that_of_what_is_stored(row: AlarmState, kind: ChangeKind) -> None:
    gone = end(FIRED.state, OF, START + 40, "rule removed", last=True)
    assert gone is not None
    found = admit(row, gone)
    assert isinstance(found, Change)
    assert (found.kind, found.last, found.state.episode) == (kind, True, row.episode)
    assert found.state.phase is AlarmPhase.OK
    assert admit(None, gone) is WRITTEN


def test_a_position_is_safe_when_what_followed_is_written() -> None:
    progress = Progress()
    progress.note({0: 5}, 0)
    progress.note({1: 7}, 2)
    progress.note({0: 9}, 2)
    progress.note({0: 11}, 3)
    assert progress.take(1) == {0: 5}
    assert progress.take(1) == {}
    assert progress.take(2) == {1: 7, 0: 9}
    progress.forget(frozenset({0}))
    assert progress.take(3) == {}
    assert not progress
