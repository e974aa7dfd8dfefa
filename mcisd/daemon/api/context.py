"""What handlers may use: services for writes, the store and readers for reads. Filled in by app.py."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from mcisd.aio.clock import Clock
from mcisd.daemon.api.access import Access
from mcisd.daemon.api.streams import Streams
from mcisd.daemon.clouds import Clouds
from mcisd.daemon.commander import Commander
from mcisd.daemon.events import EventMaker
from mcisd.daemon.federation import Federation
from mcisd.daemon.hints import Hints
from mcisd.daemon.inventory import Inventory
from mcisd.daemon.mcis.service import McisService
from mcisd.daemon.monitoring import Monitoring
from mcisd.daemon.nodes import Nodes
from mcisd.daemon.resources.service import ResourceService
from mcisd.daemon.settings import Settings
from mcisd.daemon.telemetry import Telemetry
from mcisd.daemon.thresholds import Thresholds
from mcisd.daemon.vault import Vault
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.alarms import Channel
from mcisd.model.events import Event
from mcisd.store.base import MetadataStore


class EventFeed(Protocol):
    """Events from a place in the outbox on, for ever."""

    def follow(self, after: int) -> AsyncIterator[Event]: ...


TestChannel = Callable[[Channel], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Context:
    settings: Settings
    installation: str
    version: str
    started_at: float
    clock: Clock
    store: MetadataStore
    vault: Vault
    access: Access
    events: EventMaker
    registry: DriverRegistry
    clouds: Clouds
    inventory: Inventory
    federation: Federation
    resources: ResourceService
    mcis: McisService
    hints: Hints
    nodes: Nodes
    telemetry: Telemetry
    commander: Commander
    monitoring: Monitoring
    thresholds: Thresholds
    feed: EventFeed
    streams: Streams
    test_channel: TestChannel
    channel_scheme: Callable[[str], str]
    last_heard: Callable[[str], float | None]
    health: Callable[[], dict[str, str]]
