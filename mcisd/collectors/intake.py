"""What an agent sends, on its way to the bus: SCHEMA and FRAME payloads in, bus messages out, progress noted."""

from collections.abc import Callable

from mcisd.aio.clock import Clock
from mcisd.collectors.acks import AckBook
from mcisd.collectors.agent_clock import AgentClock, Mark
from mcisd.collectors.hello import parse_schema
from mcisd.collectors.link import MOST_SCHEMAS, Link
from mcisd.collectors.ports import FrameBus
from mcisd.collectors.rates import Rates
from mcisd.collectors.stats import ReceiveStats
from mcisd.model import wire
from mcisd.model.samples import pack_frame


class VmState:
    """What outlives the links of a VM."""

    def __init__(self, interval_ms: int) -> None:
        self.clock = AgentClock()
        self.rates = Rates(interval_ms)
        self.link: Link | None = None
        self.heard: float | None = None  # wall clock

    @property
    def interval_ms(self) -> int:
        """How often it is asked to measure."""
        return self.rates.interval_ms


class Intake:
    """Shared by all links. ``on_step`` hears of agents' clocks that jumped: ``(vm, correction in ms)``."""

    def __init__(
        self,
        bus: FrameBus,
        acks: AckBook,
        clock: Clock,
        stats: ReceiveStats,
        on_step: Callable[[str, int], None],
    ) -> None:
        self._bus = bus
        self._acks = acks
        self._clock = clock
        self._stats = stats
        self._on_step = on_step
        self._published: set[bytes] = set()

    async def schema(self, link: Link, payload: bytes) -> None:
        """Note the link's schema, and publish it if this process has not yet. WireError on what is no schema."""
        number, schema = parse_schema(payload)
        if number not in link.schemas and len(link.schemas) >= MOST_SCHEMAS:
            raise wire.WireError(f"more than {MOST_SCHEMAS} schemas on one link")
        key = schema.full.key
        if key not in self._published:
            await self._bus.publish("schemas", key.hex(), schema.full.to_json().encode())
            self._published.add(key)
        link.schemas[number] = schema

    async def frame(self, link: Link, vm: VmState, payload: bytes) -> None:
        """Publish the frame with its event time and rates, unless it was before. Waits while the bus is full."""
        number, seq, time_ms, flags, columns = wire.unpack_frame(payload)
        schema = link.schemas.get(number)
        if schema is None or len(columns) != 8 * schema.width:
            raise wire.WireError("frame that does not fit its schema")
        if seq <= self._acks.progress(link.vm).published:
            self._stats.duplicates += 1
            return
        placed = self._place(link.vm, vm.clock, time_ms)
        columns = vm.rates.extend(schema, time_ms, columns)
        value = pack_frame(link.vm, schema.full.key, seq, placed, flags, columns)
        partition, offset = await self._bus.publish("metrics", link.vm, value)
        self._acks.published(link.vm, seq, placed, partition, offset)
        self._stats.frames += 1
        self._stats.samples += len(columns) // 8

    def _place(self, vm: str, clock: AgentClock, time_ms: int) -> int:
        placed, mark = clock.place(time_ms, int(self._clock.now() * 1000))
        if mark is Mark.STEPPED:
            self._stats.clock_steps += 1
            self._on_step(vm, clock.skew_ms)
        elif mark is Mark.BEHIND:
            self._stats.behind += 1
        return placed
