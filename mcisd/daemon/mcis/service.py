"""What users and policies may ask of an MCIS. Each call validates, then writes desired state, operation and events in
one transaction, wakes the reconciler and returns the operation: nothing here talks to a cloud."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from mcisd.aio.clock import Clock
from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis.operations import Operations
from mcisd.daemon.mcis.requests import Caller, McisRequest, VmGroup
from mcisd.daemon.mcis.rows import VmRows, need_mcis, need_namespace, need_vm
from mcisd.daemon.mcis.rules import check_action, wish
from mcisd.daemon.resources.auto import made_again
from mcisd.daemon.resources.decide import needs_of
from mcisd.model.alarms import AlarmRule, Policy
from mcisd.model.errors import ConflictError, InputError, StateError
from mcisd.model.ids import check_name, new_id
from mcisd.model.records import Mcis, Operation, Resource, Vm
from mcisd.model.states import Action, Goal, OperationState, ResourceState, VmState
from mcisd.store.base import MetadataStore, Transaction

MAX_VMS = 10_000
GONE = (VmState.TERMINATED, VmState.FAILED)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a control request came to: the operation, and the VMs it leaves alone with the reason."""

    operation: Operation
    skipped: dict[str, str]


class McisService:
    """Desired state of MCIS and VMs. ``wake`` tells the reconciler which connections have work."""

    def __init__(
        self,
        store: MetadataStore,
        clock: Clock,
        events: EventMaker,
        rows: VmRows,
        wake: Callable[[Iterable[str]], None],
        default_rules: Callable[[str, str], list[AlarmRule]] = lambda ns, mcis: [],
    ) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._rows = rows
        self._wake = wake
        self._default_rules = default_rules
        self._operations = Operations(events, clock.now, self.replace_row)

    async def create(self, ns: str, request: McisRequest, caller: Caller) -> Operation:
        """CreateInfraSvc. ConflictError if the name is taken, InputError where a reference is wrong."""
        check_name(request.name, "name")
        _check_groups(request.groups)
        async with self._writing() as (tx, woken):
            if (known := await self._known(tx, caller)) is not None:
                return known
            await need_namespace(tx, ns)
            if await tx.first(Mcis, ns=ns, name=request.name) is not None:
                raise ConflictError(
                    f"namespace {ns} already has an infra named {request.name!r}",
                    field="name",
                    remedy="choose another name, or expand the existing one",
                )
            mcis = await tx.insert(
                Mcis(
                    uid=new_id("mc"),
                    ns=ns,
                    name=request.name,
                    description=request.description,
                    labels=request.labels,
                    on_failure=request.on_failure,
                )
            )
            for rule in self._default_rules(ns, request.name):
                await tx.insert(rule)
            operation = await self._grow(tx, woken, mcis, request.groups, "create", caller)
            await tx.emit(self._events.mcis("infra.created", mcis, f"infra {mcis.name} was asked for"))
        return operation

    async def expand(self, ns: str, name: str, groups: tuple[VmGroup, ...], caller: Caller) -> Operation:
        """ExpandInfraSvc: more VMs for an existing MCIS."""
        _check_groups(groups)
        async with self._writing() as (tx, woken):
            if (known := await self._known(tx, caller)) is not None:
                return known
            mcis = await need_mcis(tx, ns, name)
            return await self._grow(tx, woken, mcis, groups, "expand", caller)

    async def control(self, ns: str, name: str, action: Action, caller: Caller, *, hibernate: bool = False) -> Wishes:
        """Suspend, resume, reboot or terminate all VMs for which that makes sense; StateError if there is none.

        ``hibernate`` makes a suspension keep the memory; whether the clouds can is the caller's to ask.
        """
        async with self._writing() as (tx, woken):
            if (known := await self._known(tx, caller)) is not None:
                return Wishes(known, {})
            mcis = await need_mcis(tx, ns, name)
            vms = [vm for vm in await tx.find(Vm, mcis=mcis.uid) if not vm.disposable]
            return await self._ask(tx, woken, mcis, vms, action, caller, hibernate=hibernate)

    async def control_vm(
        self, ns: str, name: str, vm_name: str, action: Action, caller: Caller, *, hibernate: bool = False
    ) -> Wishes:
        """The same for one VM."""
        async with self._writing() as (tx, woken):
            if (known := await self._known(tx, caller)) is not None:
                return Wishes(known, {})
            mcis = await need_mcis(tx, ns, name)
            vms = [await need_vm(tx, mcis, vm_name)]
            return await self._ask(tx, woken, mcis, vms, action, caller, hibernate=hibernate)

    async def retry(self, ns: str, name: str, caller: Caller) -> Operation:
        """Make every failed VM anew under its old name; what is left of the failed one is removed."""
        async with self._writing() as (tx, woken):
            if (known := await self._known(tx, caller)) is not None:
                return known
            mcis = await need_mcis(tx, ns, name)
            failed = await tx.find(Vm, mcis=mcis.uid, state=VmState.FAILED.value)
            failed = [vm for vm in failed if not vm.disposable]
            if not failed:
                raise StateError(f"infra {name} has no failed VM", remedy="there is nothing to retry")
            operation = await self._open(tx, mcis, "retry", caller)
            fresh = [await self.replace_row(tx, vm, operation.uid, vm.name) for vm in failed]
            return await self._start(tx, woken, mcis, operation, fresh)

    async def replace(self, ns: str, name: str, vm_name: str, caller: Caller, connection: str = "") -> Operation:
        """Make one failed VM anew, on another connection if one is named; StateError unless it is Failed."""
        async with self._writing() as (tx, woken):
            if (known := await self._known(tx, caller)) is not None:
                return known
            mcis = await need_mcis(tx, ns, name)
            vm = await need_vm(tx, mcis, vm_name)
            if vm.state is not VmState.FAILED:
                raise StateError(f"VM {vm_name} is {vm.state}, not Failed", field="vmId", remedy="nothing to replace")
            operation = await self._open(tx, mcis, "replace", caller)
            woken.add(vm.connection)
            if connection and connection != vm.connection:
                group = VmGroup(name=vm.name.rsplit("-", 1)[0], connection=connection, labels=vm.labels)
                await self._dispose(tx, vm, vm.name)
                fresh = await self._rows.insert(tx, mcis, (group,), operation.uid)
            else:
                fresh = [await self.replace_row(tx, vm, operation.uid, vm.name)]
            return await self._start(tx, woken, mcis, operation, fresh)

    async def remove(self, ns: str, name: str, vm_names: list[str], caller: Caller) -> Operation:
        """Scale in: terminate these VMs and forget them once they are gone."""
        async with self._writing() as (tx, woken):
            if (known := await self._known(tx, caller)) is not None:
                return known
            mcis = await need_mcis(tx, ns, name)
            operation = await self._open(tx, mcis, "remove", caller)
            vms = [await need_vm(tx, mcis, vm_name) for vm_name in dict.fromkeys(vm_names)]
            return await self._start(tx, woken, mcis, operation, await self._discard(tx, woken, vms, operation.uid))

    async def rollback(self, ns: str, name: str, caller: Caller) -> Operation:
        """Remove every VM that the newest create or expand with failures has made, and the failed ones."""
        async with self._writing() as (tx, woken):
            if (known := await self._known(tx, caller)) is not None:
                return known
            mcis = await need_mcis(tx, ns, name)
            done = await tx.find(Operation, mcis=mcis.uid, descending=True)
            bad = next((op for op in done if op.kind in ("create", "expand") and op.failed), None)
            if bad is None:
                raise StateError(f"infra {name} has no create or expand that failed", remedy="use terminate instead")
            vms = [vm for uid in bad.vms if (vm := await tx.get(Vm, uid)) is not None]
            operation = await self._open(tx, mcis, "rollback", caller)
            return await self._start(tx, woken, mcis, operation, await self._discard(tx, woken, vms, operation.uid))

    async def delete(self, ns: str, name: str) -> None:
        """DeleteInfraSvc; StateError while a VM is neither Terminated nor Failed."""
        async with self._writing() as (tx, woken):
            mcis = await need_mcis(tx, ns, name)
            vms = await tx.find(Vm, mcis=mcis.uid)
            alive = [vm for vm in vms if vm.state not in GONE and not vm.disposable]
            if alive:
                raise StateError(
                    f"infra {name} still has {len(alive)} VM(s), such as {alive[0].name} ({alive[0].state})",
                    field="infraSvcId",
                    remedy="terminate it first and wait until the status says Terminated",
                )
            for vm in vms:
                if _deletable(vm):
                    await tx.delete(vm)
                elif not vm.disposable:
                    await self._dispose(tx, vm, vm.name)
            for kind in (AlarmRule, Policy):
                for left in await tx.find(kind, ns=ns, mcis=name):
                    await tx.delete(left)
            await tx.delete(mcis)
            await tx.emit(self._events.mcis("infra.deleted", mcis, f"infra {name} was deleted"))
            woken |= {vm.connection for vm in vms}

    async def delete_vm(self, ns: str, name: str, vm_name: str) -> None:
        """DeleteVm; StateError unless Terminated or Failed (and nothing of it is left at the cloud)."""
        async with self._writing() as (tx, woken):
            mcis = await need_mcis(tx, ns, name)
            vm = await need_vm(tx, mcis, vm_name)
            if vm.state not in GONE:
                raise StateError(
                    f"VM {vm_name} is {vm.state}", field="vmId", remedy="terminate it first; then it can be deleted"
                )
            if _deletable(vm):
                await tx.delete(vm)
            else:
                await self._dispose(tx, vm, vm.name)
            await tx.emit(self._events.vm("vm.deleted", vm, f"{vm.name} was deleted"))
            woken.add(vm.connection)

    async def replace_row(self, tx: Transaction, vm: Vm, operation: str, name: str) -> Vm:
        """A fresh row like ``vm`` in its place; the old one is disposed of, and what it needs and could not be made
        is tried again."""
        await self._dispose(tx, vm, name)
        for need in await tx.find(Resource, uid=list(needs_of(vm)), state=ResourceState.FAILED.value):
            await tx.update(made_again(need))
        return await tx.insert(self._rows.again(vm, operation, name))

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[tuple[Transaction, set[str]]]:
        """A transaction, and a set for the connections that get work by it. They are woken after the commit: a worker
        woken before would look at the old rows and go to sleep again."""
        woken: set[str] = set()
        async with self._store.transaction() as tx:
            yield tx, woken
        self._wake(woken)

    # -- inside the transaction ---------------------------------------------------------------------------------------

    async def _known(self, tx: Transaction, caller: Caller) -> Operation | None:
        """The operation of an earlier request with the same idempotency key."""
        if caller.key is None:
            return None
        known = await tx.first(Operation, key=caller.key)
        if known is not None and known.request_hash != caller.request_hash:
            raise ConflictError(
                "this Idempotency-Key was used for another request", field="Idempotency-Key", remedy="use a fresh key"
            )
        return known

    async def _grow(
        self,
        tx: Transaction,
        woken: set[str],
        mcis: Mcis,
        groups: tuple[VmGroup, ...],
        kind: str,
        caller: Caller,
    ) -> Operation:
        have = await tx.count(Vm, mcis=mcis.uid)
        asked = sum(group.count for group in groups)
        if have + asked > MAX_VMS:
            raise InputError(
                f"infra {mcis.name} would have {have + asked} VMs",
                field="vmRequestList",
                remedy=f"an infra holds at most {MAX_VMS}; make several",
            )
        operation = await self._open(tx, mcis, kind, caller)
        vms = await self._rows.insert(tx, mcis, groups, operation.uid)
        return await self._start(tx, woken, mcis, operation, vms)

    async def _ask(
        self,
        tx: Transaction,
        woken: set[str],
        mcis: Mcis,
        vms: list[Vm],
        action: Action,
        caller: Caller,
        *,
        hibernate: bool,
    ) -> Wishes:
        skipped = {vm.name: why for vm in vms if (why := check_action(vm, action)) is not None}
        chosen = [vm for vm in vms if vm.name not in skipped]
        if not chosen:
            first = next(iter(skipped.values()), "it has no VM")
            raise StateError(
                f"nothing to {action}: {first}", field="infraSvcId", remedy="see `mcis status` for what makes sense now"
            )
        operation = await self._open(tx, mcis, action.value, caller)
        changed: list[Vm] = []
        for vm in chosen:
            wished = wish(vm, action, operation.uid, hibernate=hibernate)
            changed.append(await tx.update(wished))
            await tx.emit(
                self._events.vm(f"vm.{wished.state.value.lower()}", wished, f"{vm.name}: {action} was asked for")
            )
        operation = await self._start(tx, woken, mcis, operation, changed)
        woken |= await self._operations.displaced(tx, chosen)
        return Wishes(operation, skipped)

    async def _open(self, tx: Transaction, mcis: Mcis, kind: str, caller: Caller) -> Operation:
        return await tx.insert(
            Operation(
                uid=new_id("op"),
                ns=mcis.ns,
                mcis=mcis.uid,
                mcis_name=mcis.name,
                kind=kind,
                actor=caller.actor,
                key=caller.key,
                request_hash=caller.request_hash,
            )
        )

    async def _start(
        self, tx: Transaction, woken: set[str], mcis: Mcis, operation: Operation, vms: list[Vm]
    ) -> Operation:
        """Note which VMs the operation concerns; with none to wait for it is finished at once."""
        state = OperationState.RUNNING if vms else OperationState.SUCCEEDED
        finished = None if vms else self._clock.now()
        names = tuple(vm.uid for vm in vms)
        operation = await tx.update(replace(operation, vms=names, state=state, finished_at=finished))
        text = f"{operation.kind} of {mcis.name}: {len(vms)} VM(s), asked by {operation.actor}"
        await tx.emit(self._events.mcis("operation.started", mcis, text, operation=operation.uid, kind=operation.kind))
        if not vms:
            text = f"{operation.kind} of {mcis.name} {state}: there was nothing to do"
            facts = {"operation": operation.uid, "kind": operation.kind, "outcome": state.value}
            await tx.emit(self._events.mcis("operation.finished", mcis, text, **facts))
        woken |= {vm.connection for vm in vms}
        return operation

    async def _discard(self, tx: Transaction, woken: set[str], vms: list[Vm], operation: str) -> list[Vm]:
        """Terminate and forget ``vms``; those for which there is something to wait for."""
        alive = [vm for vm in vms if vm.state is not VmState.TERMINATED]
        for vm in vms:
            if vm.state is VmState.TERMINATED:
                await tx.delete(vm)
        ending = [await tx.update(replace(wish(vm, Action.TERMINATE, operation), disposable=True)) for vm in alive]
        woken |= await self._operations.displaced(tx, alive)
        return ending

    async def _dispose(self, tx: Transaction, vm: Vm, name: str) -> None:
        """Put a VM aside: its name is free at once, and its row goes when the cloud has let it go."""
        if _deletable(vm) and vm.state is VmState.TERMINATED:
            await tx.delete(vm)
            return
        await tx.update(replace(wish(vm, Action.TERMINATE, ""), disposable=True, name=f"{name}.{vm.uid}"))


def _deletable(vm: Vm) -> bool:
    """Nothing of it can be left at a cloud."""
    if vm.state is VmState.TERMINATED:
        return True
    return vm.state is VmState.FAILED and not vm.create_tried_at and vm.goal is not Goal.TERMINATED


def _check_groups(groups: tuple[VmGroup, ...]) -> None:
    if not groups:
        raise InputError("no VM was asked for", field="vmRequestList", remedy="give at least one group")
    seen: set[str] = set()
    for index, group in enumerate(groups):
        if group.name in seen:
            raise InputError(
                f"group name {group.name!r} is there twice",
                field=f"vmRequestList[{index}].name",
                remedy="give each group its own name",
            )
        seen.add(group.name)
