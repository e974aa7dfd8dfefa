"""One connection's worker: load, look, decide, act, apply; again and again.

There is one worker per connection, so a cloud that is slow or away holds up nobody else. A pass loads what is not
settled, starts the steps that are due, looks at the cloud once for all that waits for it, and writes what it saw. Each
step runs as a task of its own (the gate bounds how many reach the cloud), and its outcome wakes the worker.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from mcisd.aio.signal import Signal
from mcisd.aio.supervise import TaskSet
from mcisd.daemon.mcis import outcome
from mcisd.daemon.mcis.actions import VmActions
from mcisd.daemon.mcis.apply import Applier, Change
from mcisd.daemon.mcis.decide import OVERDUE_AFTER, Decision, Step, decide
from mcisd.daemon.mcis.observe import Observer, View, looked_for
from mcisd.daemon.resources.decide import ResourceStep, needs_of
from mcisd.daemon.resources.keeper import ResourceKeeper
from mcisd.model.cloud import VmInfo
from mcisd.model.errors import CloudTimeoutError, CloudTransientError, McisdError
from mcisd.model.records import Resource, Vm
from mcisd.model.states import Action, ResourceKind, ResourceState, VmState
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
WATCHED = (VmState.RUNNING, VmState.SUSPENDED, VmState.UNDEFINED)
BLIND_AFTER = 3
"""Failed looks in a row after which settled VMs are shown as Undefined."""
STEPS = 256
"""Steps of one connection under way at once; the others' turn comes as these end."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between looks: while something changes, and while all is settled."""

    busy: float = 0.5
    idle: float = 5.0


@dataclass(slots=True)
class Parts:
    """What every worker shares."""

    store: MetadataStore
    actions: VmActions
    observer: Observer
    applier: Applier
    keeper: ResourceKeeper
    now: Callable[[], float]
    pace: Pace
    overdue_after: float = OVERDUE_AFTER


class ConnectionWorker:
    """Brings the VMs and resources of one connection to where they are wanted."""

    def __init__(self, connection: str, parts: Parts) -> None:
        self.connection = connection
        self._parts = parts
        self._signal = Signal()
        self._tasks = TaskSet(f"steps of {connection}")
        self._busy: set[str] = set()
        self._born = parts.now()
        self._look_due = 0.0
        self._watch_due = 0.0
        self._blind = 0
        self._collectable = True

    def wake(self) -> None:
        self._collectable = True
        self._signal.set()

    async def run(self) -> None:
        """Work for ever."""
        clock, pace = asyncio.get_running_loop().time, self._parts.pace
        while True:
            begun = clock()
            unsettled = await self.work()
            took = clock() - begun
            left = self._look_due - clock()
            limit = pace.idle if not unsettled else left if 0 < left < pace.busy else pace.busy
            if await self._signal.wait(limit):
                # What else arrives meanwhile shares the next pass: at most a quarter of the time is spent in passes.
                await asyncio.sleep(min(3 * took, pace.busy))

    async def close(self) -> None:
        await self._tasks.close()

    async def work(self) -> bool:
        """One pass; True if something is still under way."""
        now = asyncio.get_running_loop().time()
        watching, looking = now >= self._watch_due, now >= self._look_due
        # Rows of what is under way now may be old by the time they are loaded, also if it ends meanwhile.
        busy = set(self._busy)
        vms, resources = await self._load(watching)
        making = self._resources([row for row in resources if row.uid not in busy], resources)
        free = [vm for vm in vms if vm.uid not in busy]
        await self._parts.applier.apply(self._decide([vm for vm in free if _acts(vm)], resources, View()))
        waiting = [vm for vm in free if not _acts(vm)]
        if looking or watching:
            view = await self._look(waiting, watching)
            changes = self._decide(waiting, resources, view)
            await self._parts.applier.apply(changes)
            self._collectable |= bool(changes)  # the last VM that needed a resource may just have gone
        if watching and self._collectable:
            self._collectable = False
            if await self._parts.keeper.collect(self.connection):
                self.wake()
        return making or any(vm.pending is not None for vm in vms) or bool(self._busy)

    async def _load(self, watching: bool) -> tuple[list[Vm], list[Resource]]:
        async with self._parts.store.reading() as tx:
            vms = await tx.find(Vm, connection=self.connection, dirty=True)
            if watching:
                vms += await tx.find(
                    Vm, connection=self.connection, dirty=False, state=[state.value for state in WATCHED]
                )
            resources = await tx.find(Resource, connection=self.connection)
        return vms, resources

    # -- resources ----------------------------------------------------------------------------------------------------

    def _resources(self, free: list[Resource], resources: list[Resource]) -> bool:
        """Start what is due; True if any resource is not settled."""
        unsettled = len(free) < len(resources)
        for resource in free:
            step = self._parts.keeper.step(resource, resources)
            unsettled |= step is not ResourceStep.NOTHING
            if step not in (ResourceStep.NOTHING, ResourceStep.WAIT):
                self._spawn(resource.uid, partial(self._parts.keeper.do, resource, step, resources))
        return unsettled

    # -- VMs ----------------------------------------------------------------------------------------------------------

    async def _look(self, vms: list[Vm], watching: bool) -> View:
        """See the cloud, if anything waits for it or it is time to; an empty view if it cannot be read."""
        clock, pace = asyncio.get_running_loop().time, self._parts.pace
        if not vms:
            if watching:
                self._watch_due = clock() + pace.idle
            return View()
        try:
            view = await self._parts.observer.look(self.connection, vms)
        except McisdError as error:
            await self._blinded(error, [vm for vm in vms if vm.pending is None and vm.state is not VmState.UNDEFINED])
            self._look_due = clock() + pace.busy
            return View()
        if self._blind >= BLIND_AFTER:
            log.info("connection %s can be read again", self.connection)
        self._blind = 0
        self._look_due = clock() + pace.busy
        if watching:
            self._watch_due = clock() + pace.idle
        return view

    async def _blinded(self, error: McisdError, settled: list[Vm]) -> None:
        """A look has failed. After some in a row nobody can say how the settled VMs are."""
        self._blind += 1
        if self._blind == BLIND_AFTER:
            log.warning("connection %s cannot be read: %s", self.connection, error.message)
        if self._blind >= BLIND_AFTER:
            await self._parts.applier.apply([Change(vm, _unreadable) for vm in settled])

    def _decide(self, vms: list[Vm], resources: list[Resource], view: View) -> list[Change]:
        """Steps to act on are started; the others become changes."""
        by_uid = {resource.uid: resource for resource in resources}
        changes: list[Change] = []
        creating: list[tuple[Vm, dict[ResourceKind, Resource]]] = []
        for vm in sorted(vms, key=lambda vm: vm.pending is not Action.TERMINATE):
            needs = [by_uid[uid] for uid in needs_of(vm) if uid in by_uid]
            decision = self._decision(vm, needs, view)
            if decision.step in (Step.WAIT, Step.NOTHING):
                info = view.infos.get(vm.uid)
                if info is not None and outcome.with_facts(vm, info) != vm:
                    changes.append(Change(vm, _keep, info))
            elif decision.step in CHANGING:
                changes.append(_change(vm, decision, view.infos.get(vm.uid), needs))
            elif len(self._busy) + len(creating) >= STEPS:
                continue
            elif decision.step is Step.CREATE:
                creating.append((vm, {need.kind: need for need in needs}))
            else:
                self._spawn(vm.uid, partial(self._act, decision.step, vm))
        if creating:
            self._busy |= {vm.uid for vm, _ in creating}
            self._tasks.spawn(self._create(creating))
        return changes

    def _decision(self, vm: Vm, needs: list[Resource], view: View) -> Decision:
        if vm.pending is Action.CREATE and not vm.acted and len(needs) < len(needs_of(vm)):
            return Decision(Step.FAIL, reason="a resource it needs was deleted")
        seen = view.seen.get(vm.uid)
        return decide(vm, needs, seen, self._parts.now(), self._born, self._parts.overdue_after)

    async def _create(self, creating: list[tuple[Vm, dict[ResourceKind, Resource]]]) -> None:
        """Mark all VMs of the pass as tried before the first call goes out: a crash after this finds the mark and asks
        the cloud again with the same token. What was asked to end meanwhile is not begun."""
        now = self._parts.now()
        uids = {vm.uid for vm, _ in creating}
        marked: set[str] = set()
        try:
            marked = await self._parts.applier.apply(
                [Change(vm, partial(outcome.tried, now=now)) for vm, _ in creating]
            )
        finally:
            self._busy -= uids
            self.wake()
        for vm, needs in creating:
            if vm.uid in marked:
                self._spawn(vm.uid, partial(self._act, Step.CREATE, outcome.tried(vm, now), needs))

    async def _act(self, step: Step, vm: Vm, needs: dict[ResourceKind, Resource] | None = None) -> None:
        """One step of one VM at its cloud, and its outcome into the store."""
        try:
            acted = await self._parts.actions.act(step, vm, needs or {})
        except McisdError as error:
            log.info("%s of %s/%s/%s: %s", step, vm.ns, vm.mcis_name, vm.name, error.message)
            turn, info = self._trip(step, error), None
        else:
            turn, info = partial(outcome.accepted, not_before=acted.not_before, now=self._parts.now()), acted.info
        # The call may have reached the cloud as late as now, whatever was asked for meanwhile.
        fact = partial(outcome.tried, now=self._parts.now()) if step is Step.CREATE else None
        await self._parts.applier.apply([Change(vm, turn, info, fact=fact)])

    def _trip(self, step: Step, error: McisdError) -> Callable[[Vm], Vm]:
        """What becomes of a VM whose step raised: a reboot whose answer was lost is not asked for a second time."""
        if step is Step.REBOOT and isinstance(error, CloudTransientError | CloudTimeoutError):
            return partial(outcome.doubtful, error=error)
        return partial(outcome.tripped, error=error, now=self._parts.now())

    def _spawn(self, uid: str, work: Callable[[], Awaitable[None]]) -> None:
        self._busy.add(uid)
        self._tasks.spawn(self._guard(uid, work), name=f"{self.connection}:{uid}")

    async def _guard(self, uid: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self._busy.discard(uid)
            self.wake()


CHANGING = (Step.DONE, Step.DRIFT, Step.LOST, Step.FAIL, Step.OVERDUE)


def _acts(vm: Vm) -> bool:
    """Its next step needs no look at the cloud."""
    return vm.pending is not None and not vm.acted and not looked_for(vm)


def _change(vm: Vm, decision: Decision, info: VmInfo | None, needs: list[Resource]) -> Change:
    """What a decision that needs no call to the cloud does to the row."""
    turn: Callable[[Vm], Vm]
    match decision.step, decision.state:
        case Step.DONE, VmState() as state:
            spec = next((need for need in needs if need.kind is ResourceKind.SPEC), None)
            turn = partial(_done, state=state, spec=spec)
        case Step.DRIFT, VmState() as state:
            turn = partial(outcome.drifted, state=state)
        case Step.LOST, _:
            turn = partial(outcome.lost, reason=decision.reason)
        case Step.OVERDUE, _:
            turn = partial(outcome.overdue, reason=decision.reason)
        case _:
            turn = partial(outcome.failed, code="dependency", reason=decision.reason)
    return Change(vm, turn, info, decision.reason)


def _keep(vm: Vm) -> Vm:
    return vm


def _done(vm: Vm, state: VmState, spec: Resource | None) -> Vm:
    sized = outcome.with_spec(vm, spec) if spec is not None and spec.state is ResourceState.READY else vm
    return outcome.done(sized, state)


def _unreadable(vm: Vm) -> Vm:
    return replace(vm, state=VmState.UNDEFINED) if vm.state in WATCHED else vm
