"""What every process of the installation has, whatever its roles: stores, bus, its place among the others."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mcisd import __version__
from mcisd.aio.clock import Clock
from mcisd.bus.base import Bus
from mcisd.daemon.adapters import open_bus, open_metadata
from mcisd.daemon.agents.remote import RemoteAgents, on_forget
from mcisd.daemon.control import Control
from mcisd.daemon.events import EventMaker
from mcisd.daemon.hints import Hints
from mcisd.daemon.home import installation_id
from mcisd.daemon.host import Host
from mcisd.daemon.leases import Leases
from mcisd.daemon.nodes import HINT, Nodes, new_node
from mcisd.daemon.settings import Settings
from mcisd.daemon.shared import check_key
from mcisd.daemon.telemetry import SelfReport, Telemetry, add_process
from mcisd.daemon.vault import Vault
from mcisd.store.base import MetadataStore
from mcisd.store.secrets import SecretBox


@dataclass(slots=True)
class Ground:
    """Shared by the roles of this process. ``nodes.join`` and ``leases.run`` come last, when the roles stand."""

    settings: Settings
    clock: Clock
    host: Host
    telemetry: Telemetry
    store: MetadataStore
    bus: Bus
    vault: Vault
    installation: str
    events: EventMaker
    nodes: Nodes
    leases: Leases
    hints: Hints
    control: Control
    agents: RemoteAgents
    forgetters: list[Callable[[str], None]] = field(default_factory=list)  # told of VMs that are gone for good

    def has(self, role: str) -> bool:
        return role in self.settings.node.roles


async def lay(settings: Settings, clock: Clock, host: Host, telemetry: Telemetry) -> Ground:
    """Open the stores and the bus. Each end is registered beside its beginning."""
    vault = Vault(SecretBox.load(settings.secret_key_file))
    store = await open_metadata(settings, clock)
    host.end("metadata store", store.close)
    installation = await installation_id(store)
    await check_key(store, vault, installation)
    bus = await open_bus(settings, clock)
    host.end("bus", bus.close)
    node = settings.node
    me = new_node(node.name, tuple(node.roles), __version__, node.region)
    nodes = Nodes(store, clock, me, beat_s=node.beat_s, dead_after_s=node.dead_after_s, alone=settings.alone)
    control = Control(bus, me.uid)
    ground = Ground(
        settings=settings, clock=clock, host=host, telemetry=telemetry, store=store, bus=bus, vault=vault,
        installation=installation, events=EventMaker(clock), nodes=nodes, leases=Leases(store, nodes),
        hints=Hints(store), control=control, agents=RemoteAgents(control, nodes),
    )  # fmt: skip
    _watch(ground)
    return ground


def _watch(ground: Ground) -> None:
    """The services that every process runs, and what it tells of itself."""
    host, telemetry, bus = ground.host, ground.telemetry, ground.bus
    host.end("control", ground.control.close)
    host.run("control", ground.control.run)
    host.run("hints", ground.hints.run)
    ground.store.on_hint(lambda name: ground.nodes.wake() if name == HINT else None)
    ground.store.on_hint(lambda name: ground.leases.wake() if name == "leases" else None)
    add_process(telemetry, ground.clock)
    telemetry.add("bus_lag", lambda: {key: float(count) for key, count in bus.lag().items()})
    telemetry.add("bus_dropped_total", lambda: {key: float(count) for key, count in bus.dropped().items()})
    telemetry.add("control_refused_total", lambda: ground.control.refused)
    telemetry.add("leases_held", lambda: len(ground.leases.held))
    telemetry.add(
        "nodes", lambda: {(role,): float(len(ground.nodes.alive(role))) for role in ground.settings.node.roles}
    )


async def join(ground: Ground, url: str, collector: str) -> None:
    """Take part: from now on others see this process, and it takes work."""
    host, nodes = ground.host, ground.nodes
    on_forget(ground.control, ground.forgetters)
    nodes.announce(url, collector)
    await nodes.join()
    host.end("node", nodes.leave)
    host.run("nodes", nodes.run)
    host.end("leases", ground.leases.close)
    host.run("leases", ground.leases.run)
    ground.leases.wake()
    window_ms = int(ground.settings.collector.window_s * 1000)
    report = SelfReport(ground.telemetry, ground.bus, ground.clock, ground.settings.node.name, window_ms)
    host.run("telemetry", report.run)
