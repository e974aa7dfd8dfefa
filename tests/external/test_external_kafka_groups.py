"""Groups on a real broker, where it matters who has which partition at the moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mcisd.bus.kafka import KafkaBus
from tests.external.kafka_kit import LIMITS, TOPIC, last_of, open_bus, until

pytestmark = pytest.mark.engines


@pytest.fixture
async def bus(kafka_servers: str, kafka_prefix: str) -> AsyncIterator[KafkaBus]:
    """Its topic has one partition, so one consumer has all or nothing; handing over may take two seconds."""
    opened = await open_bus(kafka_servers, kafka_prefix, replace(LIMITS, handover_s=2.0), replace(TOPIC, partitions=1))
    yield opened
    await opened.close()


class Hands:
    """A handover that notes what happens; ``lose_for`` is how long losing takes."""

    def __init__(self, lose_for: float = 0.0) -> None:
        self.owned: frozenset[int] = frozenset()
        self.story: list[str] = []
        self._lose_for = lose_for

    async def gained(self, partitions: frozenset[int]) -> None:
        self.owned = partitions
        self.story.append("gained")

    async def lost(self, partitions: frozenset[int]) -> None:
        self.story.append("losing")
        await asyncio.sleep(self._lose_for)
        self.owned = frozenset()
        self.story.append("lost")


async def numbers(bus: KafkaBus, begin: int, end: int) -> None:
    await bus.publish_all("load", [("k", str(i).encode(), {}) for i in range(begin, end)])


async def test_commit_of_one_who_has_nothing_is_left_out(bus: KafkaBus) -> None:
    hands = Hands(), Hands()
    first = bus.subscribe("load", "g", handover=hands[0])
    await numbers(bus, 0, 5)
    found = list(await first.fetch())
    second = bus.subscribe("load", "g", handover=hands[1])
    await until(lambda: "lost" in hands[0].story and bool(hands[0].owned) != bool(hands[1].owned))
    idle = second if hands[0].owned else first
    await idle.commit(last_of(found))
    await first.close()
    await second.close()
    assert [message.value for message in await bus.subscribe("load", "g").fetch()] == [b"0", b"1", b"2", b"3", b"4"]


async def test_who_can_wait_is_told_many_at_once(bus: KafkaBus) -> None:
    reader = bus.subscribe("load", "g", gather_s=0.5)
    sending = asyncio.create_task(one_by_one(bus, 60))
    answers = [await reader.fetch()]
    while sum(len(answer) for answer in answers) < 60:
        answers.append(await reader.fetch())
    await sending
    assert [int(message.value) for answer in answers for message in answer] == list(range(60))
    assert len(answers) < 30


async def one_by_one(bus: KafkaBus, count: int) -> None:
    """Each is safe before the next is sent, so without waiting each would be an answer of its own."""
    for number in range(count):
        await numbers(bus, number, number + 1)


async def test_an_older_commit_does_not_turn_the_group_back(bus: KafkaBus) -> None:
    reader = bus.subscribe("load", "g")
    await numbers(bus, 0, 5)
    await reader.fetch()
    await reader.commit({0: 4})
    await reader.commit({0: 1})
    await reader.close()
    await numbers(bus, 5, 6)
    assert [message.value for message in await bus.subscribe("load", "g").fetch()] == [b"5"]


async def test_handing_over_is_bounded_in_time(bus: KafkaBus, caplog: pytest.LogCaptureFixture) -> None:
    hands = Hands(lose_for=60.0), Hands()
    reader = bus.subscribe("load", "g", handover=hands[0])
    await until(lambda: hands[0].story == ["gained"])
    bus.subscribe("load", "g", handover=hands[1])
    await until(lambda: "losing" in hands[0].story)
    await until(lambda: len(hands[0].story) + len(hands[1].story) > 2, patience=10.0)
    assert "partitions were not given back in 2 s" in caplog.text
    assert "lost" not in hands[0].story
    await numbers(bus, 0, 1)
    await reader.close()


async def test_what_goes_wrong_in_a_handover_comes_out_of_fetch_and_reading_goes_on(bus: KafkaBus) -> None:
    class Clumsy(Hands):
        async def gained(self, partitions: frozenset[int]) -> None:
            await super().gained(partitions)
            if self.story == ["gained"]:
                raise ValueError("dropped it")

    hands = Clumsy()
    reader = bus.subscribe("load", "g", handover=hands)
    await numbers(bus, 0, 3)
    with pytest.raises(ValueError, match="dropped it"):
        await reader.fetch()
    assert [message.value for message in await reader.fetch()] == [b"0", b"1", b"2"]
    assert hands.story[:4] == ["gained", "losing", "lost", "gained"]


async def test_look_back_reaches_as_far_as_asked(bus: KafkaBus) -> None:
    reader = bus.subscribe("load", "g")
    await numbers(bus, 0, 3)
    await reader.commit(last_of(await reader.fetch()))
    await asyncio.sleep(1.5)
    await numbers(bus, 3, 5)
    await reader.commit(last_of(await reader.fetch()))
    await reader.close()
    await numbers(bus, 5, 6)
    again = bus.subscribe("load", "g", look_back=lambda: 1.4)
    assert [(message.value, message.again) for message in await again.fetch()] == [
        (b"3", True),
        (b"4", True),
        (b"5", False),
    ]
