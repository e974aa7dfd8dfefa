"""Helpers of the tests on a real Kafka: a load that counts what was acknowledged, and a look at what arrived."""

import asyncio
from collections.abc import Callable, Sequence

from mcisd.aio.clock import SystemClock
from mcisd.bus.base import Delivery, Subscription, Topic
from mcisd.bus.kafka import KafkaBus, KafkaLimits, KafkaOptions

LIMITS = KafkaLimits(session_s=10.0, heartbeat_s=0.3, handover_s=5.0)
PATIENCE = 60.0
TOPIC = Topic("load", partitions=4, retention_s=3_600.0)


async def open_bus(servers: str, prefix: str, limits: KafkaLimits = LIMITS, topic: Topic = TOPIC) -> KafkaBus:
    return await KafkaBus.open(KafkaOptions(servers, prefix=prefix, limits=limits), SystemClock(), [topic])


class Load:
    """Publishes numbers with several keys until stopped; each key's next goes when its last was acknowledged."""

    def __init__(self, bus: KafkaBus, keys: int = 6) -> None:
        self.acknowledged: dict[str, int] = {f"k{i}": 0 for i in range(keys)}
        self._bus = bus
        self._going = True
        self._tasks = [asyncio.ensure_future(self._publish(key)) for key in self.acknowledged]

    @property
    def total(self) -> int:
        return sum(self.acknowledged.values())

    async def _publish(self, key: str) -> None:
        while self._going:
            number = self.acknowledged[key]
            await self._bus.publish_all("load", [(key, str(number + i).encode(), {}) for i in range(5)])
            self.acknowledged[key] += 5
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Let each finish its last publish."""
        self._going = False
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._tasks)


class Taken:
    """Reads in the background and notes each key's numbers; commits as it goes if told to."""

    def __init__(self, subscription: Subscription, commit: bool = True) -> None:
        self.numbers: dict[str, list[int]] = {}
        self._subscription = subscription
        self._commit = commit
        self._task = asyncio.ensure_future(self._read())

    @property
    def total(self) -> int:
        return sum(len(set(numbers)) for numbers in self.numbers.values())

    async def _read(self) -> None:
        while True:
            found = await self._subscription.fetch()
            for message in found:
                self.numbers.setdefault(message.key, []).append(int(message.value))
            if self._commit:
                await self._subscription.commit(last_of(found))

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def last_of(messages: Sequence[Delivery]) -> dict[int, int]:
    return {message.partition: message.offset for message in messages}


async def until(holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until something holds, with a bound."""
    async with asyncio.timeout(patience):
        while not holds():  # noqa: ASYNC110 - what holds rings no bell
            await asyncio.sleep(0.02)
