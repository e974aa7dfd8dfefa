"""An aggregator that may have been replaced writes nothing. That the bus is in doubt is emulated."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mcisd.bus.memory import MemorySubscription
from mcisd.collectors import writer as writer_module
from tests.unit.collectors.test_collectors_path import Shared

ALL = frozenset({0})


class Doubt:
    """Whether our partitions may be another's; ``asked`` is how often somebody wanted to know."""

    def __init__(self) -> None:
        self.there = False
        self.asked = 0

    def sure(self) -> bool:
        self.asked += 1
        return not self.there


@pytest.fixture
def doubt(monkeypatch: pytest.MonkeyPatch) -> Doubt:
    doubt = Doubt()

    async def confirm(_: MemorySubscription) -> bool:
        return doubt.sure()

    monkeypatch.setattr(MemorySubscription, "confirm", confirm)
    return doubt


@pytest.fixture
async def path(doubt: Doubt) -> AsyncIterator[Shared]:
    path = Shared()
    await path.say_schema()
    async with path.running():
        yield path


async def test_while_in_doubt_nothing_is_written_and_then_all_is(
    path: Shared, doubt: Doubt, caplog: pytest.LogCaptureFixture
) -> None:
    await path.live_frames(1, 2)
    doubt.there = True
    await path.live_frames(3, 12)
    assert path.store.counts == {}
    assert path.writer.stats.doubts == 1
    doubt.there = False
    await path.clock.advance(2)
    assert path.store.counts == {("vm", 0): 5, ("vm", 10): 5}
    assert caplog.text.count("the bus may have given our partitions to another") == 1


async def test_what_another_has_got_is_never_written_nor_committed(path: Shared, doubt: Doubt) -> None:
    doubt.there = True
    await path.live_frames(1, 12)
    await path.aggregator.lost(ALL)
    doubt.there = False
    await path.clock.advance(60)
    assert path.store.counts == {}
    assert path.safe == []
    assert path.writer.idle
    assert path.writer.stats.given_up == 2


async def test_each_attempt_asks_again(path: Shared, doubt: Doubt) -> None:
    """The process stood still between two attempts."""
    path.store.refuse = True
    await path.live_frames(1, 7)
    assert path.writer.stats.failures
    asked = doubt.asked
    doubt.there, path.store.refuse = True, False
    await path.clock.advance(10)
    assert doubt.asked > asked
    assert path.store.counts == {}
    doubt.there = False
    await path.clock.advance(1)
    assert path.store.counts["vm", 0] == 5


async def test_a_write_under_way_is_cut_off_when_doubt_comes(
    path: Shared, doubt: Doubt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "WATCH_S", 0.02)
    path.store.hang = True
    await path.live_frames(1, 7)
    attempt = path.writer._attempt
    assert attempt is not None
    await asyncio.sleep(0.1)
    assert not attempt.done()
    doubt.there = True
    await asyncio.wait({attempt}, timeout=5)
    assert attempt.cancelled()
    path.store.hang, doubt.there = False, False
    await path.clock.advance(2)
    assert path.store.counts == {("vm", 0): 5}


async def test_one_who_was_replaced_does_not_finish_what_it_writes(path: Shared, doubt: Doubt) -> None:
    path.store.hang = True
    await path.live_frames(1, 7)
    attempt = path.writer._attempt
    assert attempt is not None
    doubt.there = True
    began = asyncio.get_running_loop().time()
    await path.aggregator.lost(ALL)
    assert asyncio.get_running_loop().time() - began < 1.0
    assert attempt.cancelled()
    assert path.safe == []
