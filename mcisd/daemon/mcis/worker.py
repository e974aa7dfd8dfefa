"""One connection's worker: load, look, decide, act, apply; again and again.

There is one worker per connection, so a cloud that is slow or away holds up nobody else. A pass loads what is not
settled, looks at the cloud once for all of it, and starts the steps; each step runs as a task of its own (the gate
bounds how many reach the cloud), and its outcome wakes the worker at once.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from mcisd.aio.signal import Signal
from mcisd.aio.supervise import TaskSet
from mcisd.daemon.mcis import outcome
from mcisd.daemon.mcis.actions import Acted, VmActions
from mcisd.daemon.mcis.apply import Applier, Change
from mcisd.daemon.mcis.decide import Decision, Step, decide
from mcisd.daemon.mcis.observe import Observer, View
from mcisd.daemon.resources.decide import ResourceStep, needs_of
from mcisd.daemon.resources.keeper import ResourceKeeper
from mcisd.model.errors import McisdError
from mcisd.model.records import Resource, Vm
from mcisd.model.states import Action, ResourceKind, ResourceState, VmState
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
WATCHED = (VmState.RUNNING, VmState.SUSPENDED, VmState.UNDEFINED)
BLIND_AFTER = 3
"""Failed looks in a row after which settled VMs are shown as Undefined."""


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


class ConnectionWorker:
    """Brings the VMs and resources of one connection to where they are wanted."""

    def __init__(self, connection: str, parts: Parts) -> None:
        self.connection = connection
        self._parts = parts
        self._signal = Signal()
        self._tasks = TaskSet(f"steps of {connection}")
        self._busy: set[str] = set()
        self._looked_at = 0.0
        self._blind = 0

    def wake(self) -> None:
        self._signal.set()

    async def run(self) -> None:
        """Work for ever."""
        while True:
            unsettled = await self.work()
            await self._signal.wait(self._parts.pace.busy if unsettled else self._parts.pace.idle)

    async def close(self) -> None:
        await self._tasks.close()

    async def work(self) -> bool:
        """One pass; True if something is still under way."""
        now = self._parts.now()
        watching = now - self._looked_at >= self._parts.pace.idle
        vms, resources = await self._load(watching)
        making = self._resources(resources)
        free = [vm for vm in vms if vm.uid not in self._busy]
        view = await self._look(free, watching)
        changes = self._decide(free, resources, view)
        await self._parts.applier.apply(changes)
        quiet = watching and not making and not any(vm.pending for vm in vms)
        if quiet and await self._parts.keeper.collect(self.connection):
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

    def _resources(self, resources: list[Resource]) -> bool:
        """Start what is due; True if any resource is not settled."""
        unsettled = False
        for resource in resources:
            step = self._parts.keeper.step(resource, resources)
            unsettled |= step is not ResourceStep.NOTHING
            if step in (ResourceStep.NOTHING, ResourceStep.WAIT) or resource.uid in self._busy:
                continue
            self._spawn(resource.uid, partial(self._parts.keeper.do, resource, step, resources))
        return unsettled

    # -- VMs ----------------------------------------------------------------------------------------------------------

    async def _look(self, vms: list[Vm], watching: bool) -> View:
        """See the cloud, if anything waits for it or it is time to."""
        waiting = [vm for vm in vms if vm.acted or (vm.pending is None and watching)]
        if not waiting:
            if watching:
                self._looked_at = self._parts.now()
            return View()
        try:
            view = await self._parts.observer.look(self.connection, waiting)
        except McisdError as error:
            self._blind += 1
            if self._blind == BLIND_AFTER:
                log.warning("connection %s cannot be read: %s", self.connection, error.message)
                await self._parts.applier.apply([Change(vm, _unreadable) for vm in waiting if vm.pending is None])
            return View()
        if self._blind >= BLIND_AFTER:
            log.info("connection %s can be read again", self.connection)
        self._blind = 0
        if watching:
            self._looked_at = self._parts.now()
        return view

    def _decide(self, vms: list[Vm], resources: list[Resource], view: View) -> list[Change]:
        """Steps to act on are started; the others become changes."""
        by_uid = {resource.uid: resource for resource in resources}
        changes: list[Change] = []
        creating: list[tuple[Vm, dict[ResourceKind, Resource]]] = []
        for vm in vms:
            needs = [by_uid[uid] for uid in needs_of(vm) if uid in by_uid]
            missing = vm.pending is Action.CREATE and len(needs) < len(needs_of(vm))
            decision = (
                Decision(Step.FAIL, reason="a resource it needs was deleted")
                if missing and not vm.acted
                else decide(vm, needs, view.seen.get(vm.uid), self._parts.now())
            )
            if decision.step is Step.CREATE:
                creating.append((vm, {need.kind: need for need in needs}))
            elif decision.step in (Step.WAIT, Step.NOTHING):
                info = view.infos.get(vm.uid)
                if info is not None:
                    changes.append(Change(vm, _keep, info))
            else:
                self._follow(vm, decision, view, needs, changes)
        if creating:
            # All VMs of the pass are marked as tried before the first call goes out: a crash after this line finds
            # the mark and asks the cloud again with the same token.
            uids = {vm.uid for vm, _ in creating}
            self._busy |= uids
            self._tasks.spawn(self._create(creating))
        return changes

    def _follow(self, vm: Vm, decision: Decision, view: View, needs: list[Resource], changes: list[Change]) -> None:
        info = view.infos.get(vm.uid)
        match decision.step:
            case Step.DONE if decision.state is not None:
                spec = next((need for need in needs if need.kind is ResourceKind.SPEC), None)
                changes.append(Change(vm, partial(_done, state=decision.state, spec=spec), info, decision.reason))
            case Step.DRIFT if decision.state is not None:
                changes.append(Change(vm, partial(outcome.drifted, state=decision.state), info, decision.reason))
            case Step.LOST:
                changes.append(Change(vm, partial(outcome.lost, reason=decision.reason), info, decision.reason))
            case Step.FAIL:
                turn = partial(outcome.failed, code="dependency", reason=decision.reason)
                changes.append(Change(vm, turn, info, decision.reason))
            case step:
                self._spawn(vm.uid, partial(self._act, step, vm))

    async def _create(self, creating: list[tuple[Vm, dict[ResourceKind, Resource]]]) -> None:
        now = self._parts.now()
        uids = {vm.uid for vm, _ in creating}
        try:
            await self._parts.applier.apply([Change(vm, partial(_tried, now=now)) for vm, _ in creating])
        finally:
            self._busy -= uids
        for vm, needs in creating:
            self._spawn(vm.uid, partial(self._act, Step.CREATE, replace(vm, create_tried_at=now), needs))

    async def _act(self, step: Step, vm: Vm, needs: dict[ResourceKind, Resource] | None = None) -> None:
        """One step of one VM at its cloud, and its outcome into the store."""
        try:
            acted = await self._parts.actions.act(step, vm, needs or {})
        except McisdError as error:
            log.info("%s of %s/%s/%s: %s", step, vm.ns, vm.mcis_name, vm.name, error.message)
            await self._parts.applier.apply([Change(vm, partial(outcome.tripped, error=error, now=self._parts.now()))])
            return
        turn = partial(_acted, step=step, acted=acted, now=self._parts.now())
        await self._parts.applier.apply([Change(vm, turn, acted.info)])

    def _spawn(self, uid: str, work: Callable[[], Awaitable[None]]) -> None:
        self._busy.add(uid)
        self._tasks.spawn(self._guard(uid, work), name=f"{self.connection}:{uid}")

    async def _guard(self, uid: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self._busy.discard(uid)
            self.wake()


def _keep(vm: Vm) -> Vm:
    return vm


def _tried(vm: Vm, now: float) -> Vm:
    return replace(vm, create_tried_at=now)


def _done(vm: Vm, state: VmState, spec: Resource | None) -> Vm:
    sized = outcome.with_spec(vm, spec) if spec is not None and spec.state is ResourceState.READY else vm
    return outcome.done(sized, state)


def _acted(vm: Vm, step: Step, acted: Acted, now: float) -> Vm:
    if step is Step.FIND:
        # Found: the next pass terminates it. Not found: wait until it cannot appear any more.
        return vm if acted.found else outcome.not_found_yet(vm, now)
    return outcome.accepted(vm, acted.not_before)


def _unreadable(vm: Vm) -> Vm:
    return replace(vm, state=VmState.UNDEFINED) if vm.state in WATCHED else vm
