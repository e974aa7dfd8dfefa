"""Our sample path in this process, put together as the daemon does it: receiver over TLS, memory bus, windows, writer,
DuckDB. In: a directory. Out: a port for agents, and what has been stored."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mcisd.aio.clock import SystemClock
from mcisd.aio.supervise import Service
from mcisd.bus.memory import MemoryBus
from mcisd.collectors.aggregate import Aggregator
from mcisd.collectors.identities import IdentityBook
from mcisd.collectors.receive import Receiver
from mcisd.collectors.schemas import SchemaBook
from mcisd.collectors.tls import LinkCertificates
from mcisd.collectors.writer import Writer
from mcisd.daemon.windowsink import WindowSink
from mcisd.model.identity import Identity
from mcisd.store.series.duck import DuckSeriesStore

HOUR_MS = 3_600_000


class SamplePath:
    """Made by ``sample_path``; ``port`` takes agents with any token."""

    def __init__(self, folder: Path, store: DuckSeriesStore) -> None:
        self.store = store
        self.ca = folder / "ca.pem"
        self.port = 0
        clock = self._clock = SystemClock()
        self._bus = MemoryBus()
        certificates = LinkCertificates(folder, clock)
        certificates.ensure()
        schemas, identities = SchemaBook(self._bus, "writer"), IdentityBook(self._bus, "writer")
        writer = Writer(
            store=WindowSink(store), schemas=schemas.known, identities=identities.known, clock=clock
        )  # fmt: skip
        self.aggregator = Aggregator(bus=self._bus, writer=writer, clock=clock)
        self.aggregator.join()
        self.receiver = Receiver(
            bus=self._bus, authenticate=_anyone, clock=clock, on_link=lambda kind, vm, data: None,
            ssl_context=certificates.server_context(),
        )  # fmt: skip
        bodies = {"schemas": schemas.run, "identities": identities.run, "writer": writer.run}
        bodies["aggregate"] = self.aggregator.run
        self._services = [Service(name, body, clock) for name, body in bodies.items()]

    async def start(self) -> None:
        for service in self._services:
            service.start()
        self.port = await self.receiver.start("127.0.0.1", 0)

    async def stored(self, frames: int) -> None:
        """Wait until so many frames were taken and are in committed windows."""
        while self.receiver.stats.frames < frames:
            await asyncio.sleep(0.02)
        await self.aggregator.drain()
        while self._bus.lag()["metrics", "writer"]:  # what was on the bus but not read yet came too late for the drain
            await asyncio.sleep(0.02)
            await self.aggregator.drain()

    async def pack(self) -> None:
        """Pack all hours, as the store does once an hour is over: it is part of what a sample costs."""
        later = int(time.time() * 1000) + 2 * HOUR_MS
        if await self.store.compact(later) + await self.store.compact(later) == 0:  # the first looks, the second packs
            raise SystemExit("nothing was packed")

    async def stop(self) -> None:
        await self.receiver.stop()
        for service in self._services:
            await service.stop()
        await self._bus.close()


async def _anyone(vm: str, _: str) -> Identity | str:
    return Identity(vm, f"host-{vm}", "bench", "bench")


@asynccontextmanager
async def sample_path(folder: Path) -> AsyncIterator[SamplePath]:
    """The path with a fresh store in ``folder``."""
    store = await DuckSeriesStore.open(folder / f"{time.time_ns()}.duckdb")
    try:
        path = SamplePath(folder, store)
        await path.start()
        try:
            yield path
        finally:
            await path.stop()
    finally:
        await store.close()
