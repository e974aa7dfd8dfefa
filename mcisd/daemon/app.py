"""The composition root: one straight line from settings to a running process with its roles.

Each part is made after what it needs, its end is registered beside it, and the ends run in reverse, each bounded.
"""

from collections.abc import Callable

from mcisd import __version__
from mcisd.aio.clock import Clock
from mcisd.collectors.tls import LinkCertificates
from mcisd.daemon import roles
from mcisd.daemon.agents.install import parse_address
from mcisd.daemon.agents.manager import DRAIN_S, CollectorManager
from mcisd.daemon.api.context import Context
from mcisd.daemon.controller import controller
from mcisd.daemon.ground import Ground, join, lay
from mcisd.daemon.home import Home
from mcisd.daemon.host import Host
from mcisd.daemon.mcis.reconciler import Reconciler
from mcisd.daemon.reach import Reach, reach
from mcisd.daemon.serving import context, serve, serve_health
from mcisd.daemon.settings import Settings
from mcisd.daemon.telemetry import Telemetry


class App:
    """A process of the daemon: ``start``, then ``stop``. ``bundle`` is the agent's zipapp."""

    def __init__(self, settings: Settings, clock: Clock, bundle: Callable[[], bytes]) -> None:
        self.settings = settings
        self.url = ""
        self.collector_port = 0
        self.context: Context | None = None
        self.telemetry = Telemetry()
        self._clock = clock
        self._bundle = bundle
        self._host = Host(clock, self.telemetry)
        self._ground: Ground | None = None
        self._reconciler: Reconciler | None = None
        self._manager: CollectorManager | None = None

    async def start(self) -> None:
        """Everything runs when it returns; what was begun is ended again if it raises."""
        try:
            home = self._host.stack.enter_context(Home(self.settings.home, self.settings.node.name))
            self._ground = ground = await lay(self.settings, self._clock, self._host, self.telemetry)
            self.url, address = await self._roles(ground)
            await join(ground, self.url, address)
            self._host.end("drain", self._drain, DRAIN_S)
            if ground.has("api"):
                home.announce(self.url, address, __version__)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything, the newest first."""
        await self._host.close()

    async def _drain(self) -> None:
        """No new work for us, and our agents go elsewhere, if there is an elsewhere."""
        if self._ground is not None:
            await self._ground.nodes.drain()
        if self._manager is not None:
            await self._manager.drain()

    async def _roles(self, ground: Ground) -> tuple[str, str]:
        """The roles in their order; the URL and the address for agents."""
        reached: Reach | None = None
        if ground.has("writer") or ground.has("api"):
            samples = await roles.samples(ground)
            if ground.has("writer"):
                roles.writer(ground, samples)
        sender = await roles.alarms(ground) if ground.has("alarms") else None
        certs = await roles.certificates(ground) if ground.has("collector") or ground.has("controller") else None
        address = await self._collector(ground, certs) if certs and ground.has("collector") else ""
        if ground.has("controller") or ground.has("api"):
            reached = reach(ground)
        if certs and reached and ground.has("controller"):
            self._reconciler = await controller(ground, reached, self._bundle, certs.ca_pem())
        if not reached or not ground.has("api"):
            return await serve_health(ground, self.ill), address
        self.context = await context(ground, reached, samples, sender or roles.make_sender(ground), self.health)
        return await serve(ground, self.context), address

    async def _collector(self, ground: Ground, certs: LinkCertificates) -> str:
        made = await roles.collector(ground, certs)
        self.collector_port = made.port
        self._manager = made.manager
        settings = self.settings.collector
        address = settings.advertise or f"{settings.host}:{made.port}"
        parse_address(address)
        return address

    def health(self) -> dict[str, str]:
        """Service name → "ok" or its last error."""
        found = self._host.health()
        if self._reconciler is not None:
            found |= self._reconciler.health()
        if self._ground is not None and self._ground.nodes.fenced:
            found["node"] = "the metadata store is away; other processes take over"
        return found

    def ill(self) -> dict[str, str]:
        """What does not work: name → why."""
        return {name: state for name, state in self.health().items() if state != "ok"}
