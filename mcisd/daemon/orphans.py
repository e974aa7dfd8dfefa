"""The orphan watch: now and then it looks at every cloud for what is ours and unknown here. It tells; it never removes.

In: the connections there are. Out: events (by the inventory) and a count per connection.
"""

import asyncio
import logging

from mcisd.aio.clock import Clock
from mcisd.aio.periodic import every
from mcisd.daemon.inventory import Inventory
from mcisd.daemon.telemetry import Labels
from mcisd.model.errors import CloudUnsupportedError, McisdError
from mcisd.model.records import Connection
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
AT_ONCE = 8
"""Clouds that are looked at at the same time."""
FIRST = 30.0
"""Seconds after the start before the first look, at most."""


class OrphanWatch:
    """``orphans``: connection → how many there were at the last look. A period of 0 means never to look."""

    def __init__(self, store: MetadataStore, inventory: Inventory, clock: Clock, period: float) -> None:
        self.orphans: dict[Labels, float] = {}
        self._store = store
        self._inventory = inventory
        self._clock = clock
        self._period = period

    async def run(self) -> None:
        """Look for ever; the counts are forgotten when it ends, as another process looks then."""
        if not self._period:
            await asyncio.get_running_loop().create_future()
        try:
            await every(self._clock, self._period, self.look, offset=min(FIRST, self._period))
        finally:
            self.orphans = {}

    async def look(self) -> None:
        """Look at all clouds once."""
        async with self._store.reading() as tx:
            names = [connection.name for connection in await tx.find(Connection)]
        room = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(self._one(name, room))
        self.orphans = {key: count for key, count in self.orphans.items() if key[0] in names}

    async def _one(self, name: str, room: asyncio.Semaphore) -> None:
        async with room:
            try:
                found = await self._inventory.look(name)
            except CloudUnsupportedError:
                return
            except McisdError as error:
                log.info("cannot look for orphans at %s: %s", name, error.message)
                return
        self.orphans[name,] = float(sum(one.sure for one in found))
