"""The composition root: one straight line from settings to a running daemon.

Each part is made after what it needs, its end is registered beside it, and the ends run in reverse, each bounded.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from mcisd import __version__
from mcisd.aio.clock import Clock
from mcisd.aio.supervise import Service
from mcisd.alarms.engine import Engine
from mcisd.alarms.notify import AppriseNotifier, scheme, usable
from mcisd.alarms.rule import check_rule
from mcisd.alarms.sender import Sender
from mcisd.bus.memory import MemoryBus
from mcisd.collectors.aggregate import Aggregator
from mcisd.collectors.live import LiveTable
from mcisd.collectors.receive import Receiver
from mcisd.collectors.schemas import SchemaBook
from mcisd.collectors.tls import LinkCertificates
from mcisd.collectors.writer import Writer
from mcisd.daemon.agents.doorkeeper import Doorkeeper
from mcisd.daemon.agents.install import Installer
from mcisd.daemon.agents.keeper import AgentKeeper
from mcisd.daemon.api.access import Access, load_token
from mcisd.daemon.api.context import Context
from mcisd.daemon.api.server import build
from mcisd.daemon.api.streams import Streams
from mcisd.daemon.calllog import CallLog
from mcisd.daemon.clouds import Clouds
from mcisd.daemon.commander import Commander
from mcisd.daemon.directory import Directory, Watch
from mcisd.daemon.events import EventMaker
from mcisd.daemon.federation import Federation
from mcisd.daemon.feed import Feed
from mcisd.daemon.fleet.ssh import SshPool
from mcisd.daemon.home import Home, installation_id
from mcisd.daemon.housekeeping import Housekeeping
from mcisd.daemon.mcis.actions import VmActions
from mcisd.daemon.mcis.apply import Applier
from mcisd.daemon.mcis.observe import Observer
from mcisd.daemon.mcis.operations import Operations
from mcisd.daemon.mcis.reconciler import Reconciler
from mcisd.daemon.mcis.rows import VmRows
from mcisd.daemon.mcis.service import McisService
from mcisd.daemon.mcis.worker import Pace, Parts
from mcisd.daemon.monitoring import Monitoring
from mcisd.daemon.policies.engine import PolicyEngine
from mcisd.daemon.relay import Relay
from mcisd.daemon.resources.actions import ResourceActions
from mcisd.daemon.resources.keeper import ResourceKeeper
from mcisd.daemon.resources.service import ResourceService
from mcisd.daemon.settings import Settings
from mcisd.daemon.targets import Targets
from mcisd.daemon.thresholds import Thresholds, system_defaults
from mcisd.daemon.vault import Vault
from mcisd.daemon.windowsink import WindowSink
from mcisd.drivers.calls import CallGate, GateSettings
from mcisd.drivers.ratelimit import Pace as CallPace
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.records import Vm
from mcisd.store.metadata.sql import SqlStore, open_store
from mcisd.store.secrets import SecretBox
from mcisd.store.series.duck import DuckSeriesStore

log = logging.getLogger(__name__)
OWN_CLOUDS = CallPace(rate=500.0, burst=500, concurrency=64)
"""The pace of clouds that are ours: no public cloud's limits apply to them."""
END = 10.0
"""Seconds each part has to end."""


@dataclass(slots=True)
class Kept:
    """What is kept, and the bus."""

    store: SqlStore
    series: DuckSeriesStore
    bus: MemoryBus
    vault: Vault
    installation: str
    events: EventMaker


@dataclass(slots=True)
class Reach:
    """How clouds and VMs are reached."""

    registry: DriverRegistry
    clouds: Clouds
    calls: CallLog
    pool: SshPool
    targets: Targets


@dataclass(slots=True)
class Samples:
    """The path of a sample."""

    receiver: Receiver
    aggregator: Aggregator
    writer: Writer
    live: LiveTable
    certificates: LinkCertificates

    def forget(self, vms: list[Vm]) -> None:
        """These VMs are gone; their links are cut and nothing more is expected of them."""
        for vm in vms:
            self.receiver.forget(vm.uid)
            self.aggregator.forget(vm.uid)
            self.live.forget(vm.uid)


class App:
    """A daemon in this process: ``start``, then ``stop``. ``bundle`` is the agent's zipapp."""

    def __init__(self, settings: Settings, clock: Clock, bundle: Callable[[], bytes]) -> None:
        self.settings = settings
        self.url = ""
        self.collector_port = 0
        self.context: Context | None = None
        self._clock = clock
        self._bundle = bundle
        self._stack = AsyncExitStack()
        self._services: list[Service] = []
        self._news: Callable[[str, str, dict[str, object]], None] = lambda kind, vm, data: None

    async def start(self) -> None:
        """Everything runs when it returns; what was begun is ended again if it raises."""
        try:
            home = self._stack.enter_context(Home(self.settings.home))
            kept = await self._stores()
            reach = self._reach(kept)
            samples = await self._samples(kept)
            self._agents(kept, reach, samples)
            alarms = self._alarms(kept)
            self.context = await self._control(kept, reach, samples, alarms)
            self.url = await self._serve(self.context)
            home.announce(self.url, self._advertised(), __version__)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything, the newest first."""
        await self._stack.aclose()

    async def _stores(self) -> Kept:
        clock, settings = self._clock, self.settings
        vault = Vault(SecretBox.load(settings.home / "secret.key"))
        store = await open_store(settings.metadata_url, clock)
        self._end("metadata store", store.close)
        series = await DuckSeriesStore.open(settings.series_path)
        self._end("series store", series.close)
        bus = MemoryBus()
        self._end("bus", bus.close)
        self._run("housekeeping", Housekeeping(settings, clock, store, series).run)
        return Kept(store, series, bus, vault, await installation_id(store), EventMaker(clock))

    def _reach(self, kept: Kept) -> Reach:
        calls = CallLog(kept.store, self._clock)
        self._end("call history", calls.drain)
        self._run("call history", calls.run)
        paces = {"local": OWN_CLOUDS, "mock": OWN_CLOUDS}
        gate = CallGate(self._clock, calls.record, GateSettings(providers=paces))
        registry = DriverRegistry()
        clouds = Clouds(kept.store, registry, gate, kept.vault, kept.installation)
        self._end("clouds", clouds.close)
        pool = SshPool()
        self._end("ssh", pool.close)
        return Reach(registry, clouds, calls, pool, Targets(kept.store, kept.vault))

    async def _samples(self, kept: Kept) -> Samples:
        """From the store backwards to the agents' door, so that no frame comes in that nobody waits for."""
        clock, settings = self._clock, self.settings.collector
        schemas = SchemaBook(kept.bus, "collectors")
        self._run("schemas", schemas.run)
        width = int(settings.window_s * 1000)
        writer = Writer(store=WindowSink(kept.series), schemas=schemas.known, clock=clock, width_ms=width)
        self._run("writer", writer.run)
        aggregator = Aggregator(
            bus=kept.bus, writer=writer, clock=clock, width_ms=width, lateness_s=settings.lateness_s
        )
        aggregator.join()
        self._run("aggregate", aggregator.run)
        self._end("windows", aggregator.drain)
        live = LiveTable(schemas.known)
        self._run("live", lambda: live.run(kept.bus))
        certificates = LinkCertificates(self.settings.home / "tls", clock)
        certificates.ensure()
        receiver = Receiver(
            bus=kept.bus,
            authenticate=Doorkeeper(kept.store).authenticate,
            clock=clock,
            on_link=self._heard,
            ssl_context=certificates.server_context(),
            interval_ms=int(self.settings.agents.interval_s * 1000),
            window_ms=width,
        )
        self.collector_port = await receiver.start(settings.host, settings.port)
        self._end("receiver", receiver.stop)
        return Samples(receiver, aggregator, writer, live, certificates)

    def _agents(self, kept: Kept, reach: Reach, samples: Samples) -> None:
        settings = self.settings.agents
        ca_pem = samples.certificates.ca_pem()
        installer = Installer(
            reach.pool, reach.targets, self._bundle(), ca_pem, self._advertised(), settings, __version__
        )
        keeper = AgentKeeper(
            kept.store,
            self._clock,
            kept.events,
            installer.install,
            samples.receiver.linked,
            enabled=settings.enabled,
            concurrency=settings.concurrent_installs,
        )
        self._news = keeper.news
        kept.store.on_commit(keeper.wake)
        self._end("agent installations", keeper.close)
        self._run("agents", keeper.run)

    def _alarms(self, kept: Kept) -> tuple[Engine, Sender]:
        notifier = AppriseNotifier()
        self._end("notifier", notifier.close)
        sender = Sender(
            store=kept.store,
            notifier=notifier,
            clock=self._clock,
            unseal=lambda channel: kept.vault.open(channel.sealed, f"channel:{channel.name}"),
        )
        self._run("messages", sender.run)
        engine = Engine(
            bus=kept.bus,
            store=kept.store,
            directory=Directory(kept.store),
            clock=self._clock,
            on_message=sender.wake,
            default_channels=self.settings.alarms.default_channels,
        )
        self._run("alarms", engine.run)
        watch = Watch(self._clock, engine.directory_changed)
        kept.store.on_commit(watch.wake)
        self._run("alarm directory", watch.run)
        return engine, sender

    async def _control(self, kept: Kept, reach: Reach, samples: Samples, alarms: tuple[Engine, Sender]) -> Context:
        clock, settings, store, events = self._clock, self.settings, kept.store, kept.events
        federation = Federation(store, clock, events, reach.registry, reach.clouds, kept.vault)
        await federation.ensure_drivers()
        reconciler = Reconciler(store, clock)
        rows = VmRows(kept.vault.make_ssh_key, kept.vault.make_host_key, clock.now)
        rules = system_defaults if settings.alarms.system_defaults else lambda ns, mcis: []
        mcis = McisService(store, clock, events, rows, reconciler.wake, rules)
        commander = Commander(store, reach.targets, reach.pool)
        policies = PolicyEngine(store, clock, events, mcis, commander.sentence)
        self._run("policies", policies.run)
        relay = Relay(store, kept.bus, kept.installation)
        self._run("event relay", relay.run)
        feed = Feed(store, kept.bus)
        self._run("event feed", feed.run)
        for wake in (relay.wake, policies.wake):
            store.on_commit(wake)
        await reconciler.start(self._parts(kept, reach, samples, mcis, reconciler))
        self._end("reconciler", reconciler.stop)
        engine, sender = alarms
        return Context(
            settings=settings,
            installation=kept.installation,
            version=__version__,
            started_at=clock.now(),
            clock=clock,
            store=store,
            vault=kept.vault,
            access=Access(load_token(settings.home / "token"), clock.now),
            events=events,
            registry=reach.registry,
            clouds=reach.clouds,
            federation=federation,
            resources=ResourceService(store, events, kept.vault.make_ssh_key, reconciler.wake),
            mcis=mcis,
            reconciler=reconciler,
            commander=commander,
            monitoring=Monitoring(store, kept.series, samples.live, samples.receiver),
            thresholds=Thresholds(store, check_rule, engine.rules_changed, defaults=settings.alarms.system_defaults),
            feed=feed,
            streams=Streams(settings.api.max_streams),
            test_channel=sender.test_channel,
            channel_scheme=lambda url: scheme(url) if usable(url) else "",
            last_heard=samples.receiver.last_heard,
            linked=samples.receiver.linked,
            health=lambda: self.health() | reconciler.health(),
            counters=lambda: counters(samples, kept.bus.dropped(), reach.calls.dropped),
        )

    def _parts(self, kept: Kept, reach: Reach, samples: Samples, mcis: McisService, reconciler: Reconciler) -> Parts:
        """What the connection workers share."""
        now = self._clock.now
        operations = Operations(kept.events, now, mcis.replace_row)
        return Parts(
            store=kept.store,
            actions=VmActions(reach.clouds, kept.vault, kept.installation, now),
            observer=Observer(reach.clouds, now),
            applier=Applier(kept.store, kept.events, operations, reconciler.wake, samples.forget),
            keeper=ResourceKeeper(kept.store, kept.events, ResourceActions(reach.clouds, kept.installation), now),
            now=now,
            pace=Pace(self.settings.reconcile.busy_s, self.settings.reconcile.idle_s),
        )

    def _heard(self, kind: str, vm: str, data: dict[str, object]) -> None:
        """News of a link, for the agent keeper: the receiver is there before it."""
        self._news(kind, vm, data)

    def _advertised(self) -> str:
        return self.settings.collector.advertise or f"{self.settings.collector.host}:{self.collector_port}"

    async def _serve(self, context: Context) -> str:
        """Listen for the API; returns its URL."""
        runner = web.AppRunner(build(context), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        self._end("api", runner.cleanup)
        self._end("streams", context.streams.close)
        host, port = self.settings.api.host, self.settings.api.port
        await web.TCPSite(runner, host, port).start()
        return f"http://{host}:{runner.addresses[0][1]}"

    def health(self) -> dict[str, str]:
        """Service name → "ok" or its last error."""
        return {service.name: service.error or "ok" for service in self._services}

    def _run(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Run a service under supervision until the end."""
        service = Service(name, body, self._clock)
        self._services.append(service)
        service.start()
        self._end(name, service.stop)

    def _end(self, name: str, end: Callable[[], Awaitable[Any]]) -> None:
        """Register how a part ends; it gets END seconds, and its failure is logged and does not stop the others."""

        async def bounded() -> None:
            try:
                async with asyncio.timeout(END):
                    await end()
            except TimeoutError:
                log.error("%s did not end within %.0f s", name, END)
            except Exception:
                log.exception("%s did not end cleanly", name)

        self._stack.push_async_callback(bounded)


def counters(samples: Samples, dropped: dict[tuple[str, str], int], calls: int) -> dict[str, float]:
    """Everything that is counted, flat, for GET /system."""
    flat = {f"receive.{name}": float(value) for name, value in asdict(samples.receiver.stats).items()}
    flat |= {f"write.{name}": float(value) for name, value in asdict(samples.writer.stats).items()}
    flat |= {f"bus.dropped.{topic}.{group}": float(count) for (topic, group), count in dropped.items()}
    return flat | {"calls.dropped": float(calls)}
