"""The logs behind the embedded bus, and what the bus does beyond the suite."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.bus.base import Topic
from mcisd.bus.log import CompactedLog, RingLog
from mcisd.bus.memory import MemoryBus
from mcisd.bus.topics import ALL
from mcisd.model.errors import InputError


@settings(deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=2), st.just(None)), max_size=60), st.integers(1, 9), st.integers(1, 5))
def test_ring_holds_what_a_list_would(steps: list[bytes | None], size: int, most: int) -> None:
    """Bytes are appended (the oldest goes when it is full), None drops the oldest."""
    log = RingLog("t", size)
    model: list[tuple[int, bytes]] = []
    for step in steps:
        if step is None:
            if model:
                log.drop_first()
                model.pop(0)
            continue
        if log.full:
            log.drop_first()
            model.pop(0)
        model.append((log.append("k", step, {}), step))
        assert [(m.offset, m.value) for m in log.read(0, 100)] == model
        middle = model[len(model) // 2][0]
        assert [(m.offset, m.value) for m in log.read(middle, most)] == [e for e in model if e[0] >= middle][:most]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=2)), max_size=40), st.integers(0, 40))
def test_compacted_log_holds_what_a_dictionary_would(steps: list[tuple[str, bytes]], position: int) -> None:
    log = CompactedLog("t", 4)
    newest: dict[str, tuple[int, bytes]] = {}
    for offset, (key, value) in enumerate(steps):
        newest.pop(key, None)
        if value:  # an empty one is a tombstone
            if len(newest) == 4:
                del newest[next(iter(newest))]
            newest[key] = (offset, value)
        assert log.append(key, value, {}) == offset
    wanted = [(offset, key, value) for key, (offset, value) in newest.items() if offset >= position]
    assert [(m.offset, m.key, m.value) for m in log.read(position, 100)] == wanted
    assert log.first == min((offset for offset, _ in newest.values()), default=len(steps))
    assert not log.full


def test_first_of_a_compacted_log_cannot_be_set() -> None:
    log = CompactedLog("t", 4)
    with pytest.raises(AttributeError):
        log.first = 3


async def test_what_all_groups_have_done_with_is_let_go() -> None:
    bus = MemoryBus([Topic("t", size=10)])
    writer = bus.subscribe("t", "writer", durable=True)
    for _ in range(4):
        await bus.publish("t", "k", b"")
    await writer.fetch()
    await writer.commit({0: 2})
    late = bus.subscribe("t", "late", from_start=True)
    assert [message.offset for message in await late.fetch()] == [3]


async def test_group_that_is_not_durable_misses_what_went_while_it_was_away() -> None:
    bus = MemoryBus([Topic("t", size=2)])
    reader = bus.subscribe("t", "g")
    await bus.publish("t", "k", b"0")
    await reader.commit({0: (await reader.fetch())[0].offset})
    await reader.close()
    for i in range(1, 5):
        await bus.publish("t", "k", str(i).encode())
    again = bus.subscribe("t", "g")
    assert [message.value for message in await again.fetch()] == [b"3", b"4"]
    assert bus.dropped() == {("t", "g"): 2}


async def test_group_without_commits_leaves_nothing_behind() -> None:
    bus = MemoryBus([Topic("t", size=2)])
    await bus.subscribe("t", "passer-by").close()
    await bus.publish("t", "k", b"")
    reader = bus.subscribe("t", "passer-by", from_start=True)
    assert len(await reader.fetch()) == 1


async def test_next_consumer_takes_over_behind_the_last_commit() -> None:
    bus = MemoryBus([Topic("t")])
    first, second = bus.subscribe("t", "g", durable=True), bus.subscribe("t", "g", durable=True)
    for i in range(3):
        await bus.publish("t", "k", str(i).encode())
    await first.commit({0: (await first.fetch(1))[0].offset})
    waiting = asyncio.ensure_future(second.fetch())
    await asyncio.sleep(0)
    assert not waiting.done()
    await first.close()
    assert [message.value for message in await waiting] == [b"1", b"2"]


async def test_commit_beyond_the_end_counts_as_the_end() -> None:
    bus = MemoryBus([Topic("t")])
    reader = bus.subscribe("t", "g", durable=True)
    await reader.commit({0: 99})
    await bus.publish("t", "k", b"first")
    assert [message.value for message in await reader.fetch()] == [b"first"]


async def test_what_is_not_declared_or_does_not_fit_is_said() -> None:
    bus = MemoryBus()
    assert {topic.name for topic in ALL} == {"metrics", "schemas", "identities", "groups", "control", "events"}
    with pytest.raises(InputError, match="no topic"):
        await bus.publish("metric", "k", b"")
    bus.subscribe("metrics", "g", durable=True)
    with pytest.raises(InputError, match="durable"):
        bus.subscribe("metrics", "g")
