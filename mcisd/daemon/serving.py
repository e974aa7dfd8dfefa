"""The role api: the HTTP door for users, and the context its handlers use."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from mcisd import __version__
from mcisd.alarms.notify import scheme, usable
from mcisd.alarms.rule import check_rule
from mcisd.alarms.sender import Sender
from mcisd.collectors.live import LiveFrame
from mcisd.daemon.api.access import Access, load_token
from mcisd.daemon.api.context import Context
from mcisd.daemon.api.server import build
from mcisd.daemon.api.streams import Streams
from mcisd.daemon.commander import Commander
from mcisd.daemon.controller import make_service
from mcisd.daemon.federation import Federation
from mcisd.daemon.feed import Feed
from mcisd.daemon.ground import Ground
from mcisd.daemon.health import health_app
from mcisd.daemon.monitoring import Monitoring
from mcisd.daemon.reach import Reach
from mcisd.daemon.resources.service import ResourceService
from mcisd.daemon.roles import Samples
from mcisd.daemon.shared import share_token
from mcisd.daemon.thresholds import Thresholds

Health = Callable[[], dict[str, str]]


async def context(ground: Ground, reach: Reach, samples: Samples, sender: Sender, health: Health) -> Context:
    """What handlers may use."""
    clock, settings, store = ground.clock, ground.settings, ground.store
    federation = Federation(store, clock, ground.events, reach.registry, reach.clouds, ground.vault)
    await federation.ensure_drivers()
    feed = Feed(store, ground.bus)
    ground.host.run("event feed", feed.run)
    path = settings.home / "token"
    token = load_token(path)
    if not settings.alone:
        token = await share_token(store, ground.vault, path, token)
    hints = ground.hints
    return Context(
        settings=settings,
        installation=ground.installation,
        version=__version__,
        started_at=clock.now(),
        clock=clock,
        store=store,
        vault=ground.vault,
        access=Access(token, clock.now),
        events=ground.events,
        registry=reach.registry,
        clouds=reach.clouds,
        inventory=reach.inventory,
        federation=federation,
        resources=ResourceService(store, ground.events, ground.vault.make_ssh_key, hints.connections),
        mcis=make_service(ground),
        hints=hints,
        nodes=ground.nodes,
        telemetry=ground.telemetry,
        commander=Commander(store, reach.targets, reach.pool),
        monitoring=Monitoring(store, samples.series, samples.live, ground.agents),
        thresholds=Thresholds(store, check_rule, hints.rules, defaults=settings.alarms.system_defaults),
        feed=feed,
        streams=Streams(settings.api.max_streams),
        test_channel=sender.test_channel,
        channel_scheme=lambda url: scheme(url) if usable(url) else "",
        last_heard=lambda vm: _time(samples.live.last(vm)),
        health=health,
    )


def _time(frame: LiveFrame | None) -> float | None:
    """When the newest frame was measured."""
    return frame.time_ms / 1000 if frame is not None else None


async def serve(ground: Ground, made: Context) -> str:
    """Listen for the API; returns its URL."""
    settings = ground.settings.api
    url = await _listen(ground, "api", build(made), settings.host, settings.port)
    ground.host.end("streams", made.streams.close)
    return url


async def serve_health(ground: Ground, ill: Health) -> str:
    """Listen for health and metrics alone; returns its URL."""
    node = ground.settings.node
    return await _listen(ground, "health", health_app(ill, ground.telemetry), node.host, node.port)


async def _listen(ground: Ground, name: str, app: web.Application, host: str, port: int) -> str:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    end: Callable[[], Awaitable[None]] = runner.cleanup
    ground.host.end(name, end)
    await web.TCPSite(runner, host, port).start()
    return f"http://{host}:{runner.addresses[0][1]}"
