"""One consumer of a group of the alarms, with a judge for each partition that is ours. Deliveries come in, work goes to
the judges, positions go back to the bus once all that followed is stored.

A partition that comes gets a judge from what is stored; one that goes has its changes written and its position
committed before another process takes over, within a bound: what is then still unwritten is judged again there.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from mcisd.aio.clock import Clock
from mcisd.alarms.bell import Bell
from mcisd.alarms.ledger import Ledger
from mcisd.alarms.ports import Bus, Delivered, Feed
from mcisd.alarms.progress import Progress
from mcisd.model.errors import McisdError

log = logging.getLogger(__name__)
MOST = 2000
COMMIT_S = 0.5
LOST_S = 2.0
J = TypeVar("J")
Make = Callable[[frozenset[int]], Awaitable[Mapping[int, J]]]
Work = Callable[[Sequence[tuple[J, list[Delivered]]]], Awaitable[int]]


class Consumer(Generic[J]):
    """Implements the bus's handover. ``make`` gives judges for partitions; ``work`` has them judge and answers with the
    ledger's mark, ``done`` tells of a judge whether all it was given is judged."""

    def __init__(
        self,
        topic: str,
        *,
        ledger: Ledger,
        clock: Clock,
        make: Make[J],
        work: Work[J],
        done: Callable[[J], bool] = lambda judge: True,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self.judges: dict[int, J] = {}
        self.reached: dict[int, int] = {}
        self.topic = topic
        self._ledger, self._clock = ledger, clock
        self._make, self._work, self._done, self._opened = make, work, done, opened
        self._coming: dict[int, object] = {}
        self._progress = Progress()
        self._turn, self._opening = asyncio.Lock(), asyncio.Lock()
        self._came, self._moved = Bell(clock), Bell(clock)
        self._feed: Feed | None = None
        self.working = False

    @property
    def idle(self) -> bool:
        """Nothing that was read is still to be judged, no partition still to be taken over."""
        return not self.working and not self._coming and all(self._done(judge) for judge in self.judges.values())

    def join(self, bus: Bus, group: str, look_back: Callable[[], float]) -> None:
        self._feed = bus.subscribe(self.topic, group, handover=self, look_back=look_back)

    async def close(self) -> None:
        """Leave the group, having handed over what is ours."""
        if self._feed is not None:
            await self._feed.close()

    async def gained(self, partitions: frozenset[int]) -> None:
        for partition in partitions:
            self.judges.pop(partition, None)
            self._coming[partition] = object()
        self._came.ring()

    async def lost(self, partitions: frozenset[int]) -> None:
        """Has what was judged written and committed; bounded in time."""
        for partition in partitions:
            self._coming.pop(partition, None)
        try:
            async with asyncio.timeout(LOST_S), self._turn:
                await self._ledger.flush()
                await self._commit()
        except (TimeoutError, McisdError) as error:
            log.warning("alarm changes of partitions that go elsewhere are not all written: %r", error)
        self._progress.forget(partitions)
        for partition in partitions:
            self.judges.pop(partition, None)
            self.reached.pop(partition, None)

    async def run(self) -> None:
        """Read and judge, for ever."""
        feed = self._feed
        if feed is None:
            raise RuntimeError("join comes first")
        while True:
            deliveries = await feed.fetch(MOST)
            async with self._turn:
                self.working = True
                await self._take(deliveries)
                self.working = False
            await self._clock.sleep(0)

    async def open(self) -> None:
        """Get judges for partitions as they come, also where nothing is delivered: silence is judged, too."""
        while True:
            await self._came.wait()
            await self._open()

    async def commit(self) -> None:
        """Commit what is safe, at most every ``COMMIT_S``, for ever."""
        while True:
            await self._moved.wait()
            try:
                await self._commit()
            except McisdError as error:
                if not error.retriable:
                    raise
                log.warning("the alarms cannot commit to the bus, going on: %s", error.message)
            if self._progress:
                self._moved.ring()
            await self._clock.sleep(COMMIT_S)

    async def _take(self, deliveries: Sequence[Delivered]) -> None:
        parts: defaultdict[int, list[Delivered]] = defaultdict(list)
        for delivery in deliveries:
            parts[delivery.partition].append(delivery)
        while self._coming.keys() & parts.keys():
            await self._open()
        ours = {partition: part for partition, part in parts.items() if partition in self.judges}
        mark = await self._work([(self.judges[partition], part) for partition, part in ours.items()])
        reached = {partition: part[-1].offset for partition, part in ours.items() if partition in self.judges}
        self.reached |= reached
        self._progress.note(reached, mark)
        self._moved.ring()

    async def _open(self) -> None:
        async with self._opening:
            coming = dict(self._coming)
            if not coming:
                return
            made = await self._make(frozenset(coming))
            for partition, turn in coming.items():
                # It may have gone, or gone and come again, meanwhile.
                if self._coming.get(partition) is turn:
                    del self._coming[partition]
                    self.judges[partition] = made[partition]
            self._opened()

    async def _commit(self) -> None:
        safe = self._progress.take(self._ledger.written)
        if safe and self._feed is not None:
            await self._feed.commit(safe)
