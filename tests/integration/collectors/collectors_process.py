"""The sample path of one daemon process, to be started, crashed and started again over a store that stays."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcisd.aio.clock import SystemClock
from mcisd.aio.retry import Backoff
from mcisd.aio.supervise import Service
from mcisd.bus.memory import MemoryBus
from mcisd.collectors.aggregate import Aggregator
from mcisd.collectors.identities import IdentityBook
from mcisd.collectors.live import LiveTable
from mcisd.collectors.receive import Limits, Receiver
from mcisd.collectors.schemas import SchemaBook
from mcisd.collectors.tls import LinkCertificates
from mcisd.collectors.windows import WindowBlock
from mcisd.collectors.writer import Writer
from mcisd.model.errors import StoreError
from mcisd.model.identity import NOBODY, Identity
from mcisd.store.series import base as series
from mcisd.store.series.duck import DuckSeriesStore

LIMITS = Limits(tell_s=0.5, tick_s=0.02)


class Adapter:
    """The real store behind the collectors' port; it refuses as often as it is told to."""

    def __init__(self, store: DuckSeriesStore) -> None:
        self.store = store
        self.refuse = 0

    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        if self.refuse:
            self.refuse -= 1
            raise StoreError("refused on command")
        return await self.store.write(
            [
                series.WindowBlock(b.columns, b.width_ms, b.vms, b.starts_ms, b.avg, b.min, b.max, b.last, b.count)
                for b in blocks
            ],
            identities,
        )


@dataclass
class Settings:
    tls: Path
    width_ms: int = 500
    interval_ms: int = 100


class Process:
    """Bus, receiver, aggregator, writer: all that dies together."""

    def __init__(self, adapter: Adapter, settings: Settings) -> None:
        self.clock = SystemClock()
        self.settings = settings
        self.bus = MemoryBus()
        self.told: list[tuple[str, str, dict[str, object]]] = []
        schemas, identities = SchemaBook(self.bus, "writer"), IdentityBook(self.bus, "writer")
        self.writer = Writer(
            store=adapter,
            schemas=schemas.known,
            identities=identities.known,
            clock=self.clock,
            width_ms=settings.width_ms,
            backoff=Backoff(0.02, 0.05),
        )
        self.aggregator = Aggregator(
            bus=self.bus,
            writer=self.writer,
            clock=self.clock,
            width_ms=settings.width_ms,
            lateness_s=0.2,
            tick_s=0.05,
        )
        self.live = LiveTable(schemas.known)
        self._services = [
            Service("schemas", schemas.run, self.clock),
            Service("identities", identities.run, self.clock),
            Service("writer", self.writer.run, self.clock),
            Service("aggregator", self.aggregator.run, self.clock),
            Service("live", lambda: self.live.run(self.bus), self.clock),
        ]
        self.receiver = self.new_receiver()

    def new_receiver(self) -> Receiver:
        return Receiver(
            bus=self.bus,
            authenticate=_let_in,
            clock=self.clock,
            on_link=lambda kind, vm, data: self.told.append((kind, vm, data)),
            ssl_context=self.certificates().server_context(),
            interval_ms=self.settings.interval_ms,
            window_ms=self.settings.width_ms,
            limits=LIMITS,
        )

    def certificates(self) -> LinkCertificates:
        certificates = LinkCertificates(self.settings.tls, self.clock)
        certificates.ensure()
        return certificates

    async def start(self, port: int = 0) -> int:
        self.aggregator.join()
        for service in self._services:
            service.start()
        return await self.receiver.start("127.0.0.1", port)

    async def restart_receiver(self, port: int) -> None:
        await self.receiver.stop()
        self.receiver = self.new_receiver()
        await self.receiver.start("127.0.0.1", port)

    async def stop(self) -> None:
        """Orderly: what was received is stored."""
        await self.receiver.stop()
        async with asyncio.timeout(10):
            await self.aggregator.drain()
        await self.crash()

    async def crash(self) -> None:
        """At once: what was not stored is lost with the process."""
        for service in self._services:
            await service.stop()
        await self.receiver.stop()
        await self.bus.close()


async def _let_in(vm: str, token: str) -> Identity | str:
    return Identity(vm, f"host-{vm}", "ns", "shop") if token == "good" else "forged"
