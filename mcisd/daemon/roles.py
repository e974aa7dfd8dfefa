"""The roles of a process, one function each: what it makes, runs and ends. Together they are the whole daemon.

From the store backwards to the agents' door (writer, alarms, collector), so that no frame comes in that nobody waits
for; then who decides (controller), then who serves (api).
"""

from dataclasses import asdict, dataclass

from mcisd.aio.periodic import every
from mcisd.alarms.engine import Engine
from mcisd.alarms.notify import AppriseNotifier
from mcisd.alarms.sender import Sender
from mcisd.alarms.stats import Stats
from mcisd.collectors.aggregate import Aggregator
from mcisd.collectors.identities import IdentityBook
from mcisd.collectors.live import LiveTable
from mcisd.collectors.receive import Receiver
from mcisd.collectors.schemas import SchemaBook
from mcisd.collectors.tls import LinkCertificates
from mcisd.collectors.writer import Writer
from mcisd.daemon.adapters import open_series
from mcisd.daemon.agents.doorkeeper import Doorkeeper
from mcisd.daemon.agents.links import LinkLedger
from mcisd.daemon.agents.manager import CollectorManager
from mcisd.daemon.agents.remote import AgentDesk
from mcisd.daemon.directory import Directory, Watch
from mcisd.daemon.ground import Ground
from mcisd.daemon.hints import RULES, listen
from mcisd.daemon.shared import share_ca
from mcisd.daemon.telemetry import Labels
from mcisd.daemon.windowsink import WindowSink
from mcisd.store.series.base import SeriesStore

COMPACT_S, DAY, HOUR_MS = 60.0, 86_400.0, 3_600_000


@dataclass(slots=True)
class Samples:
    """What of the samples' path is shared by roles of this process."""

    schemas: SchemaBook
    series: SeriesStore
    live: LiveTable


async def samples(ground: Ground) -> Samples:
    """For writer and api: the store of series, what frames mean, and the newest of them."""
    series = await open_series(ground.settings, ground.clock)
    ground.host.end("series store", series.close)
    schemas = SchemaBook(ground.bus, "collectors")
    ground.host.run("schemas", schemas.run)
    live = LiveTable(schemas.known)
    if ground.has("api"):
        ground.host.run("live", lambda: live.run(ground.bus))
        ground.forgetters.append(live.forget)
    return Samples(schemas, series, live)


def writer(ground: Ground, shared: Samples) -> Aggregator:
    """From the bus to the store of series."""
    host, clock, settings = ground.host, ground.clock, ground.settings.collector
    identities = IdentityBook(ground.bus, "writer")
    host.run("identities", identities.run)
    width = int(settings.window_s * 1000)
    out = Writer(
        store=WindowSink(shared.series), schemas=shared.schemas.known, identities=identities.known, clock=clock,
        width_ms=width,
    )  # fmt: skip
    host.run("writer", out.run)
    aggregator = Aggregator(
        bus=ground.bus,
        writer=out,
        clock=clock,
        width_ms=width,
        lateness_s=settings.lateness_s,
        shared=not ground.settings.alone,
    )
    aggregator.join()
    host.run("aggregate", aggregator.run)
    host.end("windows", aggregator.drain)
    host.run("series upkeep", lambda: every(clock, COMPACT_S, lambda: _upkeep(ground, shared.series), offset=COMPACT_S))
    ground.forgetters.append(aggregator.forget)
    ground.telemetry.add("write_total", lambda: {(name,): float(n) for name, n in asdict(out.stats).items()})
    ground.telemetry.add("write_rejected_total", lambda: {(w,): float(n) for w, n in shared.series.rejected().items()})
    return aggregator


async def _upkeep(ground: Ground, series: SeriesStore) -> None:
    """What a store of series must do by itself now and then: compact, and let go of what is too old."""
    now_ms = int(ground.clock.now() * 1000)
    before = now_ms - int(ground.settings.collector.retention_days * DAY * 1000)
    await series.prune(before - before % HOUR_MS)  # whole hours: a part of one would have to be written anew
    await series.compact(now_ms)


async def alarms(ground: Ground) -> Sender:
    """Judge and tell. Judging is divided by partition; one process at a time sends."""
    host, store = ground.host, ground.store
    sender = make_sender(ground)
    engine = Engine(
        bus=ground.bus,
        store=store,
        directory=Directory(store),
        clock=ground.clock,
        on_message=sender.wake,
        default_channels=ground.settings.alarms.default_channels,
    )
    host.run("alarms", engine.run)
    store.on_commit(sender.wake)
    ground.leases.add(host.single("alarms", {"messages": sender.run}))
    watch = Watch(ground.clock, engine.directory_changed)
    store.on_commit(watch.wake)
    host.run("alarm directory", watch.run)
    listen(store, RULES, lambda _: engine.rules_changed())
    ground.telemetry.add("alarm_total", lambda: _counts(engine.stats))
    ground.telemetry.add("alarms", lambda: _phases(engine.stats))
    return sender


def _counts(stats: Stats) -> dict[Labels, float]:
    return {(name,): float(number) for name, number in asdict(stats).items() if isinstance(number, int)}


def _phases(stats: Stats) -> dict[Labels, float]:
    phases = {"firing": stats.firing, "pending": stats.pending}
    return {(*place, phase): float(n) for phase, places in phases.items() for place, n in places.items()}


def make_sender(ground: Ground) -> Sender:
    """Sends messages, or tests channels."""
    notifier = AppriseNotifier()
    ground.host.end("notifier", notifier.close)
    return Sender(
        store=ground.store,
        notifier=notifier,
        clock=ground.clock,
        unseal=lambda channel: ground.vault.open(channel.sealed, f"channel:{channel.name}"),
    )


@dataclass(slots=True)
class Collector:
    """A collector that listens."""

    receiver: Receiver
    manager: CollectorManager
    port: int


async def certificates(ground: Ground) -> LinkCertificates:
    """The CA of the installation, and a certificate of it."""
    folder = ground.settings.home / "tls"
    made = LinkCertificates(folder, ground.clock)
    await share_ca(ground.store, ground.vault, folder, made)
    return made


async def collector(ground: Ground, certs: LinkCertificates) -> Collector:
    """The agents' door."""
    host, settings = ground.host, ground.settings
    doorkeeper = Doorkeeper(ground.store)
    ledger = LinkLedger(ground.store, ground.clock, ground.events, ground.nodes.me.uid)
    host.end("link news", ledger.drain)
    host.run("link news", ledger.run)
    receiver = Receiver(
        bus=ground.bus,
        authenticate=doorkeeper.authenticate,
        clock=ground.clock,
        on_link=ledger.news,
        ssl_context=certs.server_context(),
        interval_ms=int(settings.agents.interval_s * 1000),
        window_ms=int(settings.collector.window_s * 1000),
        shared=not settings.alone,
    )
    manager = CollectorManager(ground.nodes, receiver, doorkeeper.region, ground.clock)
    receiver.set_route(manager.order, manager.everyone)
    port = await receiver.start(settings.collector.host, settings.collector.port)
    host.end("receiver", receiver.stop)
    host.run("collector manager", manager.run)
    AgentDesk(receiver, lambda: ground.nodes.me.uid).serve_on(ground.control)
    ground.nodes.load = lambda: (receiver.links(), receiver.frames_per_s())
    _count_agents(ground, receiver, manager, ledger)
    ground.forgetters += [receiver.forget, doorkeeper.forget]
    return Collector(receiver, manager, port)


def _count_agents(ground: Ground, receiver: Receiver, manager: CollectorManager, ledger: LinkLedger) -> None:
    telemetry, stats = ground.telemetry, receiver.stats
    telemetry.add("agent_links", receiver.links)
    telemetry.add("agent_frames_total", lambda: stats.frames)
    telemetry.add("agent_samples_total", lambda: stats.samples)
    telemetry.add("agent_frames_by_fate_total", lambda: {(name,): float(n) for name, n in asdict(stats).items()})
    telemetry.add("agent_moves_total", lambda: manager.moved)
    telemetry.add("link_news_dropped_total", lambda: ledger.dropped)
