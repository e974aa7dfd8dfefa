"""The sample path on a real Kafka in small: collectors that receive, writers that aggregate, one store for all."""

import asyncio
import contextlib
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcisd.aio.clock import SystemClock
from mcisd.aio.retry import Backoff
from mcisd.aio.supervise import Service
from mcisd.bus import topics
from mcisd.bus.kafka import KafkaBus, KafkaLimits, KafkaOptions
from mcisd.collectors.aggregate import Aggregator
from mcisd.collectors.identities import IdentityBook
from mcisd.collectors.ports import WindowStore
from mcisd.collectors.receive import Limits, Receiver
from mcisd.collectors.schemas import SchemaBook
from mcisd.collectors.tls import LinkCertificates
from mcisd.collectors.windows import WindowBlock
from mcisd.collectors.writer import Writer
from mcisd.model.errors import StoreError
from mcisd.model.identity import NOBODY, Identity
from tests.external.kafka_kit import until

LIMITS = KafkaLimits(session_s=10.0, heartbeat_s=0.3, handover_s=7.0)


@dataclass
class Windows:
    """A store in memory, of the first column; it is slow, and refuses now and then."""

    rng: random.Random
    rows: dict[tuple[str, int], tuple[int, float, float, float]] = field(default_factory=dict)
    names: dict[str, Identity] = field(default_factory=dict)

    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        await asyncio.sleep(self.rng.uniform(0, 0.1))
        if self.rng.random() < 0.1:
            raise StoreError("refused on command")
        self.names.update(identities)
        for b in blocks:
            for i, vm in enumerate(b.vms):
                row = int(b.count[i, 0]), float(b.min[i, 0]), float(b.max[i, 0]), float(b.last[i, 0])
                self.rows[vm, int(b.starts_ms[i])] = row
        return sum(len(b.vms) for b in blocks)


Rows = Mapping[tuple[str, int], tuple[float, ...]]
"""VM and start of a window → count, minimum, maximum and last value."""


async def stored(rows: Callable[[], Rows], wanted: Rows, patience: float = 120.0) -> None:
    """Wait until just these windows are there; the error names those that are not as they should be."""
    with contextlib.suppress(TimeoutError):  # told below
        await until(lambda: rows() == wanted, patience)
    found = rows()
    keys = sorted(found.keys() | wanted.keys())
    assert {k: (found.get(k), wanted.get(k)) for k in keys if found.get(k) != wanted.get(k)} == {}


class Ledger:
    """A store that outlives whoever writes to it: a file, a line per window, the last one counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        lines = []
        for b in blocks:
            for i, vm in enumerate(b.vms):
                values = b.count[i, 0], b.min[i, 0], b.max[i, 0], b.last[i, 0]
                lines.append(" ".join([vm, str(b.starts_ms[i]), *(repr(float(value)) for value in values)]) + "\n")
        with self.path.open("a") as file:
            file.write("".join(lines))
        return len(lines)

    def rows(self) -> dict[tuple[str, int], tuple[float, ...]]:
        """Window → count, min, max, last."""
        found = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            vm, start, *values = line.split(" ")
            found[vm, int(start)] = tuple(float(value) for value in values)
        return found


@dataclass(frozen=True)
class Place:
    """Where all processes are."""

    servers: str
    prefix: str
    tls: Path
    width_ms: int = 1_000

    async def bus(self) -> KafkaBus:
        return await KafkaBus.open(
            KafkaOptions(self.servers, prefix=self.prefix, limits=LIMITS), SystemClock(), topics.ALL
        )


class WriterProcess:
    """From the bus to the store."""

    def __init__(self, bus: KafkaBus, store: WindowStore, width_ms: int) -> None:
        clock = SystemClock()
        self.bus = bus
        schemas, identities = SchemaBook(bus, "writer"), IdentityBook(bus, "writer")
        self.writer = Writer(
            store=store,
            schemas=schemas.known,
            identities=identities.known,
            clock=clock,
            width_ms=width_ms,
            backoff=Backoff(0.05, 0.2),
        )
        self.aggregator = Aggregator(
            bus=bus,
            writer=self.writer,
            clock=clock,
            width_ms=width_ms,
            lateness_s=0.5,
            tick_s=0.1,
            shared=True,
        )
        bodies = {"schemas": schemas.run, "identities": identities.run, "writer": self.writer.run}
        bodies["aggregate"] = self.aggregator.run
        self.services = [Service(name, body, clock) for name, body in bodies.items()]
        for service in self.services:
            service.start()

    @classmethod
    async def start(cls, place: Place, store: WindowStore) -> "WriterProcess":
        return cls(await place.bus(), store, place.width_ms)

    async def stop(self) -> None:
        """Without a word to anybody in this process: what it has in memory is lost."""
        for service in reversed(self.services):
            await service.stop(10.0)
        await self.bus.close()


class CollectorProcess:
    """From the agents to the bus."""

    def __init__(self, bus: KafkaBus, place: Place, stall_s: float) -> None:
        certificates = LinkCertificates(place.tls, SystemClock())
        certificates.ensure()
        self.ca = certificates.ca_pem()
        self.bus = bus
        self.port = 0
        self.receiver = Receiver(
            bus=bus,
            authenticate=_let_in,
            clock=SystemClock(),
            on_link=lambda kind, vm, data: None,
            ssl_context=certificates.server_context(),
            interval_ms=100,
            window_ms=place.width_ms,
            limits=Limits(tell_s=0.5, tick_s=0.05, stall_s=stall_s),
            shared=True,
        )

    @classmethod
    async def start(cls, place: Place, stall_s: float = 30.0) -> "CollectorProcess":
        collector = cls(await place.bus(), place, stall_s)
        collector.port = await collector.receiver.start("127.0.0.1", 0)
        return collector

    async def stop(self) -> None:
        await self.receiver.stop()
        await self.bus.close()


async def _let_in(vm: str, token: str) -> Identity | str:
    return Identity(vm, f"host-{vm}", "ns", "shop") if token == "good" else "forged"


async def write_for_ever(servers: str, prefix: str, folder: str, width_ms: str) -> None:
    """A writer in a process of its own, to be killed or stopped."""
    place = Place(servers, prefix, Path(folder) / "tls", int(width_ms))
    await WriterProcess.start(place, Ledger(Path(folder) / "ledger"))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(write_for_ever(*sys.argv[1:5]))
