"""Writing what came of steps: all of a pass in one transaction, each only if the VM's wish is still the same."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis.operations import Operations
from mcisd.daemon.mcis.outcome import told, with_facts
from mcisd.model.cloud import VmInfo
from mcisd.model.records import Vm
from mcisd.model.states import VmState
from mcisd.store.base import MetadataStore, Transaction


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to one VM's row: facts from the cloud, and a pure change of its state."""

    vm: Vm
    turn: Callable[[Vm], Vm]
    info: VmInfo | None = None
    reason: str = ""


class Applier:
    """Applies changes; ``wake`` is called with the connections that got work by it."""

    def __init__(
        self,
        store: MetadataStore,
        events: EventMaker,
        operations: Operations,
        wake: Callable[[set[str]], None],
        on_gone: Callable[[list[Vm]], None],
    ) -> None:
        self._store = store
        self._events = events
        self._operations = operations
        self._wake = wake
        self._on_gone = on_gone

    async def apply(self, changes: list[Change]) -> None:
        """One transaction for all; events of every change of state are written with it."""
        if not changes:
            return
        touched: set[str] = set()
        woken: set[str] = set()
        gone: list[Vm] = []
        async with self._store.transaction() as tx:
            for change in changes:
                after = await self._one(tx, change)
                if after is None:
                    continue
                if after.pending is None and change.vm.operation:
                    touched.add(change.vm.operation)
                if after.state in (VmState.TERMINATED, VmState.FAILED):
                    gone.append(after)
            for uid in touched:
                woken |= await self._operations.settle(tx, uid)
        if gone:
            self._on_gone(gone)
        if woken:
            self._wake(woken)

    async def _one(self, tx: Transaction, change: Change) -> Vm | None:
        """The row after the change; None if there is nothing left to tell an operation."""
        current = await tx.get(Vm, change.vm.uid)
        if current is None:
            return None
        facts = with_facts(current, change.info) if change.info is not None else current
        if not same_wish(current, change.vm):
            if facts != current:
                await tx.update(facts)
            return None
        after = change.turn(facts)
        after = replace(after, dirty=after.pending is not None)
        if after == current:
            return None
        for event in told(self._events, current, after, change.reason):
            await tx.emit(event)
        if after.disposable and after.state is VmState.TERMINATED:
            await tx.delete(current)
            return after
        return await tx.update(after)


def same_wish(now: Vm, then: Vm) -> bool:
    """Nobody has asked for something else since, and no other pass has acted on it."""
    return (now.pending, now.operation, now.goal, now.acted) == (then.pending, then.operation, then.goal, then.acted)
