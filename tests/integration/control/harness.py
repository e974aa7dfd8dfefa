"""A control core without HTTP and agents: real store, gate, services and reconciler over one scripted cloud.

In: a directory, a RigCloud, a clock that runs fast. Out: a Core to ask things of, and looks at what became of them.
Emulated: the clouds (scripted, in this process) and the speed of time. All else is what the daemon runs.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mcisd.aio.clock import Clock, SystemClock
from mcisd.aio.retry import Backoff
from mcisd.daemon.clouds import Clouds
from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis.actions import VmActions
from mcisd.daemon.mcis.apply import Applier
from mcisd.daemon.mcis.decide import OVERDUE_AFTER
from mcisd.daemon.mcis.observe import Observer
from mcisd.daemon.mcis.operations import Operations
from mcisd.daemon.mcis.reconciler import Reconciler
from mcisd.daemon.mcis.requests import Caller, McisRequest, VmGroup
from mcisd.daemon.mcis.rows import VmRows
from mcisd.daemon.mcis.service import McisService
from mcisd.daemon.mcis.worker import Pace, Parts
from mcisd.daemon.resources.actions import ResourceActions
from mcisd.daemon.resources.keeper import ResourceKeeper
from mcisd.daemon.resources.service import ResourceService
from mcisd.daemon.vault import Vault
from mcisd.drivers.base import CloudDriver
from mcisd.drivers.calls import CallGate, CallRecord, GateSettings
from mcisd.drivers.mock.cloud import MockCloud
from mcisd.drivers.mock.driver import MockConnection, MockDriver
from mcisd.drivers.mock.settings import MockSettings, Spread
from mcisd.drivers.ratelimit import Pace as CallPace
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.events import Event
from mcisd.model.ids import new_id
from mcisd.model.records import (
    CloudDriverRecord,
    Connection,
    Credential,
    Namespace,
    Operation,
    Region,
    Resource,
    Vm,
)
from mcisd.model.states import OnFailure, OperationState, ResourceState
from mcisd.store.base import MetadataStore
from mcisd.store.metadata.sql import SqlStore, open_store
from mcisd.store.secrets import SecretBox

INSTALLATION = "in-control-tests"
NS = "demo"
FAST = Pace(busy=0.004, idle=0.02)
QUICK = MockSettings(boot=Spread(0.3), stop=Spread(0.2), start=Spread(0.2), terminate=Spread(0.2), shown_terminated=0.5)
"""A cloud whose changes take some tenths of a second of fast time: a few milliseconds."""
PATIENCE = 20.0


class FastClock:
    """Real time, ``speed`` times as fast: what waits for half a minute waits for a third of a second."""

    def __init__(self, speed: float = 100.0) -> None:
        self._speed = speed
        self._real = SystemClock()
        self._start = self._real.now()
        self._begun = self._real.monotonic()

    def now(self) -> float:
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        return (self._real.monotonic() - self._begun) * self._speed

    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds / self._speed)


class RigDriver(MockDriver):
    """The mock driver on a cloud that the test holds in its hand."""

    def __init__(self, cloud: MockCloud) -> None:
        self._cloud = cloud

    async def connect(self, spec: ConnectionSpec, installation: str) -> MockConnection:
        return MockConnection(self._cloud, spec, installation)


class RigRegistry(DriverRegistry):
    def __init__(self, cloud: MockCloud) -> None:
        super().__init__()
        self._driver = RigDriver(cloud)

    def load(self, name: str, path: str | None = None) -> CloudDriver:
        return self._driver


@dataclass(slots=True)
class Core:
    """One run of the control core. ``calls`` is the call history of the run."""

    store: SqlStore
    cloud: MockCloud
    clock: Clock
    vault: Vault
    clouds: Clouds
    mcis: McisService
    resources: ResourceService
    reconciler: Reconciler
    applier: Applier
    calls: list[CallRecord] = field(default_factory=list)
    gone: list[Vm] = field(default_factory=list)

    async def connect(self, name: str, region: str) -> None:
        """A connection config with all it refers to, and the namespace."""
        sealed = self.vault.seal(json.dumps({"secret": "mock"}), f"credential:{name}")
        async with self.store.transaction() as tx:
            if await tx.first(CloudDriverRecord, name="mock") is None:
                await tx.insert(CloudDriverRecord(uid=new_id("dr"), name="mock", provider="mock"))
            if await tx.first(Namespace, name=NS) is None:
                await tx.insert(Namespace(uid=new_id("ns"), name=NS))
            await tx.insert(Credential(uid=new_id("cr"), name=name, provider="mock", keys=("secret",), sealed=sealed))
            await tx.insert(Region(uid=new_id("rg"), name=name, provider="mock", region=region))
            await tx.insert(
                Connection(uid=new_id("cn"), name=name, provider="mock", driver="mock", credential=name, region=name)
            )

    async def create(
        self, name: str, *groups: VmGroup, on_failure: OnFailure = OnFailure.KEEP, key: str | None = None
    ) -> Operation:
        request = McisRequest(name=name, groups=groups, on_failure=on_failure)
        return await self.mcis.create(NS, request, Caller(key=key, request_hash="h"))

    async def vms(self, name: str = "") -> list[Vm]:
        """All VM rows, or those of one MCIS."""
        async with self.store.reading() as tx:
            rows = await tx.find(Vm)
        return [vm for vm in rows if name in ("", vm.mcis_name)]

    async def vm(self, name: str) -> Vm:
        return next(vm for vm in await self.vms() if vm.name == name)

    async def states(self, name: str = "") -> dict[str, str]:
        """VM name → state, of VMs that are not on their way out."""
        return {vm.name: vm.state.value for vm in await self.vms(name) if not vm.disposable}

    async def operation(self, uid: str) -> Operation:
        async with self.store.reading() as tx:
            found = await tx.get(Operation, uid)
        assert found is not None
        return found

    async def operations(self) -> list[Operation]:
        async with self.store.reading() as tx:
            return await tx.find(Operation)

    async def all_resources(self) -> list[Resource]:
        async with self.store.reading() as tx:
            return await tx.find(Resource)

    async def events(self, kind: str = "") -> list[Event]:
        """Events of the outbox, all or of one type."""
        found = await self.store.events_after(0, 100_000)
        return [event for event in found if kind in ("", event.type)]

    async def until(self, ready: Callable[[list[Vm]], bool], patience: float = PATIENCE) -> list[Vm]:
        """The VM rows as soon as ``ready`` says yes to them."""
        async with asyncio.timeout(patience):
            while True:
                rows = await self.vms()
                if ready(rows):
                    return rows
                await asyncio.sleep(0.003)

    async def finished(self, operation: Operation, patience: float = PATIENCE) -> Operation:
        """The operation once it is finished."""
        async with asyncio.timeout(patience):
            while True:
                row = await self.operation(operation.uid)
                if row.state is not OperationState.RUNNING:
                    return row
                await asyncio.sleep(0.003)

    async def settled(self, patience: float = PATIENCE) -> None:
        """Nothing is under way any more: no pending VM, no running operation, no resource being made or removed."""
        async with asyncio.timeout(patience):
            while not await self._is_settled():  # noqa: ASYNC110 - rows of a database ring no bell
                await asyncio.sleep(0.01)

    async def _is_settled(self) -> bool:
        moving = [ResourceState.CREATING.value, ResourceState.DELETING.value]
        async with self.store.reading() as tx:
            return not (
                await tx.count(Vm, dirty=True)
                or await tx.count(Operation, state=OperationState.RUNNING.value)
                or await tx.count(Resource, state=moving)
            )

    async def check(self) -> None:
        """What must hold whenever nothing is under way, whatever happened before."""
        await self.settled()
        rows = await self.vms()
        assert self.cloud.doubled() == {}, "a VM was made twice"
        known = {vm.uid for vm in rows}
        assert self.cloud.orphans(known, INSTALLATION) == [], "a VM at the cloud that no row knows"
        for vm in rows:
            assert vm.pending is None
            assert not vm.acted
            assert not (vm.disposable and vm.state.value == "Terminated"), "a row that nobody needs"
        by_name = [event.sequence for event in await self.events()]
        assert by_name == sorted(set(by_name))


def group(name: str = "a", connection: str = "c1", count: int = 1, network: str = "") -> VmGroup:
    """``count`` VMs on ``connection``, with automatic resources unless a network is named."""
    return VmGroup(name=name, connection=connection, count=count, network=network)


async def build(
    home: Path,
    cloud: MockCloud,
    clock: Clock,
    *,
    pace: Pace = FAST,
    wrap: Callable[[SqlStore], MetadataStore] | None = None,
    gate_clock: Clock | None = None,
    overdue_after: float = OVERDUE_AFTER,
) -> Core:
    """A core on the files in ``home``, not yet started. ``wrap`` stands between the core and its store."""
    store = await open_store(f"sqlite:///{home}/metadata.db", clock)
    seen: MetadataStore = wrap(store) if wrap else store
    vault = Vault(SecretBox.load(home / "secret.key"))
    calls: list[CallRecord] = []
    gone: list[Vm] = []
    lane = CallPace(rate=100_000.0, burst=100_000, concurrency=64)
    gate = CallGate(gate_clock or SystemClock(), calls.append, GateSettings(pace=lane, backoff=Backoff(0.002, 0.01)))
    clouds = Clouds(seen, RigRegistry(cloud), gate, vault, INSTALLATION)
    events = EventMaker(clock)
    reconciler = Reconciler(seen, clock, lambda name: reconciler.start(name))
    rows = VmRows(vault.make_ssh_key, vault.make_host_key, clock.now)
    mcis = McisService(seen, clock, events, rows, reconciler.wake)
    applier = Applier(seen, events, Operations(events, clock.now, mcis.replace_row), reconciler.wake, gone.extend)
    core = Core(
        store=store, cloud=cloud, clock=clock, vault=vault, clouds=clouds, mcis=mcis,
        resources=ResourceService(seen, events, vault.make_ssh_key, reconciler.wake),
        reconciler=reconciler, applier=applier, calls=calls, gone=gone,
    )  # fmt: skip
    parts = Parts(
        store=seen,
        actions=VmActions(clouds, vault, INSTALLATION, clock.now),
        observer=Observer(clouds, clock.now),
        applier=applier,
        keeper=ResourceKeeper(seen, events, ResourceActions(clouds, INSTALLATION), clock.now),
        now=clock.now,
        pace=pace,
        overdue_after=overdue_after,
    )
    reconciler.use(parts)
    for lease in await reconciler.names():
        await reconciler.begin(lease)
    return core


async def end(core: Core) -> None:
    await core.reconciler.stop()
    await core.clouds.close()
    await core.store.close()


@asynccontextmanager
async def running(
    home: Path,
    settings: MockSettings = QUICK,
    *,
    cloud: MockCloud | None = None,
    speed: float = 100.0,
    connections: dict[str, str] | None = None,
    gate_clock: Clock | None = None,
    pace: Pace = FAST,
    overdue_after: float = OVERDUE_AFTER,
) -> AsyncIterator[Core]:
    """A started core with connections c1 and c2, ended at the end of the block."""
    clock = cloud.clock if cloud else FastClock(speed)
    made = cloud or MockCloud(settings, clock)
    core = await build(home, made, clock, gate_clock=gate_clock, pace=pace, overdue_after=overdue_after)
    try:
        for name, region in ({"c1": "us-east-1", "c2": "europe-west3"} if connections is None else connections).items():
            await core.connect(name, region)
        yield core
    finally:
        await end(core)


async def blank(home: Path) -> None:
    """A fresh home with an empty database of the present schema and the connections c1 and c2."""
    clock = FastClock()
    core = await build(home, MockCloud(QUICK, clock), clock)
    await core.connect("c1", "us-east-1")
    await core.connect("c2", "europe-west3")
    await end(core)


def copied(home: Path, to: Path) -> Path:
    """``home`` as a kill at this moment would leave it, in a new directory: what was not committed is not there."""
    to.mkdir(parents=True)
    for name in ("metadata.db", "metadata.db-wal", "secret.key"):
        if (home / name).exists():
            shutil.copy(home / name, to / name)
    return to
