"""The bounded queue: first in first out, its three ways of being full, closing, and wake-ups that are never lost."""

import asyncio
import itertools
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.aio.queue import BoundedQueue, QueueClosedError
from mcisd.aio.signal import Signal


@given(st.integers(1, 5), st.lists(st.sampled_from(["offer", "push", "get"]), max_size=60))
def test_it_is_a_deque_with_a_bound(size: int, steps: list[str]) -> None:
    queue: BoundedQueue[int] = BoundedQueue(size)
    model: deque[int] = deque()
    numbers = itertools.count()
    dropped = 0

    async def play() -> None:
        nonlocal dropped
        for step in steps:
            if step == "offer":
                number = next(numbers)
                taken = queue.offer(number)
                assert taken == (len(model) < size)
                model.extend([number] if taken else [])
            elif step == "push":
                full = len(model) == size
                expected = model.popleft() if full else None
                dropped += full
                number = next(numbers)
                assert queue.push(number) == expected
                model.append(number)
            elif model:
                assert await queue.get() == model.popleft()
            assert len(queue) == len(model) <= size
            assert queue.dropped == dropped

    asyncio.run(play())


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        BoundedQueue[int](0)


async def test_put_waits_for_room_and_keeps_the_order() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    got: list[int] = []
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(queue.put(number))
        await asyncio.sleep(0)
        assert len(queue) == 1
        for _ in range(4):
            got.append(await queue.get())  # noqa: PERF401 - the awaits are the point
    assert got == [0, 1, 2, 3]


async def test_get_many_takes_what_is_there() -> None:
    queue: BoundedQueue[int] = BoundedQueue(10)
    for number in range(5):
        queue.offer(number)
    assert await queue.get_many(3) == [0, 1, 2]
    assert await queue.get_many(10) == [3, 4]


async def test_a_wake_up_given_to_a_cancelled_reader_reaches_the_next() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    first, second = asyncio.ensure_future(queue.get()), asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.offer(7)  # wakes the first, which is cancelled before it runs
    first.cancel()
    assert await asyncio.wait_for(second, 1.0) == 7
    assert first.cancelled()


async def test_room_given_to_a_cancelled_writer_reaches_the_next() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    queue.offer(0)
    first, second = asyncio.ensure_future(queue.put(1)), asyncio.ensure_future(queue.put(2))
    await asyncio.sleep(0)
    assert await queue.get() == 0
    first.cancel()
    await asyncio.wait_for(second, 1.0)
    assert await queue.get() == 2


async def test_closing_lets_readers_finish_and_refuses_writers() -> None:
    queue: BoundedQueue[int] = BoundedQueue(3)
    queue.offer(1)
    queue.offer(2)
    queue.close()
    assert queue.closed
    with pytest.raises(QueueClosedError):
        queue.offer(3)
    assert [item async for item in queue] == [1, 2]
    with pytest.raises(QueueClosedError):
        await queue.get()


async def test_closing_wakes_all_who_wait() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    readers = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()
    done = await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), 1.0)
    assert [type(result) for result in done] == [QueueClosedError] * 3


async def test_a_signal_set_before_the_wait_is_not_lost() -> None:
    signal = Signal()
    signal.set()
    signal.set()
    assert await signal.wait(0.0)
    assert not await signal.wait(0.0)
