"""Rates: never negative, never a spike."""

import math
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.collectors.rates import MOST_MS, RatedSchema, Rates, per_second, quiet
from mcisd.model.samples import Column, Schema

SCHEMA = RatedSchema(
    Schema.of((Column("net", "bytes", (("if", "a"),), "c"), Column("cpu", "usage", (), "g"), Column("x", "n", (), "c")))
)


def packed(*values: float) -> bytes:
    return np.array(values, "<f8").tobytes()


def test_rate_columns_stand_behind_the_measured_ones() -> None:
    names = [(c.field, c.kind) for c in SCHEMA.full.columns]
    assert names == [("bytes", "c"), ("usage", "g"), ("n", "c"), ("bytes_rate", "r"), ("n_rate", "r")]
    assert SCHEMA.full.columns[3].tags == (("if", "a"),)
    assert SCHEMA.width == 3


def test_schema_without_counters_stays_as_it_is() -> None:
    schema = RatedSchema(Schema.of((Column("cpu", "usage", (), "g"),)))
    assert schema.full is schema.measured
    assert Rates().extend(schema, 1, packed(1.0)) == packed(1.0)


def test_rate_that_the_agent_measures_itself_is_not_made_again() -> None:
    columns = (Column("net", "b", (), "c"), Column("net", "b_rate", (), "g"))
    assert RatedSchema(Schema.of(columns)).full.columns == columns


def test_extend_gives_rates_from_the_second_frame_on() -> None:
    rates = Rates()
    first = np.frombuffer(rates.extend(SCHEMA, 1_000, packed(10.0, 5.0, 0.0)))
    second = np.frombuffer(rates.extend(SCHEMA, 3_000, packed(30.0, 6.0, 1.0)))
    assert np.isnan(first[3:]).all()
    assert second.tolist() == [30.0, 6.0, 1.0, 10.0, 0.5]


def test_extend_begins_anew_with_another_schema() -> None:
    rates, other = Rates(), RatedSchema(Schema.of((Column("net", "bytes", (), "c"),)))
    rates.extend(SCHEMA, 1_000, packed(10.0, 5.0, 0.0))
    assert np.isnan(np.frombuffer(rates.extend(other, 3_000, packed(30.0)))[1])


def test_reset_gives_no_rate_and_the_next_tick_does() -> None:
    rates = Rates()
    seen = [
        np.frombuffer(rates.extend(SCHEMA, at, packed(value, 0.0, 0.0)))[3]
        for at, value in ((0, 1e9), (2_000, 10.0), (4_000, 30.0))
    ]
    assert np.isnan(seen[:2]).all()
    assert seen[2] == 10.0


ANY = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None)
@given(ANY, ANY, st.integers(-(10**12), 10**12))
def test_never_negative_and_never_infinite(previous: float, current: float, elapsed: int) -> None:
    with quiet():
        rate = per_second(np.array([previous]), np.array([current]), elapsed)[0]
    assert np.isnan(rate) or (rate >= 0 and np.isfinite(rate))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(-5_000, 100_000), st.booleans()), min_size=2, max_size=30))
def test_no_spike_at_resets_and_clock_jumps(ticks: list[tuple[int, int, bool]]) -> None:
    """True ticks are 2 s apart with at most 1000 units each; the clock jumps, the counter starts anew at will.

    What is believed then lies at most a factor of two above the truth: half the interval is the shortest distance.
    """
    rates, clock, counter = Rates(interval_ms=2_000), 1_000_000, 0
    for increase, jump, reset in ticks:
        counter = increase if reset else counter + increase
        clock += 2_000 + jump
        rate = np.frombuffer(rates.extend(SCHEMA, clock, packed(float(counter), 0.0, 0.0)))[3]
        assert np.isnan(rate) or 0 <= rate <= 1_000 / 1.0


def plain(previous: float, current: float, elapsed_ms: int, interval_ms: int) -> float:
    """A rate in plain words, to hold the quick ways against."""
    if not max(1, interval_ms // 2) <= elapsed_ms <= max(MOST_MS, 2 * interval_ms):
        return math.nan
    rate = (current - previous) * (1000.0 / elapsed_ms)
    return rate if 0 <= rate < math.inf else math.nan


COUNT = st.one_of(ANY, st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308]), st.floats(0, 1e12))
TICK = st.tuples(st.integers(-3_000, 200_000), st.tuples(COUNT, COUNT, COUNT))


@settings(deadline=None)
@given(st.lists(TICK, min_size=1, max_size=12), st.sampled_from([0, 2_000, 60_000]), st.integers(0, 12))
def test_many_at_once_come_out_as_one_by_one_and_as_in_plain_words(
    ticks: list[tuple[int, tuple[float, float, float]]], interval_ms: int, first: int
) -> None:
    times = [1_000_000 + sum(step for step, _ in ticks[:i]) for i in range(1, len(ticks) + 1)]
    frames = [packed(*values) for _, values in ticks]
    single, several = Rates(interval_ms), Rates(interval_ms)
    with quiet():
        one_by_one = [single.extend(SCHEMA, at, frame) for at, frame in zip(times, frames, strict=True)]
        at_once = several.extend_all(SCHEMA, times[:first], frames[:first])
        at_once += several.extend_all(SCHEMA, times[first:], frames[first:])
    assert at_once == one_by_one
    rates = [np.frombuffer(frame)[3:].tolist() for frame in one_by_one]
    expected = [[math.nan, math.nan]]
    for (before, (_, last)), (after, (_, now)) in pairwise(zip(times, ticks, strict=True)):
        expected.append([plain(last[i], now[i], after - before, interval_ms) for i in (0, 2)])
    assert repr(rates) == repr(expected)


def test_frames_too_far_apart_give_no_rate() -> None:
    zero, one = np.zeros(1), np.ones(1)
    assert per_second(zero, one, MOST_MS)[0] == 1000.0 / MOST_MS
    assert np.isnan(per_second(zero, one, MOST_MS + 1)[0])
    assert per_second(zero, one, 100_000, interval_ms=100_000)[0] == 0.01
