"""The laws of the life cycle, for any sequence of samples."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.alarms.lifecycle import Change, ChangeKind, end, fired_under, heard, silent, step
from mcisd.alarms.rule import Condition
from mcisd.model.alarms import AlarmPhase, AlarmRule, AlarmState, Comparison
from tests.unit.alarms.alarms_kit import NAN, START, rule, runs, state

Samples = list[tuple[float, float]]
VALUES = st.sampled_from([10.0, 65.0, 70.0, 75.0, 80.0, 85.0, 97.0, NAN])
ORDERED = st.lists(st.tuples(st.integers(1, 8), VALUES), max_size=60)
UNORDERED = st.lists(st.tuples(st.integers(0, 60).map(lambda s: START + s), VALUES), max_size=60)
RULES = st.builds(
    lambda for_s, recovery: rule(for_s=for_s, recovery=recovery),
    st.sampled_from([0.0, 2.0, 7.0, 10.0]),
    st.sampled_from([None, 70.0, 80.0]),
)


class Life:
    """Drives the pure step as a track does."""

    def __init__(self, of: AlarmRule, begin: AlarmState | None = None) -> None:
        self.rule, self.state = of, begin or state(of)
        self.seen = self.state.since
        self.changes: list[Change] = []

    def feed(self, samples: Samples) -> "Life":
        for time, value in samples:
            change = step(self.state, self.seen, self.rule, Condition.of(self.rule), time, value)
            self.seen = max(self.seen, time)
            if change is not None:
                self.state = change.state
                self.changes.append(change)
        return self

    @property
    def kinds(self) -> list[str]:
        return [change.kind.value for change in self.changes]


def ordered(steps: list[tuple[int, float]]) -> Samples:
    time, samples = START, []
    for gap, value in steps:
        time += gap
        samples.append((time, value))
    return samples


@given(RULES, UNORDERED)
def test_firing_and_resolved_alternate_and_each_firing_is_an_episode(of: AlarmRule, samples: Samples) -> None:
    changes = Life(of).feed(samples).changes
    told = [c for c in changes if c.kind.message is not None]
    assert [c.kind for c in told] == [ChangeKind.FIRING, ChangeKind.RESOLVED] * (len(told) // 2) + (
        [ChangeKind.FIRING] if len(told) % 2 else []
    )
    fired = [c.state.episode for c in told if c.kind is ChangeKind.FIRING]
    ended = [c.state.episode for c in told if c.kind is ChangeKind.RESOLVED]
    assert len(set(fired)) == len(fired)
    assert ended == fired[: len(ended)]


@given(RULES, ORDERED)
def test_it_fires_only_when_the_condition_held_for_as_long_as_asked(
    of: AlarmRule, steps: list[tuple[int, float]]
) -> None:
    samples = ordered(steps)
    for change in Life(of).feed(samples).changes:
        if change.kind is ChangeKind.FIRING:
            tail = [(t, v) for t, v in samples if t <= change.time and v == v]
            held = START
            for time, value in reversed(tail):
                if not value > of.threshold:
                    break
                held = time
            assert change.time - held >= of.for_s


@given(RULES, ORDERED)
def test_it_resolves_only_past_the_recovery_threshold(of: AlarmRule, steps: list[tuple[int, float]]) -> None:
    life = Life(of)
    for sample in ordered(steps):
        before = life.state.phase
        life.feed([sample])
        if before is AlarmPhase.FIRING:
            recovery = of.threshold if of.recovery is None else of.recovery
            assert (life.state.phase is AlarmPhase.OK) == (sample[1] <= recovery)


@given(RULES, ORDERED, st.integers(0, 60))
def test_samples_that_come_again_change_nothing(of: AlarmRule, steps: list[tuple[int, float]], cut: int) -> None:
    samples = ordered(steps)
    life = Life(of).feed(samples)
    before, count = life.state, len(life.changes)
    life.feed(samples[cut:] + samples)
    assert (life.state, len(life.changes)) == (before, count)


@given(RULES, ORDERED, st.integers(0, 60), st.integers(0, 60))
def test_a_restart_anywhere_with_samples_read_again_gives_the_same_changes(
    of: AlarmRule, steps: list[tuple[int, float]], cut: int, again: int
) -> None:
    samples = ordered(steps)
    whole = Life(of).feed(samples).changes
    first = Life(of).feed(samples[:cut])
    second = Life(of, replace(first.state)).feed(samples[max(0, cut - again) :])
    assert [(c.kind, c.state) for c in first.changes + second.changes] == [(c.kind, c.state) for c in whole]


@pytest.mark.parametrize("comparison", list(Comparison))
def test_each_comparison_fires_and_recovers_on_its_side(comparison: Comparison) -> None:
    up = comparison in (Comparison.GT, Comparison.GE)
    bad, good = (90.0, 10.0) if up else (10.0, 90.0)
    on_edge = comparison in (Comparison.GE, Comparison.LE)
    life = Life(rule(comparison=comparison)).feed(runs([good, bad, good, 80.0]))
    assert life.kinds == ["firing", "resolved"] + (["firing"] if on_edge else [])


def test_pending_that_does_not_hold_is_cleared_without_a_message() -> None:
    life = Life(rule(for_s=10.0)).feed(runs([90, 90, 10, 90]))
    assert life.kinds == ["pending", "cleared", "pending"]
    assert all(change.kind.message is None for change in life.changes)


def test_no_value_keeps_the_state() -> None:
    life = Life(rule(for_s=4.0)).feed(runs([90, NAN, 90, NAN, NAN]))
    assert life.kinds == ["pending", "firing"]
    assert life.state.fired_at == START + 4


def test_silence_fires_once_and_the_next_sample_resolves() -> None:
    of = rule(no_data_s=6.0)
    fired = silent(state(of), of, START)
    assert fired is not None
    assert silent(fired.state, of, START + 1) is None
    resolved = heard(fired.state, of, START + 2)
    assert resolved is not None
    assert (resolved.kind, resolved.state.episode) == (ChangeKind.RESOLVED, fired.state.episode)
    assert heard(resolved.state, of, START + 3) is None


def test_the_end_of_a_rule_resolves_what_fires_and_clears_what_is_pending() -> None:
    firing, pending = Life(rule()).feed(runs([90])), Life(rule(for_s=9.0)).feed(runs([90]))
    resolved = end(firing.state, rule(), START + 5, "rule removed", last=True)
    cleared = end(pending.state, rule(), START + 5, "rule changed", last=False)
    assert resolved is not None
    assert (resolved.kind, resolved.reason, resolved.last) == (ChangeKind.RESOLVED, "rule removed", True)
    assert cleared is not None
    assert cleared.kind is ChangeKind.CLEARED
    assert end(state(), rule(), START, "rule changed", last=False) is None


def test_the_episode_tells_the_version_of_the_rule_it_fired_under() -> None:
    assert fired_under(Life(rule(version=7)).feed(runs([90])).state) == 7
    assert fired_under(state()) == 0
