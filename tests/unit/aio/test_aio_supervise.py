"""Services and short tasks: restarted when they fail, ended within a bound, failures told once."""

import asyncio
import logging

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.aio.supervise import Service, TaskSet


class Body:
    """A service body that fails as often as told, then runs on."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.runs = 0

    async def __call__(self) -> None:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise OSError("port taken")
        await asyncio.Event().wait()


async def test_a_body_that_fails_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    clock, body = ManualClock(), Body(3)
    service = Service("door", body, clock)
    service.start()
    await clock.advance(0.0)
    assert (service.failures, service.error, service.healthy) == (1, "OSError: port taken", False)
    await clock.advance(60.0)
    assert body.runs == 4
    assert service.healthy
    await service.stop()
    assert [record.message for record in caplog.records] == ["service door went down; restarting it"]


async def test_a_body_that_returns_is_done() -> None:
    async def body() -> None:
        return

    clock = ManualClock()
    service = Service("once", body, clock)
    service.start()
    await clock.advance(60.0)
    assert service.failures == 0
    await service.stop()


async def test_stopping_what_never_began_does_nothing() -> None:
    await Service("idle", Body(0), ManualClock()).stop()


async def test_a_body_that_will_not_end_is_named(caplog: pytest.LogCaptureFixture) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    service = Service("mule", stubborn, ManualClock())
    service.start()
    await asyncio.sleep(0)
    await service.stop(grace=0.01)
    assert "service mule did not stop within 0 s" in caplog.text
    release.set()
    await asyncio.sleep(0)


async def test_short_tasks_are_owned_until_they_end(caplog: pytest.LogCaptureFixture) -> None:
    tasks, ended = TaskSet("steps"), list[str]()

    async def step(name: str, fail: bool) -> None:
        if fail:
            raise ValueError(name)
        ended.append(name)

    with caplog.at_level(logging.ERROR):
        tasks.spawn(step("good", False))
        tasks.spawn(step("bad", True), name="the bad one")
        assert len(tasks) == 2
        for _ in range(3):
            await asyncio.sleep(0)
    assert len(tasks) == 0
    assert ended == ["good"]
    assert "task the bad one failed" in caplog.text


async def test_closing_cancels_what_still_runs() -> None:
    tasks, cancelled = TaskSet("steps"), list[bool]()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    tasks.spawn(endless())
    await asyncio.sleep(0)
    await tasks.close()
    assert cancelled == [True]
    assert len(tasks) == 0
