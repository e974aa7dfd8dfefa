"""A consumer in a process of its own, to be stopped and woken. In: lines on stdin. Out: what it knows, on stdout.

"confirm" is answered with what ``confirm`` says. What happens to it is told as "gained" and "lost"; when it loses, it
tries to commit what it had read before.
"""

import asyncio
import sys
from dataclasses import replace

from tests.external.kafka_kit import TOPIC, last_of, open_bus

ONE = replace(TOPIC, partitions=1)


class Zombie:
    """Its own handover."""

    def __init__(self) -> None:
        self.read: dict[int, int] = {}

    async def gained(self, partitions: frozenset[int]) -> None:
        print("gained", flush=True)

    async def lost(self, partitions: frozenset[int]) -> None:
        await self.subscription.commit(self.read)
        print("lost", flush=True)

    async def run(self, servers: str, prefix: str) -> None:
        bus = await open_bus(servers, prefix, topic=ONE)
        self.subscription = bus.subscribe("load", "g", from_start=True, handover=self)
        reading = asyncio.ensure_future(self._read())
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while await lines.readline():
            print("confirm", await self.subscription.confirm(), flush=True)
        reading.cancel()

    async def _read(self) -> None:
        """What it reads first it keeps, what comes later is not looked at."""
        self.read = last_of(await self.subscription.fetch())
        print("read", flush=True)


if __name__ == "__main__":
    asyncio.run(Zombie().run(sys.argv[1], sys.argv[2]))
