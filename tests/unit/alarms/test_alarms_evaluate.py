"""Rates, columns and windows against the plain definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.alarms.evaluate import BUCKETS, Rate, Window, across_columns, combine
from mcisd.model.alarms import Aggregation

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80)


@given(NUMBERS, st.sampled_from(list(Aggregation)), st.integers(1, 60))
def test_a_window_is_the_aggregate_of_the_samples_in_it(values: list[float], how: Aggregation, span: int) -> None:
    window = Window(float(span))
    for i, value in enumerate(values):
        got = window.feed(float(i), value, how)
        if i < span:
            assert got is None
            continue
        want = combine(values[i - span + 1 : i + 1], how)
        assert want is not None
        assert got == pytest.approx(want, rel=1e-9, abs=1e-6)


def test_a_window_is_bounded_whatever_the_rate_of_samples() -> None:
    window = Window(60.0)
    for i in range(20_000):
        window.feed(i / 100, 1.0, Aggregation.AVG)
        assert len(window) <= BUCKETS + 1
    assert window.feed(200.0, 1.0, Aggregation.AVG) == pytest.approx(1.0)


def test_a_window_shorter_than_the_interval_still_speaks() -> None:
    window = Window(1.0)
    got = [window.feed(2.0 * i, float(i), Aggregation.MAX) for i in range(4)]
    assert got == [None, 1.0, 2.0, 3.0]


def test_after_a_gap_of_a_whole_span_a_window_begins_anew() -> None:
    window = Window(20.0)
    for i in range(11):
        window.feed(2.0 * i, 100.0, Aggregation.AVG)
    assert window.feed(100.0, 1.0, Aggregation.AVG) is None
    assert window.feed(110.0, 1.0, Aggregation.AVG) is None
    assert window.feed(120.0, 1.0, Aggregation.AVG) == pytest.approx(1.0)


def test_a_counter_becomes_its_increase_per_second() -> None:
    rate = Rate()
    got = [rate.feed(t, v) for t, v in [(0, 100), (2, 300), (4, 300), (6, 50), (8, 250), (10, math.nan), (12, 300)]]
    assert got == pytest.approx([math.nan, 100.0, 0.0, math.nan, 100.0, math.nan, math.nan], nan_ok=True)


def test_several_columns_become_the_worst_or_the_aggregate() -> None:
    values = [10.0, math.nan, 90.0]
    assert across_columns(values, Aggregation.LAST, True) == 90.0
    assert across_columns(values, Aggregation.LAST, False) == 10.0
    assert across_columns(values, Aggregation.AVG, True) == 50.0
    assert across_columns([math.nan], Aggregation.MAX, True) is None
