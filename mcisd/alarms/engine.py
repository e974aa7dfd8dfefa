"""The alarm engine: frames and schemas come from the bus, changes go to the ledger.

Processes share the work by partition. A judge for each partition of ``metrics`` that is ours judges the rules about
single VMs, and reads the values for those about a whole MCIS; these go through topic ``groups``, of which each
partition has a judge in some process. Nothing is polled but the store's own word, once a minute. ``run`` starts from
what is stored, so a restart of it, by a crash or by its owner, goes on where the store stands.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import chain
from typing import TypeVar

from mcisd.aio.clock import Clock
from mcisd.aio.retry import Backoff, retry
from mcisd.alarms.bell import Bell
from mcisd.alarms.consumer import Consumer
from mcisd.alarms.group import STALE_S, GroupJudge
from mcisd.alarms.judge import Judge, Outcome, Tally
from mcisd.alarms.ledger import Ledger
from mcisd.alarms.ports import Bus, Delivered, Directory, Feed, Member, Store
from mcisd.alarms.schemas import Schemas
from mcisd.alarms.stages import pipeline
from mcisd.alarms.stats import Stats, count
from mcisd.alarms.track import Track
from mcisd.alarms.tracks import Finding
from mcisd.alarms.values import MOST, pack_values, unpack_values
from mcisd.alarms.world import GROUPS, METRICS, Atlas, World, read_active, read_states, read_world
from mcisd.model.alarms import AlarmPhase, AlarmState
from mcisd.model.errors import McisdError

log = logging.getLogger(__name__)
RELOAD_PAUSE_S, RESYNC_S, PUBLISH_S = 0.2, 60.0, 60.0
GROUP, SECOND = "alarms", "alarms-groups"
AnyJudge = Judge | GroupJudge
J = TypeVar("J", Judge, GroupJudge)
T = TypeVar("T")


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
        stale_s: float = STALE_S,
    ) -> None:
        self._bus, self._store, self._directory, self._clock = bus, store, directory, clock
        self._on_message = on_message
        self._stages = pipeline(clock.now, default_channels)
        self._stale_s = stale_s
        self._reload, self._rearm, self._doubt = Bell(clock), Bell(clock), Bell(clock)
        self._backoff, self._rng = Backoff(0.2, 5.0), random.Random()  # noqa: S311 - jitter, not a secret
        self._atlas = Atlas(bus.partition_of)
        self._tally = Tally()
        self._frames_read = self._stale = 0
        self._begin()

    def _begin(self) -> None:
        self._world = World()
        self._schemas = Schemas(self._clock)
        self._renewing = asyncio.Lock()
        self._published: dict[int, int] = {}
        self._ledger = Ledger(self._store, self._stages, self._clock, self._on_message, self._overtaken)
        self._frames = Consumer[Judge](
            METRICS,
            ledger=self._ledger,
            clock=self._clock,
            make=self._judges,
            work=self._judge_frames,
            done=lambda judge: not judge.holds_frames(self._clock.monotonic()),
            opened=self._rearm.ring,
        )
        self._groups = Consumer[GroupJudge](
            GROUPS, ledger=self._ledger, clock=self._clock, make=self._group_judges, work=self._judge_values
        )

    @property
    def idle(self) -> bool:
        """All that was read so far is judged, and what followed from it is stored."""
        groups = self._groups
        second = all(groups.reached.get(p, -1) >= at for p, at in self._published.items() if p in groups.judges)
        return self._ledger.idle and self._frames.idle and groups.idle and second

    @property
    def malformed(self) -> int:
        """Frames and schemas that could not be read, since the start."""
        return self._tally.malformed

    @property
    def stats(self) -> Stats:
        """Made anew at each look, from all alarms of this process."""
        tally = self._tally
        return Stats(
            frames=self._frames_read,
            judged=tally.judged,
            again=tally.again,
            replayed=tally.replayed,
            unknown_vm=tally.unknown_vm,
            malformed=tally.malformed,
            stale_changes=self._stale,
            partitions=len(self._frames.judges),
            firing=count(self._tracks(), AlarmPhase.FIRING),
            pending=count(self._tracks(), AlarmPhase.PENDING),
        )

    def rules_changed(self) -> None:
        """Rules were added, edited or removed: call after the transaction that did it."""
        self._reload.ring()

    def directory_changed(self) -> None:
        """VMs came, went, or are to report or not: call after the transaction that did it."""
        self._reload.ring()

    async def run(self) -> None:
        self._begin()
        async with AsyncExitStack() as stack:
            await self._look()
            schemas = self._bus.follow("schemas", GROUP, from_start=True)
            for end in (schemas.close, self._groups.close, self._frames.close):
                stack.push_async_callback(end)
            self._groups.join(self._bus, SECOND, lambda: self._stale_s)
            self._frames.join(self._bus, GROUP, lambda: self._world.look_back_s)
            async with asyncio.TaskGroup() as group:
                loops = (self._ledger.run, self._reloads, self._deadlines, self._resyncs)
                readers = (self._frames, self._groups)
                for loop in (*loops, *chain.from_iterable((one.open, one.run, one.commit) for one in readers)):
                    group.create_task(loop())
                group.create_task(self._read_schemas(schemas))

    # --- the two stages

    async def _judge_frames(self, parts: Sequence[tuple[Judge, list[Delivered]]]) -> int:
        await self._schemas.wait_for({one.value[16:32] for _, part in parts for one in part})
        now, mono = self._clock.now(), self._clock.monotonic()
        outcomes: list[Outcome] = []
        for judge, part in parts:
            self._frames_read += len(part)
            fresh = [one.value for one in part if not one.again]
            if len(fresh) < len(part):
                judge.warm([one.value for one in part if one.again], now, mono)
            if fresh:
                outcomes.append(judge.frames(fresh, now, mono))
        return await self._conclude(outcomes)

    async def _conclude(self, outcomes: Sequence[Outcome]) -> int:
        findings = [finding for outcome in outcomes for finding in outcome.findings]
        mark = await self._ledger.put(findings)
        if findings:
            self._rearm.ring()
        messages: list[tuple[str, bytes, Mapping[str, str]]] = []
        for outcome in outcomes:
            for mcis, values in outcome.values.items():
                parts = (values[begin : begin + MOST] for begin in range(0, len(values), MOST))
                messages += [(mcis, pack_values(part), {}) for part in parts]
        if messages:
            places = await self._patiently(lambda: self._bus.publish_all(GROUPS, messages), PUBLISH_S)
            self._published |= dict(places)
        return mark

    async def _judge_values(self, parts: Sequence[tuple[GroupJudge, list[Delivered]]]) -> int:
        now, mono = self._clock.now(), self._clock.monotonic()
        findings: list[Finding] = []
        for judge, part in parts:
            for one in part:
                try:
                    values = unpack_values(one.value)
                except ValueError:
                    self._tally.malformed += 1
                    continue
                found, unknown = judge.take(values, now, mono, again=one.again)
                findings += found
                self._tally.unknown_vm += unknown
        return await self._ledger.put(findings)

    async def _read_schemas(self, feed: Feed) -> None:
        while True:
            for delivery in await feed.fetch():
                try:
                    key = self._schemas.add(delivery.value)
                except ValueError:
                    self._tally.malformed += 1
                    continue
                now, mono = self._clock.now(), self._clock.monotonic()
                await self._conclude([judge.schema_known(key, now, mono) for judge in self._frames.judges.values()])

    async def _deadlines(self) -> None:
        while True:
            due = [at for judge in self._frames.judges.values() if (at := judge.next_due()) is not None]
            await self._rearm.wait(min(due) - self._clock.monotonic() if due else None)
            now, mono = self._clock.now(), self._clock.monotonic()
            for judge in list(self._frames.judges.values()):
                await self._ledger.put(judge.overdue(now, mono))

    # --- rules, VMs, and what is stored

    async def _look(self) -> None:
        self._world = await self._patiently(lambda: read_world(self._store, self._directory))

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            async with self._renewing:
                await self._look()
                findings: list[Finding] = []
                for topic, judges in self._all():
                    findings += self._renew(topic, judges)
                await self._ledger.put(findings)
            self._rearm.ring()
            # A launch of many VMs announces each of them; one reload then serves many.
            await self._clock.sleep(RELOAD_PAUSE_S)

    def _renew(self, topic: str, judges: Mapping[int, AnyJudge]) -> list[Finding]:
        members = self._atlas.members(topic, self._world.members)
        now, mono = self._clock.now(), self._clock.monotonic()
        parts: list[tuple[AnyJudge, list[Member]]] = [(judge, members.get(at, [])) for at, judge in judges.items()]
        return [found for judge, part in parts for found in judge.renew(self._world.rules, part, now, mono)]

    async def _judges(self, partitions: frozenset[int]) -> Mapping[int, Judge]:
        return await self._made({at: Judge(self._schemas.known, self._tally) for at in partitions}, METRICS)

    async def _group_judges(self, partitions: frozenset[int]) -> Mapping[int, GroupJudge]:
        return await self._made({at: GroupJudge(self._stale_s) for at in partitions}, GROUPS)

    async def _made(self, judges: dict[int, J], topic: str) -> dict[int, J]:
        async with self._renewing:
            states = await self._patiently(lambda: read_states(self._store))
            await self._look()
            parts = self._atlas.states(topic, states, self._world.rules)
            for at, judge in judges.items():
                judge.load(parts.get(at, []), self._world.rules, self._clock.monotonic())
            await self._ledger.put(self._renew(topic, judges))
        return judges

    async def _resyncs(self) -> None:
        """Compare with the store: a process that lost its partitions, and did not know, may have written after us."""
        while True:
            await self._doubt.wait(RESYNC_S)
            async with self._renewing:
                await self._resync()
            await self._clock.sleep(1.0)

    async def _resync(self) -> None:
        before = {state.uid: state for track in self._tracks() for state in (track.state,)}
        busy = self._ledger.busy
        active = [uid for uid, state in before.items() if state.phase is not AlarmPhase.OK]
        rows: list[AlarmState] = await self._patiently(lambda: read_active(self._store, active))
        now, mono = self._clock.now(), self._clock.monotonic()
        for topic, judges in self._all():
            parts = self._atlas.states(topic, rows, self._world.rules)
            for at, judge in judges.items():
                await self._ledger.put(judge.adopt(parts.get(at, []), before, busy, now, mono))
        self._rearm.ring()

    def _overtaken(self, changes: int) -> None:
        self._stale += changes
        self._doubt.ring()

    def _all(self) -> list[tuple[str, Mapping[int, AnyJudge]]]:
        return [(METRICS, dict(self._frames.judges)), (GROUPS, dict(self._groups.judges))]

    def _tracks(self) -> Iterator[Track]:
        for _, judges in self._all():
            for judge in judges.values():
                yield from judge.tracks.all()

    async def _patiently(self, call: Callable[[], Awaitable[T]], deadline: float = math.inf) -> T:
        """The result of a call to the store or the bus, which may be away for a while."""

        def tell(attempt: int, error: McisdError) -> None:
            if attempt == 0:
                log.warning("the alarms must wait: %s", error.message)

        return await retry(
            call, clock=self._clock, deadline=deadline, backoff=self._backoff, rng=self._rng, on_retry=tell
        )
