"""Locks by key."""

import asyncio
import gc

from mcisd.drivers.turns import Turns


async def test_turns_are_by_token_and_leave_nothing() -> None:
    turns, inside, most = Turns(), 0, 0

    async def work(token: str) -> None:
        nonlocal inside, most
        async with turns.of(token):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work("a") for _ in range(5)))
    assert most == 1
    await asyncio.gather(*(work(str(n)) for n in range(5)))
    assert most == 5
    assert len(turns._locks) == 0


async def test_a_turn_whose_owner_is_cancelled_is_passed_on() -> None:
    turns = Turns()

    async def hold() -> None:
        async with turns.of("a"):
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiter = asyncio.create_task(hold())
    await asyncio.sleep(0)
    holder.cancel()
    waiter.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    async with asyncio.timeout(1), turns.of("a"):
        assert len(turns._locks) == 1
    del holder, waiter  # whose tracebacks hold the lock, as does this wake-up
    await asyncio.sleep(0)
    gc.collect()
    assert len(turns._locks) == 0
