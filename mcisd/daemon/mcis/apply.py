"""Writing what came of steps: what arrives together in one transaction, each only if the VM's wish is still the same.

In: changes from all workers. Out: rows, events and settled operations; connections that got work by it are woken.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis.operations import Operations
from mcisd.daemon.mcis.outcome import told, with_facts
from mcisd.model.cloud import VmInfo
from mcisd.model.errors import McisdError
from mcisd.model.records import Vm
from mcisd.model.states import VmState
from mcisd.store.base import MetadataStore, Transaction

MOST = 500
"""Changes in one transaction: it holds the store's write lock."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to one VM's row: a pure change of its state if its wish is still that of ``vm``.

    ``info`` (what the cloud told) and ``fact`` (what is true of it in any case) are kept whatever was wished meanwhile.
    """

    vm: Vm
    turn: Callable[[Vm], Vm]
    info: VmInfo | None = None
    reason: str = ""
    fact: Callable[[Vm], Vm] | None = None


@dataclass(slots=True)
class _Batch:
    """Changes that go into one transaction, and what came of it."""

    changes: list[Change] = field(default_factory=list)
    written: set[str] | None = None
    error: McisdError | None = None


@dataclass(slots=True)
class _Done:
    """What one transaction did."""

    turned: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    gone: list[Vm] = field(default_factory=list)


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
        self._batch = _Batch()
        self._writing = asyncio.Lock()

    async def apply(self, changes: list[Change]) -> set[str]:
        """Write ``changes``; returns the uids of the VMs whose wish was still the same.

        While one transaction is under way, the changes of all callers gather for the next: the first of them to get
        the lock writes for all. Events of every change of state are written with it.
        """
        if not changes:
            return set()
        batch = self._batch
        batch.changes += changes
        if len(batch.changes) >= MOST:
            self._batch = _Batch()
        async with self._writing:
            if batch.written is None and batch.error is None:
                if self._batch is batch:
                    self._batch = _Batch()
                await self._write(batch)
        if batch.error is not None:
            raise batch.error
        return (batch.written or set()) & {change.vm.uid for change in changes}

    async def _write(self, batch: _Batch) -> None:
        """One transaction for a batch. Its failure is the failure of all; if the writer is cancelled, the next waiting
        caller begins anew."""
        done = _Done()
        woken: set[str] = set()
        try:
            async with self._store.transaction() as tx:
                rows = await self._rows(tx, batch)
                for change in batch.changes:
                    current = rows.get(change.vm.uid)
                    if current is not None:
                        rows[current.uid] = await self._one(tx, current, change, done)
                for uid in sorted(done.touched):
                    woken |= await self._operations.settle(tx, uid)
        except McisdError as error:
            batch.error = error
            return
        batch.written = done.turned
        if done.gone:
            self._on_gone(done.gone)
        if woken:
            self._wake(woken)

    async def _rows(self, tx: Transaction, batch: _Batch) -> dict[str, Vm | None]:
        uids = sorted({change.vm.uid for change in batch.changes})
        rows: dict[str, Vm | None] = {}
        for start in range(0, len(uids), MOST):
            rows |= {vm.uid: vm for vm in await tx.find(Vm, uid=uids[start : start + MOST])}
        return rows

    async def _one(self, tx: Transaction, current: Vm, change: Change, done: _Done) -> Vm | None:
        """The row after the change; None if it went."""
        facts = with_facts(current, change.info) if change.info is not None else current
        facts = change.fact(facts) if change.fact is not None else facts
        if not same_wish(current, change.vm):
            return await tx.update(facts) if facts != current else current
        done.turned.add(current.uid)
        after = change.turn(facts)
        after = replace(after, dirty=after.pending is not None)
        if after == current:
            return current
        if after.pending is None and change.vm.operation:
            done.touched.add(change.vm.operation)
        if after.state in (VmState.TERMINATED, VmState.FAILED):
            done.gone.append(after)
        for event in told(self._events, current, after, change.reason):
            await tx.emit(event)
        if after.disposable and after.state is VmState.TERMINATED:
            await tx.delete(current)
            return None
        return await tx.update(after)


def same_wish(now: Vm, then: Vm) -> bool:
    """Nobody has asked for something else since, and no other pass has acted on it."""
    return (now.pending, now.operation, now.goal, now.acted) == (then.pending, then.operation, then.goal, then.acted)
