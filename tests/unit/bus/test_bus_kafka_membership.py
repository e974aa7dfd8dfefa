"""How long a consumer may believe that it is in its group. The client library's coordinator is emulated."""

import asyncio
import gc

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError, UnknownMemberIdError

from mcisd.aio.clock import ManualClock
from mcisd.bus.kafka.membership import Membership


class JumpyClock(ManualClock):
    """Its wall clock can jump while the other one stands still, as on a machine that was suspended."""

    jumped = 0.0

    def now(self) -> float:
        return super().now() + self.jumped


class Coordinator:
    """Answers after ``answer_s``; ``alive`` is what it says to a heartbeat."""

    def __init__(self, clock: ManualClock) -> None:
        self.generation = 3
        self.group_id = "g"
        self.alive = True
        self.fails = False
        self.answer_s = 0.0
        self.committed: list[dict[str, int]] = []
        self._clock = clock

    async def _do_heartbeat(self) -> bool:
        await self._clock.sleep(self.answer_s)
        return self.alive

    async def _do_commit_offsets(self, _: object, offsets: dict[str, int]) -> None:
        await self._clock.sleep(self.answer_s)
        if self.fails:
            raise GroupCoordinatorNotAvailableError
        self.committed.append(offsets)


@pytest.fixture
def clock() -> JumpyClock:
    return JumpyClock()


@pytest.fixture
def coordinator(clock: JumpyClock) -> Coordinator:
    return Coordinator(clock)


@pytest.fixture
def membership(clock: JumpyClock, coordinator: Coordinator) -> Membership:
    membership = Membership(clock, 10.0)
    membership.watch(coordinator)
    return membership


def believes(membership: Membership) -> bool:
    return membership.fresh


async def test_heartbeat_is_believed_for_half_the_session(
    clock: JumpyClock, coordinator: Coordinator, membership: Membership
) -> None:
    assert not believes(membership)
    assert await coordinator._do_heartbeat()
    assert believes(membership)
    await clock.advance(4.9)
    assert believes(membership)
    await clock.advance(0.2)
    assert not believes(membership)
    await coordinator._do_heartbeat()
    assert believes(membership)
    membership.forget()
    assert not believes(membership)


async def test_heartbeat_that_was_refused_is_not_believed(coordinator: Coordinator, membership: Membership) -> None:
    coordinator.alive = False
    assert not await coordinator._do_heartbeat()
    assert not believes(membership)


async def test_an_answer_counts_from_when_it_was_asked_for(
    clock: JumpyClock, coordinator: Coordinator, membership: Membership
) -> None:
    """The process stood still between the two: others may have been told in the meantime."""
    coordinator.answer_s = 30.0
    for asking in (coordinator._do_heartbeat(), coordinator._do_commit_offsets(None, {"p": 1})):
        task = asyncio.ensure_future(asking)
        await clock.advance(30.0)
        await task
        assert not believes(membership)


async def test_a_machine_that_was_suspended_believes_nothing(
    clock: JumpyClock, coordinator: Coordinator, membership: Membership
) -> None:
    await coordinator._do_heartbeat()
    clock.jumped = 60.0
    assert not believes(membership)
    await coordinator._do_heartbeat()
    clock.jumped = 0.0
    assert believes(membership), "a wall clock that is set back says nothing"


async def test_commit_of_a_member_is_believed_and_of_one_put_out_not_sent(
    coordinator: Coordinator, membership: Membership
) -> None:
    await coordinator._do_commit_offsets(None, {"p": 1})
    assert believes(membership)
    membership.forget()
    coordinator.generation = -1
    with pytest.raises(UnknownMemberIdError):
        await coordinator._do_commit_offsets(None, {"p": 2})
    assert (coordinator.committed, membership.fresh) == ([{"p": 1}], False)


async def test_commit_that_fails_when_nobody_waits_any_more_is_no_news(
    clock: JumpyClock, coordinator: Coordinator, membership: Membership
) -> None:
    news: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: news.append(context))
    coordinator.answer_s, coordinator.fails = 9.0, True
    caller = asyncio.create_task(shielded(coordinator))
    await clock.advance(1.0)
    caller.cancel()
    await clock.advance(10.0)
    assert caller.cancelled()
    assert not believes(membership)
    del caller
    gc.collect()
    await asyncio.sleep(0)
    assert news == []


async def shielded(coordinator: Coordinator) -> None:
    """As the client library commits."""
    await asyncio.shield(coordinator._do_commit_offsets(None, {"part": 7}))
