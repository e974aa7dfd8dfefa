"""The daemon's loop: what a coroutine gives comes back, and cycles are searched for less often."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from mcisd.aio.loop import YOUNG, run_async


@pytest.fixture(autouse=True)
def _own_thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_the_result_comes_back_and_errors_do() -> None:
    async def half(number: int) -> int:
        await asyncio.sleep(0)
        if number % 2:
            raise ValueError(number)
        return number // 2

    assert run_async(half(4)) == 2
    with pytest.raises(ValueError, match="3"):
        run_async(half(3))


def test_cycles_are_searched_for_after_many_objects() -> None:
    async def thresholds() -> tuple[int, int, int]:
        return gc.get_threshold()

    _, *older = gc.get_threshold()
    assert run_async(thresholds()) == (YOUNG, *older)
