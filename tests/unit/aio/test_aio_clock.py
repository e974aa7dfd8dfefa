"""The clock that stands still until it is told: order of sleepers, chains of sleeps, time that does not go back."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.aio.clock import ManualClock, SystemClock
from mcisd.aio.periodic import every, phase


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = ManualClock(), list[float]()

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (3.0, 1.0, 2.0, 9.0):
            group.create_task(sleeper(seconds))
        await clock.advance(2.5)
        assert woken == [1.0, 2.0]
        assert clock.monotonic() == 2.5
        await clock.advance(6.5)
    assert woken == [1.0, 2.0, 3.0, 9.0]


async def test_a_chain_of_sleeps_runs_within_one_advance() -> None:
    clock, seen = ManualClock(100.0), list[float]()

    async def chain() -> None:
        for _ in range(3):
            await clock.sleep(2.0)
            seen.append(clock.now())

    async with asyncio.TaskGroup() as group:
        group.create_task(chain())
        await clock.advance(10.0)
    assert seen == [102.0, 104.0, 106.0]


async def test_a_cancelled_sleeper_is_passed_over() -> None:
    clock = ManualClock()
    task = asyncio.ensure_future(clock.sleep(1.0))
    await asyncio.sleep(0)
    task.cancel()
    await clock.advance(2.0)
    assert task.cancelled()
    assert clock.monotonic() == 2.0


async def test_no_sleep_yields_once() -> None:
    clock, steps = ManualClock(), list[str]()

    async def other() -> None:
        steps.append("other")

    task = asyncio.ensure_future(other())
    await clock.sleep(0)
    steps.append("me")
    await task
    assert steps == ["other", "me"]


async def test_the_system_clock_is_the_time() -> None:
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 1.0
    before = clock.monotonic()
    await clock.sleep(-5.0)
    assert 0 <= clock.monotonic() - before < 1.0


async def test_periodic_work_does_not_overlap_and_skips_what_it_missed() -> None:
    clock, begun = ManualClock(), list[float]()

    async def work() -> None:
        begun.append(clock.monotonic())
        if len(begun) == 2:
            await clock.sleep(25.0)  # longer than two intervals

    task = asyncio.ensure_future(every(clock, 10.0, work, offset=3.0))
    await clock.advance(60.0)
    task.cancel()
    await asyncio.wait({task})
    assert begun == [3.0, 13.0, 43.0, 53.0]


async def test_periodic_work_that_fails_ends_the_loop() -> None:
    async def work() -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await every(ManualClock(), 10.0, work)


@given(name=st.text(), interval=st.floats(0.001, 1e6))
def test_phases_are_stable_and_within_the_interval(name: str, interval: float) -> None:
    assert 0 <= phase(name, interval) < interval
    assert phase(name, interval) == phase(name, interval)


def test_phases_spread() -> None:
    tenths = {int(phase(f"vm-{i}", 10.0)) for i in range(200)}
    assert tenths == set(range(10))
