"""Requests between processes over the bus: answered by whom they concern, failed in time, never kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mcisd.bus.memory import MemoryBus
from mcisd.bus.topics import CONTROL
from mcisd.daemon.control import Body, Control, Handler
from mcisd.model.errors import HostCommandError, HostTimeoutError, HostUnreachableError


@asynccontextmanager
async def processes(*names: str) -> AsyncIterator[list[Control]]:
    """That many processes on one bus, listening."""
    bus = MemoryBus()
    controls = [Control(bus, name) for name in names]
    tasks = [asyncio.ensure_future(control.run()) for control in controls]
    await asyncio.sleep(0)
    try:
        yield controls
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for control in controls:
            await control.close()


async def double(body: Body) -> Body | None:
    match body:
        case {"number": int(number)} if number >= 0:
            return {"number": 2 * number}
    return None


async def test_the_one_concerned_answers() -> None:
    async with processes("a", "b") as (one, other):
        other.serve("double", double)
        assert await one.ask("double", {"number": 21}, 5.0) == {"number": 42}


async def test_a_process_answers_itself() -> None:
    async with processes("a") as (only,):
        only.serve("double", double)
        assert await only.ask("double", {"number": 4}, 5.0) == {"number": 8}


async def test_nobody_answers_what_concerns_nobody() -> None:
    async with processes("a", "b") as (one, other):
        other.serve("double", double)
        with pytest.raises(HostTimeoutError, match=r"nobody answered double within 0\.05 s"):
            await one.ask("double", {"number": -1}, 0.05)


async def test_an_error_of_the_other_side_is_told() -> None:
    async def fail(body: Body) -> Body | None:
        raise HostUnreachableError("the link ended")

    async with processes("a", "b") as (one, other):
        other.serve("measure", fail)
        with pytest.raises(HostCommandError, match="the link ended"):
            await one.ask("measure", {}, 5.0)


async def test_everybody_hears_what_is_told_to_all() -> None:
    heard: list[str] = []
    everybody = asyncio.Event()

    def listener(name: str) -> Handler:
        async def hear(body: Body) -> Body | None:
            heard.append(f"{name}:{body['vms']}")
            if len(heard) == 3:
                everybody.set()
            return None

        return hear

    async with processes("a", "b", "c") as controls:
        for control, name in zip(controls, "abc", strict=True):
            control.serve("forget", listener(name))
        await controls[0].tell("forget", {"vms": ["vm-1"]})
        async with asyncio.timeout(5):
            await everybody.wait()
    assert sorted(heard) == ["a:['vm-1']", "b:['vm-1']", "c:['vm-1']"]


@pytest.mark.parametrize("value", [b"", b"nonsense", b"[]", b'{"op": 1}', b'{"re": "x"}'])
async def test_what_is_no_request_is_let_go(value: bytes) -> None:
    bus = MemoryBus()
    control = Control(bus, "a")
    control.serve("double", double)
    running = asyncio.ensure_future(control.run())
    await asyncio.sleep(0)
    await bus.publish(CONTROL.name, "x", value)
    assert await control.ask("double", {"number": 1}, 5.0) == {"number": 2}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await control.close()
