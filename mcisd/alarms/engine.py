"""The alarm engine: frames and schemas come from the bus, changes go to the ledger.

Four loops around one judge: frames, schemas, deadlines, and reloads of rules and VMs. Nothing is polled. ``run`` starts
from what is stored, so a restart of it, by a crash or by its owner, goes on where the store stands. Positions of the
bus are committed only when all that followed from them is stored; frames read twice change nothing.
"""

import asyncio
import logging
from collections.abc import Callable

from mcisd.aio.clock import Clock
from mcisd.alarms.bell import Bell
from mcisd.alarms.judge import Judge
from mcisd.alarms.ledger import Ledger
from mcisd.alarms.ports import Bus, Directory, Feed, Store
from mcisd.alarms.stages import pipeline
from mcisd.model.alarms import AlarmRule, AlarmState
from mcisd.model.errors import McisdError
from mcisd.model.samples import Schema

log = logging.getLogger(__name__)
RELOAD_PAUSE_S = 0.2
GROUP, METRICS, SCHEMAS = "alarms", "metrics", "schemas"


class Engine:
    """Run it under a supervisor. ``on_message`` (usually ``Sender.wake``) is called when messages were written."""

    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        directory: Directory,
        clock: Clock,
        on_message: Callable[[], None],
        default_channels: tuple[str, ...] = (),
        stale_s: float = 30.0,
    ) -> None:
        self._bus, self._store, self._directory, self._clock = bus, store, directory, clock
        self._on_message = on_message
        self._stages = pipeline(default_channels)
        self._stale_s = stale_s
        self._reload = Bell(clock)
        self._rearm = Bell(clock)
        self._begin()

    def _begin(self) -> None:
        self._judge = Judge(self._stale_s)
        self._ledger = Ledger(self._store, self._stages, self._clock, self._on_message)

    @property
    def idle(self) -> bool:
        """All that was read so far is judged, and what followed from it is stored."""
        return self._ledger.idle and not self._judge.holds_frames(self._clock.monotonic())

    @property
    def malformed(self) -> int:
        """Frames and schemas that could not be read, since the start."""
        return self._judge.malformed

    def rules_changed(self) -> None:
        """Rules were added, edited or removed: call after the transaction that did it."""
        self._reload.ring()

    def directory_changed(self) -> None:
        """VMs came, went, or are to report or not: call after the transaction that did it."""
        self._reload.ring()

    async def run(self) -> None:
        self._begin()
        schemas = self._bus.subscribe(SCHEMAS, GROUP, from_start=True)
        metrics = self._bus.subscribe(METRICS, GROUP)
        try:
            async with self._store.reading() as tx:
                states, rules = await tx.find(AlarmState), await tx.find(AlarmRule)
            self._judge.load(states, rules, self._clock.monotonic())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ledger.run(), name="alarms-ledger")
                await self._renew()
                group.create_task(self._reloads(), name="alarms-reloads")
                group.create_task(self._read_schemas(schemas), name="alarms-schemas")
                group.create_task(self._read_frames(metrics), name="alarms-frames")
                group.create_task(self._deadlines(), name="alarms-deadlines")
        finally:
            await schemas.close()
            await metrics.close()

    async def _renew(self) -> None:
        async with self._store.reading() as tx:
            rules = await tx.find(AlarmRule)
        members = await self._directory.members()
        findings = self._judge.renew(rules, members, self._clock.now(), self._clock.monotonic())
        await self._ledger.put(findings)
        self._rearm.ring()

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            try:
                await self._renew()
                # A launch of many VMs announces each of them; one reload then serves many.
                await self._clock.sleep(RELOAD_PAUSE_S)
            except McisdError as error:
                if not error.retriable:
                    raise
                log.warning("rules and VMs cannot be read yet, trying again: %s", error.message)
                self._reload.ring()
                await self._clock.sleep(1.0)

    async def _read_schemas(self, feed: Feed) -> None:
        while True:
            for delivery in await feed.fetch():
                try:
                    schema = Schema.from_json(delivery.value)
                except ValueError:
                    self._judge.malformed += 1
                    continue
                await self._ledger.put(self._judge.add_schema(schema, self._clock.now()))

    async def _read_frames(self, feed: Feed) -> None:
        done: dict[int, int] = {}
        while True:
            deliveries = await feed.fetch()
            for delivery in deliveries:
                findings = self._judge.frame(delivery.value, self._clock.now(), self._clock.monotonic())
                if findings:
                    await self._ledger.put(findings)
                    self._rearm.ring()
                done[delivery.partition] = delivery.offset
            await self._clock.sleep(0)
            if self.idle:
                await feed.commit(dict(done))
                done.clear()

    async def _deadlines(self) -> None:
        while True:
            due = self._judge.next_due()
            await self._rearm.wait(None if due is None else due - self._clock.monotonic())
            await self._ledger.put(self._judge.overdue(self._clock.now(), self._clock.monotonic()))
