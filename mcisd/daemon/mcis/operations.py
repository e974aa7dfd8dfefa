"""When is an operation finished, and what becomes of its failures. Runs inside the transaction that changed its VMs."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis.rules import wish
from mcisd.model.records import Mcis, Operation, Vm
from mcisd.model.states import Action, OnFailure, OperationState, VmState
from mcisd.store.base import Transaction

MAX_RETRIES = 3
MAKING = ("create", "expand", "retry", "replace")


class ReplaceRow(Protocol):
    async def __call__(self, tx: Transaction, vm: Vm, operation: str, name: str) -> Vm: ...


class Operations:
    """Settles operations. ``replace_row`` makes a failed VM anew (policy "retry")."""

    def __init__(self, events: EventMaker, now: Callable[[], float], replace_row: ReplaceRow) -> None:
        self._events = events
        self._now = now
        self._replace_row = replace_row

    async def settle(self, tx: Transaction, uid: str) -> set[str]:
        """Finish the operation if all its VMs have; returns the connections that got new work by its failures."""
        operation = await tx.get(Operation, uid)
        if operation is None or operation.state is not OperationState.RUNNING:
            return set()
        # Asked of the index first: this runs for every batch of changes, and an operation may hold 10 000 VMs.
        if await tx.count(Vm, operation=uid, dirty=True):
            return set()
        vms = await self._vms(tx, operation)
        mine = [vm for vm in vms if vm.operation == uid]
        failures = [vm for vm in mine if vm.error_code]
        superseded = len([vm for vm in vms if vm.operation != uid])
        mcis = await tx.get(Mcis, operation.mcis)
        if failures and mcis is not None and operation.kind in MAKING:
            woken = await self._on_failure(tx, mcis, operation, failures)
            if woken is not None:
                return woken
        return await self._finish(tx, operation, len(mine) - len(failures), failures, superseded, mcis)

    async def displaced(self, tx: Transaction, vms: Iterable[Vm]) -> set[str]:
        """Settle the operations that ``vms`` (as they were) belonged to: a later request has taken them over."""
        woken: set[str] = set()
        for uid in sorted({vm.operation for vm in vms if vm.operation}):
            woken |= await self.settle(tx, uid)
        return woken

    async def _vms(self, tx: Transaction, operation: Operation) -> list[Vm]:
        found = []
        for start in range(0, len(operation.vms), 500):
            found += await tx.find(Vm, uid=list(operation.vms[start : start + 500]))
        return found

    async def _on_failure(
        self, tx: Transaction, mcis: Mcis, operation: Operation, failures: list[Vm]
    ) -> set[str] | None:
        """Retry what failed, as far as the MCIS wants that; None when the operation ends here."""
        if mcis.on_failure is not OnFailure.RETRY:
            return None
        again = [vm for vm in failures if vm.retries < MAX_RETRIES]
        if not again:
            return None
        fresh = {vm.uid: (await self._replace_row(tx, vm, operation.uid, vm.name)).uid for vm in again}
        await tx.update(replace(operation, vms=tuple(fresh.get(uid, uid) for uid in operation.vms)))
        return {vm.connection for vm in again}

    async def _finish(
        self, tx: Transaction, operation: Operation, good: int, failures: list[Vm], superseded: int, mcis: Mcis | None
    ) -> set[str]:
        # Rows that are gone were removed: the aim of an operation that ends VMs, a later request for one that makes.
        gone = len(operation.vms) - good - len(failures) - superseded
        good, superseded = (good, superseded + gone) if operation.kind in MAKING else (good + gone, superseded)
        bad = len(failures) + superseded
        state = OperationState.SUCCEEDED if not bad else OperationState.PARTIAL if good else OperationState.FAILED
        message = f"{good} of {len(operation.vms)} VM(s)"
        if failures:
            message += f"; {failures[0].name}: {failures[0].error}"
            message += f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        if superseded:
            message += f"; {superseded} superseded by a later request"
        woken: set[str] = set()
        if failures and mcis is not None and mcis.on_failure is OnFailure.ROLLBACK and operation.kind in MAKING:
            message += "; rolled back"
            state = OperationState.FAILED
            woken = await self._roll_back(tx, operation)
        done = replace(operation, state=state, succeeded=good, failed=bad, message=message, finished_at=self._now())
        await tx.update(done)
        if mcis is not None:
            text = f"{done.kind} of {mcis.name} {state}: {message}"
            await tx.emit(
                self._events.mcis(
                    "operation.finished", mcis, text, operation=done.uid, kind=done.kind, outcome=state.value
                )
            )
        return woken

    async def _roll_back(self, tx: Transaction, operation: Operation) -> set[str]:
        """Remove all VMs of the operation; the connections that got work by it."""
        vms = await self._vms(tx, operation)
        for vm in vms:
            if vm.state is VmState.TERMINATED:
                await tx.delete(vm)
            elif vm.pending is Action.TERMINATE:
                await tx.update(replace(vm, disposable=True))  # a later request ends it already, and waits for that
            else:
                await tx.update(replace(wish(vm, Action.TERMINATE, ""), disposable=True))
        later = [vm for vm in vms if vm.operation != operation.uid]
        return {vm.connection for vm in vms} | await self.displaced(tx, later)
