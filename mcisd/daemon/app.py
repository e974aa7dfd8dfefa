"""The composition root: one straight line from settings to a running daemon.

Each part is made after what it needs, its end is registered beside it, and the ends run in reverse, each bounded.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
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
from mcisd.store.metadata.sql import open_store
from mcisd.store.secrets import SecretBox
from mcisd.store.series.duck import DuckSeriesStore

log = logging.getLogger(__name__)
OWN_CLOUDS = CallPace(rate=500.0, burst=500, concurrency=64)
"""The pace of clouds that are ours: no public cloud's limits apply to them."""
END = 10.0
"""Seconds each part has to end."""


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

    async def start(self) -> None:
        """Everything runs when it returns; what was begun is ended again if it raises."""
        try:
            await self._build()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything, the newest first."""
        await self._stack.aclose()

    async def _build(self) -> None:
        settings, clock = self.settings, self._clock
        home = self._stack.enter_context(Home(settings.home))
        vault = Vault(SecretBox.load(settings.home / "secret.key"))
        access = Access(load_token(settings.home / "token"), clock.now)

        store = await open_store(settings.metadata_url, clock)
        self._end("metadata store", store.close)
        series = await DuckSeriesStore.open(settings.series_path)
        self._end("series store", series.close)
        bus = MemoryBus()
        self._end("bus", bus.close)
        installation = await installation_id(store)
        events = EventMaker(clock)

        calls = CallLog(store, clock)
        self._end("call history", calls.drain)
        self._run("call history", calls.run)
        gate = CallGate(clock, calls.record, GateSettings(providers={"local": OWN_CLOUDS, "mock": OWN_CLOUDS}))
        registry = DriverRegistry()
        clouds = Clouds(store, registry, gate, vault, installation)
        self._end("clouds", clouds.close)
        federation = Federation(store, clock, events, registry, clouds, vault)
        await federation.ensure_drivers()

        pool = SshPool()
        self._end("ssh", pool.close)
        targets = Targets(store, vault)
        commander = Commander(store, targets, pool)

        # The path of a sample, from its end to its beginning.
        schemas = SchemaBook(bus, "collectors")
        self._run("schemas", schemas.run)
        window_ms = int(settings.collector.window_s * 1000)
        writer = Writer(store=WindowSink(series), schemas=schemas.known, clock=clock, width_ms=window_ms)
        self._run("writer", writer.run)
        aggregator = Aggregator(
            bus=bus, writer=writer, clock=clock, width_ms=window_ms, lateness_s=settings.collector.lateness_s
        )
        aggregator.join()
        self._run("aggregate", aggregator.run)
        self._end("windows", aggregator.drain)
        live = LiveTable(schemas.known)
        self._run("live", lambda: live.run(bus))
        tls = LinkCertificates(settings.home / "tls", clock)
        tls.ensure()
        receiver = Receiver(
            bus=bus,
            authenticate=Doorkeeper(store).authenticate,
            clock=clock,
            on_link=lambda kind, vm, data: keeper.news(kind, vm, data),  # noqa: PLW0108 - the keeper is made below
            ssl_context=tls.server_context(),
            interval_ms=int(settings.agents.interval_s * 1000),
            window_ms=window_ms,
        )
        self.collector_port = await receiver.start(settings.collector.host, settings.collector.port)
        self._end("receiver", receiver.stop)

        advertise = settings.collector.advertise or f"{settings.collector.host}:{self.collector_port}"
        installer = Installer(pool, targets, self._bundle(), tls.ca_pem(), advertise, settings.agents, __version__)
        keeper = AgentKeeper(
            store,
            clock,
            events,
            installer.install,
            lambda vm: vm in receiver.connected(),
            enabled=settings.agents.enabled,
            concurrency=settings.agents.concurrent_installs,
        )
        self._end("agent installations", keeper.close)
        self._run("agents", keeper.run)

        # The path of an alarm.
        notifier = AppriseNotifier()
        self._end("notifier", notifier.close)
        sender = Sender(
            store=store, notifier=notifier, clock=clock,
            unseal=lambda channel: vault.open(channel.sealed, f"channel:{channel.name}"),
        )  # fmt: skip
        self._run("messages", sender.run)
        engine = Engine(
            bus=bus, store=store, directory=Directory(store), clock=clock, on_message=sender.wake,
            default_channels=settings.alarms.default_channels,
        )  # fmt: skip
        self._run("alarms", engine.run)
        watch = Watch(clock, engine.directory_changed)
        self._run("alarm directory", watch.run)

        # The path of a request.
        reconciler = Reconciler(store, clock)
        rows = VmRows(vault.make_ssh_key, vault.make_host_key, clock.now)
        rules = system_defaults if settings.alarms.system_defaults else lambda ns, mcis: []
        mcis = McisService(store, clock, events, rows, reconciler.wake, rules)
        operations = Operations(events, clock.now, mcis.replace_row)

        def gone(vms: list[Vm]) -> None:
            for vm in vms:
                receiver.forget(vm.uid)
                aggregator.forget(vm.uid)
                live.forget(vm.uid)

        parts = Parts(
            store=store,
            actions=VmActions(clouds, vault, installation, clock.now),
            observer=Observer(clouds, clock.now),
            applier=Applier(store, events, operations, reconciler.wake, gone),
            keeper=ResourceKeeper(store, events, ResourceActions(clouds, installation), clock.now),
            now=clock.now,
            pace=Pace(settings.reconcile.busy_s, settings.reconcile.idle_s),
        )
        policies = PolicyEngine(store, clock, events, mcis, commander.sentence)
        self._run("policies", policies.run)
        relay = Relay(store, bus, installation)
        self._run("event relay", relay.run)
        feed = Feed(store, bus)
        self._run("event feed", feed.run)
        for wake in (relay.wake, policies.wake, keeper.wake, watch.wake):
            store.on_commit(wake)
        await reconciler.start(parts)
        self._end("reconciler", reconciler.stop)
        self._run("housekeeping", Housekeeping(settings, clock, store, series).run)

        streams = Streams(settings.api.max_streams)
        self.context = Context(
            settings=settings,
            installation=installation,
            version=__version__,
            started_at=clock.now(),
            clock=clock,
            store=store,
            vault=vault,
            access=access,
            events=events,
            registry=registry,
            clouds=clouds,
            federation=federation,
            resources=ResourceService(store, events, vault.make_ssh_key, reconciler.wake),
            mcis=mcis,
            reconciler=reconciler,
            commander=commander,
            monitoring=Monitoring(store, series, live, receiver),
            thresholds=Thresholds(store, check_rule, engine.rules_changed, defaults=settings.alarms.system_defaults),
            feed=feed,
            streams=streams,
            test_channel=sender.test_channel,
            channel_scheme=lambda url: scheme(url) if usable(url) else "",
            last_heard=receiver.last_heard,
            health=lambda: self.health() | reconciler.health(),
            counters=lambda: counters(receiver.stats, writer.stats, aggregator.stats, bus.dropped(), calls.dropped),
        )
        self.url = await self._serve(streams)
        home.announce(self.url, advertise, __version__)

    async def _serve(self, streams: Streams) -> str:
        """Listen for the API; returns its URL."""
        if self.context is None:
            raise RuntimeError("the context is made before the server")
        runner = web.AppRunner(build(self.context), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        self._end("api", runner.cleanup)
        self._end("streams", streams.close)
        host, port = self.settings.api.host, self.settings.api.port
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        return f"http://{host}:{address[1]}"

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


def counters(*sources: object) -> dict[str, float]:
    """Everything that is counted, flat, for GET /system."""
    receive, write, aggregate, dropped, calls = sources
    flat: dict[str, float] = {"calls.dropped": float(calls) if isinstance(calls, int) else 0.0}
    for prefix, stats in (("receive", receive), ("write", write), ("aggregate", aggregate)):
        names = getattr(type(stats), "__dataclass_fields__", {})
        flat |= {f"{prefix}.{name}": float(getattr(stats, name)) for name in names}
    if isinstance(dropped, dict):
        flat |= {f"bus.dropped.{topic}.{group}": float(count) for (topic, group), count in dropped.items()}
    return flat
