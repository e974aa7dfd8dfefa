"""The role controller: desired state into real VMs, agents onto them, policies, and everything done by one process.

The clouds' connections are divided among all controllers by lease; so are the pieces of work that only one does.
"""

from collections.abc import Callable

from mcisd import __version__
from mcisd.aio.supervise import TaskSet
from mcisd.alarms.prune import prune_messages
from mcisd.collectors.assign import route
from mcisd.daemon.agents.audit import LinkAudit
from mcisd.daemon.agents.install import Installer
from mcisd.daemon.agents.keeper import AgentKeeper
from mcisd.daemon.agents.manager import candidates_of
from mcisd.daemon.census import Census
from mcisd.daemon.commander import Commander
from mcisd.daemon.ground import Ground
from mcisd.daemon.hints import CONNECTION, GONE, listen
from mcisd.daemon.housekeeping import Housekeeping
from mcisd.daemon.leases import Work
from mcisd.daemon.mcis.actions import VmActions
from mcisd.daemon.mcis.apply import Applier
from mcisd.daemon.mcis.observe import Observer
from mcisd.daemon.mcis.operations import Operations
from mcisd.daemon.mcis.reconciler import Reconciler
from mcisd.daemon.mcis.rows import VmRows
from mcisd.daemon.mcis.service import McisService
from mcisd.daemon.mcis.worker import Pace, Parts
from mcisd.daemon.orphans import OrphanWatch
from mcisd.daemon.policies.engine import PolicyEngine
from mcisd.daemon.reach import Reach
from mcisd.daemon.relay import Relay
from mcisd.daemon.resources.actions import ResourceActions
from mcisd.daemon.resources.keeper import ResourceKeeper
from mcisd.daemon.thresholds import system_defaults
from mcisd.model.records import Vm


def make_service(ground: Ground) -> McisService:
    """Desired state of MCIS and VMs, as API and policies write it."""
    rows = VmRows(ground.vault.make_ssh_key, ground.vault.make_host_key, ground.clock.now)
    rules = system_defaults if ground.settings.alarms.system_defaults else lambda ns, mcis: []
    return McisService(ground.store, ground.clock, ground.events, rows, ground.hints.connections, rules)


async def controller(ground: Ground, reach: Reach, bundle: Callable[[], bytes], ca_pem: str) -> Reconciler:
    """Begin; the work itself begins as the leases come."""
    store, clock, leases = ground.store, ground.clock, ground.leases
    mcis = make_service(ground)
    reconciler = Reconciler(store, clock, lambda name: leases.wake())
    reconciler.use(_parts(ground, reach, mcis, reconciler))
    ground.host.end("reconciler", reconciler.stop)
    leases.add(Work("controller", reconciler.names, reconciler.begin, reconciler.end))
    listen(store, CONNECTION, lambda name: reconciler.wake([name]))
    listen(store, GONE, lambda name: leases.wake())
    _keep_agents(ground, reach, reconciler, bundle, ca_pem)
    commander = Commander(store, reach.targets, reach.pool)
    policies = PolicyEngine(store, clock, ground.events, mcis, commander.sentence)
    relay = Relay(store, ground.bus, ground.installation)
    census = Census(store, clock)
    orphans = OrphanWatch(store, reach.inventory, clock, ground.settings.reconcile.orphans_s)
    store.on_commit(policies.wake)
    store.on_commit(relay.wake)
    bodies = {
        "policies": policies.run,
        "event relay": relay.run,
        "housekeeping": Housekeeping(ground.settings, clock, store, prune_messages).run,
        "link audit": LinkAudit(store, clock, ground.events, ground.nodes).run,
        "census": census.run,
        "orphan watch": orphans.run,
    }
    leases.add(ground.host.single("controller", bodies))
    ground.telemetry.add("events_relayed_total", lambda: relay.relayed)
    ground.telemetry.add("vms", lambda: census.vms)
    ground.telemetry.add("agents", lambda: census.agents)
    ground.telemetry.add("cloud_orphans", lambda: orphans.orphans)
    return reconciler


def _keep_agents(
    ground: Ground, reach: Reach, reconciler: Reconciler, bundle: Callable[[], bytes], ca_pem: str
) -> None:
    settings = ground.settings.agents

    def servers(vm: Vm) -> list[tuple[str, int]]:
        return [one.address for one in route(vm.uid, vm.region, candidates_of(ground.nodes))]

    installer = Installer(reach.pool, reach.targets, bundle(), ca_pem, servers, settings, __version__)
    keeper = AgentKeeper(
        ground.store,
        ground.clock,
        ground.events,
        installer.install,
        version=installer.version,
        owns=reconciler.owns,
        enabled=settings.enabled,
        concurrency=settings.concurrent_installs,
    )
    ground.store.on_commit(keeper.wake)
    ground.host.end("agent installations", keeper.close)
    ground.host.run("agents", keeper.run)


def _parts(ground: Ground, reach: Reach, mcis: McisService, reconciler: Reconciler) -> Parts:
    """What the connection workers share."""
    now, pace = ground.clock.now, ground.settings.reconcile
    forgetting = TaskSet("forget VMs")
    ground.host.end("forgotten VMs", forgetting.close)

    def gone(vms: list[Vm]) -> None:
        forgetting.spawn(ground.agents.forget([vm.uid for vm in vms]))

    operations = Operations(ground.events, now, mcis.replace_row)
    return Parts(
        store=ground.store,
        actions=VmActions(reach.clouds, ground.vault, ground.installation, now),
        observer=Observer(reach.clouds, now),
        applier=Applier(ground.store, ground.events, operations, reconciler.wake, gone),
        keeper=ResourceKeeper(ground.store, ground.events, ResourceActions(reach.clouds, ground.installation), now),
        now=now,
        pace=Pace(pace.busy_s, pace.idle_s),
        overdue_after=pace.overdue_s,
    )
