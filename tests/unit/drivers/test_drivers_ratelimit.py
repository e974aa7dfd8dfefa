"""The bucket as properties: never more than burst + rate × time, in order, slower after throttling, back in the end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.drivers.ratelimit import AdaptiveBucket, Pace

paces = st.builds(
    Pace,
    rate=st.floats(0.5, 200),
    burst=st.integers(1, 100),
    floor=st.floats(0.01, 0.5),
    recovery=st.floats(1, 300),
    calm=st.floats(0, 5),
)
steps = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from(["take", "take", "take", "throttled", "told"])), max_size=80
)


def _run(pace: Pace, plan: list[tuple[float, str]]) -> list[float]:
    """The times at which calls were let go."""
    bucket, now, gone = AdaptiveBucket(pace, 0.0), 0.0, []
    for pause, action in plan:
        now += pause
        if action == "take":
            gone.append(now + bucket.take(now))
        else:
            bucket.throttled(now, 2.0 if action == "told" else None)
        assert pace.floor <= bucket.rate(now) <= pace.rate
    return gone


@given(paces, steps)
def test_no_window_has_more_than_burst_and_rate(pace: Pace, plan: list[tuple[float, str]]) -> None:
    gone = _run(pace, plan)
    for i, j in itertools.combinations(range(len(gone)), 2):
        assert j - i + 1 <= pace.burst + pace.rate * (gone[j] - gone[i]) + 1e-6


@given(paces, steps)
def test_calls_go_in_the_order_in_which_they_asked(pace: Pace, plan: list[tuple[float, str]]) -> None:
    gone = _run(pace, plan)
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(gone))


@given(paces, st.integers(1, 50))
def test_a_burst_goes_at_once(pace: Pace, count: int) -> None:
    bucket = AdaptiveBucket(pace, 5.0)
    waits = [bucket.take(5.0) for _ in range(count)]
    assert all(wait <= 1e-9 for wait in waits[: pace.burst])
    assert all(wait > 0 for wait in waits[pace.burst :])


@given(paces)
def test_throttling_halves_once_per_calm_and_creeps_back(pace: Pace) -> None:
    bucket = AdaptiveBucket(pace, 0.0)
    bucket.throttled(10.0)
    half = bucket.rate(10.0)
    assert half == pytest.approx(max(pace.floor, pace.rate / 2))
    bucket.throttled(10.0 + pace.calm * 0.5)
    if pace.calm > 0:
        assert bucket.rate(10.0) == half
    rates = [bucket.rate(10.0 + pace.calm + pace.recovery * share / 10) for share in range(11)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(pace.rate)


def test_retry_after_holds_the_lane_back_but_not_for_ever() -> None:
    pace = Pace(rate=10.0, burst=5, longest_pause=30.0)
    bucket = AdaptiveBucket(pace, 0.0)
    bucket.throttled(0.0, 4.0)
    assert bucket.wait(0.0) == pytest.approx(4.0)
    bucket.throttled(0.0, 3600.0)
    assert bucket.wait(0.0) == pytest.approx(30.0)
    assert bucket.wait(31.0) == 0.0


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": float("nan")}, {"burst": 0}, {"recovery": 0.0}])
def test_senseless_paces_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Pace(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_what_went_out_already_is_charged_up_to_the_longest_pause() -> None:
    bucket = AdaptiveBucket(Pace(rate=10.0, burst=1, floor=0.2, longest_pause=5.0), 0.0)
    bucket.charge(0.0, 20)
    assert bucket.wait(0.0) == pytest.approx(2.0)
    bucket.charge(0.0, 1_000)
    assert bucket.wait(0.0) == pytest.approx(5.0)
    bucket.throttled(0.0, 4.0)
    owed = bucket.wait(0.0)
    bucket.charge(0.0, 1_000)
    assert bucket.wait(0.0) == owed, "a debt that is longer for another reason stays"
