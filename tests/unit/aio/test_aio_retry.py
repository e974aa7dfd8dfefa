"""Retries: inside one deadline, only what is retriable, never sooner than the other side asked for."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.aio.clock import ManualClock
from mcisd.aio.retry import Backoff, retry
from mcisd.model.errors import CloudAuthError, CloudThrottledError, CloudTransientError, McisdError


class JumpingClock(ManualClock):
    """A clock on which every sleep is over at once; the time it took is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._elapsed += seconds


class Flaky:
    """Fails with the given errors, then answers."""

    def __init__(self, *errors: McisdError) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def attempt(call: Flaky, clock: JumpingClock, deadline: float = 60.0) -> str:
    return await retry(call, clock=clock, deadline=deadline, backoff=Backoff(1.0, 8.0), rng=random.Random(1))


async def test_it_tries_again_with_growing_pauses() -> None:
    clock, call = JumpingClock(), Flaky(*[CloudTransientError("away") for _ in range(5)])
    assert await attempt(call, clock) == "done"
    assert call.calls == 6
    for index, pause in enumerate(clock.slept):
        top = min(8.0, 2.0**index)
        assert top / 2 <= pause <= top


async def test_what_cannot_be_mended_is_raised_at_once() -> None:
    clock, call = JumpingClock(), Flaky(CloudAuthError("no"))
    with pytest.raises(CloudAuthError):
        await attempt(call, clock)
    assert (call.calls, clock.slept) == (1, [])


async def test_retry_after_is_honoured() -> None:
    clock, call = JumpingClock(), Flaky(CloudThrottledError("slow down", retry_after=20.0))
    assert await attempt(call, clock) == "done"
    assert clock.slept == [20.0]


async def test_the_deadline_holds_and_the_last_error_is_raised() -> None:
    clock, call = JumpingClock(), Flaky(*[CloudTransientError(f"away {n}") for n in range(100)])
    with pytest.raises(CloudTransientError, match="away"):
        await attempt(call, clock, deadline=10.0)
    assert sum(clock.slept) < 10.0


@given(attempt=st.integers(0, 10_000), seed=st.integers())
def test_a_pause_is_never_longer_than_the_longest(attempt: int, seed: int) -> None:
    backoff = Backoff(0.5, 30.0)
    assert 0.25 <= backoff.delay(attempt, random.Random(seed)) <= 30.0
