"""What an agent sends, on its way to the bus: SCHEMA and FRAME payloads in, bus messages out, progress noted."""

import random
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter

from mcisd.aio.clock import Clock
from mcisd.aio.retry import Backoff, retry
from mcisd.collectors.acks import AckBook
from mcisd.collectors.agent_clock import Mark
from mcisd.collectors.hello import parse_schema
from mcisd.collectors.lane import LaneState
from mcisd.collectors.link import MOST_SCHEMAS, Link
from mcisd.collectors.ports import FrameBus, Outgoing
from mcisd.collectors.rates import RatedSchema, quiet
from mcisd.collectors.stats import ReceiveStats
from mcisd.model import wire
from mcisd.model.errors import StateError
from mcisd.model.identity import Identity
from mcisd.model.samples import FIRST, REPLAYED, pack_frame

HEADERS: dict[str, str] = {}
_BACKOFF = Backoff(0.2, 5.0)

_Frame = tuple[LaneState, RatedSchema, int, bytes, int, int, int]
"""What is to be published: lane, schema, time as measured, columns, number, time as booked, flags."""


class Intake:
    """Shared by all links. ``on_step`` hears of agents' clocks that jumped: ``(vm, correction in ms)``."""

    def __init__(
        self,
        bus: FrameBus,
        acks: AckBook,
        clock: Clock,
        stats: ReceiveStats,
        on_step: Callable[[str, int], None],
        retry_s: float = 60.0,
        lane_s: float = 0.0,
    ) -> None:
        """``lane_s``: how long a lane may pause in the middle of a window; 0 is for ever."""
        self._bus = bus
        self._acks = acks
        self._clock = clock
        self._stats = stats
        self._on_step = on_step
        self._retry_s = retry_s
        self._lane_s = lane_s
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret
        self._schemas: set[bytes] = set()
        self._identities: dict[str, Identity] = {}

    async def identity(self, identity: Identity) -> None:
        """Tell whose frames they are, before the first of them; not again while it stays the same."""
        if self._identities.get(identity.vm) != identity:
            await self._publish("identities", [(identity.vm, identity.to_json().encode(), HEADERS)])
            self._identities[identity.vm] = identity

    def forget(self, vm: str) -> None:
        """The VM is gone for good."""
        self._identities.pop(vm, None)

    async def schema(self, link: Link, payload: bytes) -> None:
        """Note the link's schema, and publish it if this process has not yet. WireError on what is no schema."""
        number, schema = parse_schema(payload)
        if number not in link.schemas and len(link.schemas) >= MOST_SCHEMAS:
            raise wire.WireError(f"more than {MOST_SCHEMAS} schemas on one link")
        key = schema.full.key
        if key not in self._schemas:
            await self._publish("schemas", [(key.hex(), schema.full.to_json().encode(), HEADERS)])
            self._schemas.add(key)
        link.schemas[number] = schema

    async def frames(self, link: Link, payloads: Sequence[bytes]) -> None:
        """Publish frames with their event times and rates, in one go. Waits while the bus is full.

        StateError if a lane paused for so long that the link must begin anew.
        """
        now_ms = int(self._clock.now() * 1000)
        frames = [frame for payload in payloads if (frame := self._placed(link, payload, now_ms)) is not None]
        if not frames:
            return
        vm, number = link.vm, link.number
        batch: list[Outgoing] = [
            (vm, pack_frame(vm, schema.full.key, seq, placed, flags, columns, number), HEADERS)
            for (_, schema, _, _, seq, placed, flags), columns in zip(frames, _rated(frames), strict=True)
        ]
        places = await self._publish("metrics", batch)
        published, progress = self._acks.published, link.progress
        for (lane, _, _, _, seq, placed, _), place in zip(frames, places, strict=True):
            published(progress, lane.progress, seq, placed, place)
        self._stats.frames += len(batch)

    def _placed(self, link: Link, payload: bytes, now_ms: int) -> _Frame | None:
        """One frame with its place in its lane and in time; None if it was on this link before."""
        number, seq, time_ms, flags, columns = wire.unpack_frame(payload)
        schema = link.schemas.get(number)
        if schema is None or len(columns) != 8 * schema.width:
            raise wire.WireError("frame that does not fit its schema")
        lane = link.lanes[flags & REPLAYED]
        if seq <= lane.seq:
            self._stats.duplicates += 1
            return None
        placed, mark = lane.clock.place(time_ms, now_ms)
        if mark is not Mark.FINE:
            self._marked(link.vm, lane, mark)
        flags, window, now = lane.flags, placed // self._acks.width_ms, self._clock.monotonic()
        if window != lane.packed:
            lane.packed, flags = window, flags | FIRST
        elif self._lane_s and now - lane.at > max(self._lane_s, 3 * lane.rates.interval_ms / 1000):
            self._stats.stalled += 1
            raise StateError("a lane paused for long, the link must begin anew")
        lane.seq, lane.at = seq, now
        self._stats.samples += len(schema.full.columns)
        self._stats.replayed += lane.flags
        return lane, schema, time_ms, columns, seq, placed, flags

    def _marked(self, vm: str, lane: LaneState, mark: Mark) -> None:
        if mark is Mark.STEPPED:
            self._stats.clock_steps += 1
            self._on_step(vm, lane.clock.skew_ms)
        else:
            self._stats.behind += 1

    async def _publish(self, topic: str, batch: Sequence[Outgoing]) -> list[tuple[int, int]]:
        """Publish, trying again for a while: what is there twice by that, every consumer stands. BusError at last."""
        return await retry(
            lambda: self._bus.publish_all(topic, batch),
            clock=self._clock,
            deadline=self._retry_s,
            backoff=_BACKOFF,
            rng=self._rng,
            on_retry=self._failed,
        )

    def _failed(self, _: int, error: Exception) -> None:
        self._stats.bus_failures += 1


def _rated(frames: Sequence[_Frame]) -> list[bytes]:
    """The columns of each with its rates; those that follow each other in a lane are reckoned together."""
    with quiet():
        if len(frames) == 1:
            ((lane, schema, time_ms, columns, _, _, _),) = frames
            return [lane.rates.extend(schema, time_ms, columns)]
        rated: list[bytes] = []
        for (lane, schema), run in groupby(frames, itemgetter(0, 1)):
            times, columns_of = zip(*((frame[2], frame[3]) for frame in run), strict=True)
            rated += lane.rates.extend_all(schema, times, columns_of)
        return rated
