"""Follows the outbox and lets policies act. Its place in the outbox is stored, and every decision is a row that is
unique per policy and event, so a restart neither misses a condition nor acts on it twice."""

import logging
from dataclasses import replace
from typing import Protocol

from mcisd.aio.clock import Clock
from mcisd.aio.signal import Signal
from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis.requests import Caller, VmGroup
from mcisd.daemon.mcis.service import McisService
from mcisd.daemon.policies.decide import AUTO_LABEL, Verdict, concerns, decide
from mcisd.model.alarms import Policy, PolicyAction, PolicyRun
from mcisd.model.errors import McisdError
from mcisd.model.events import Event, locate, mcis_subject
from mcisd.model.ids import new_id
from mcisd.model.records import Mcis, Setting, Vm
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
CURSOR = "cursor-policies"
TRIGGERS = ("alarm.firing", "vm.failed")


class RunCommand(Protocol):
    async def __call__(self, ns: str, infra: str, vms: list[str], command: str) -> str:
        """Run a command on VMs; one sentence on how it went."""


class PolicyEngine:
    """Reads events in order, decides (pure), acts through the MCIS service."""

    def __init__(
        self, store: MetadataStore, clock: Clock, events: EventMaker, service: McisService, command: RunCommand
    ) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._service = service
        self._command = command
        self._signal = Signal()

    def wake(self) -> None:
        self._signal.set()

    async def run(self) -> None:
        """Follow the outbox for ever."""
        cursor = await self._cursor()
        while True:
            events = await self._store.events_after(cursor, 500)
            for event in events:
                if event.type in TRIGGERS:
                    await self._consider(event)
            if events:
                cursor = events[-1].sequence
                if any(event.type in TRIGGERS for event in events):
                    await self._save(cursor)
            else:
                await self._signal.wait(5.0)

    async def _cursor(self) -> int:
        async with self._store.reading() as tx:
            row = await tx.get(Setting, CURSOR)
        if row is not None:
            return int(row.value["sequence"])
        newest = await self._store.last_sequence()
        await self._save(newest)
        return newest

    async def _save(self, sequence: int) -> None:
        async with self._store.transaction() as tx:
            row = await tx.get(Setting, CURSOR)
            if row is None:
                await tx.insert(Setting(uid=CURSOR, value={"sequence": str(sequence)}))
            else:
                await tx.update(replace(row, value={"sequence": str(sequence)}))

    async def _consider(self, event: Event) -> None:
        place = locate(event.subject)
        async with self._store.reading() as tx:
            policies = await tx.find(Policy, ns=place.ns, mcis=place.mcis, enabled=True)
        for policy in policies:
            if concerns(policy, event):
                await self._one(policy, event)

    async def _one(self, policy: Policy, event: Event) -> None:
        async with self._store.reading() as tx:
            if await tx.first(PolicyRun, policy=policy.uid, trigger=event.id) is not None:
                return
            mcis = await tx.first(Mcis, ns=policy.ns, name=policy.mcis)
            vms = await tx.find(Vm, mcis=mcis.uid) if mcis is not None else []
        verdict = decide(policy, event, vms, self._clock.now())
        outcome, operation = "skipped", ""
        reason = verdict.reason
        if verdict.act and policy.dry_run:
            outcome, reason = "dry-run", f"would {verdict.reason}"
        elif verdict.act:
            try:
                operation = await self._act(policy, event, verdict)
                outcome = "acted"
            except McisdError as error:
                outcome, reason = "failed", f"{verdict.reason}: {error.message}"
        await self._record(policy, event, outcome, reason, operation)

    async def _act(self, policy: Policy, event: Event, verdict: Verdict) -> str:
        """Act; returns the operation's id, or for a command how it went."""
        caller = Caller(actor=f"policy {policy.name}", key=f"{policy.uid}:{event.id}")
        match policy.action:
            case PolicyAction.SCALE_OUT:
                group = VmGroup(
                    name=policy.name[:56], connection=verdict.connection, count=verdict.count, spec=policy.spec,
                    image=policy.image, labels={AUTO_LABEL: policy.name},
                )  # fmt: skip
                return (await self._service.expand(policy.ns, policy.mcis, (group,), caller)).uid
            case PolicyAction.SCALE_IN:
                return (await self._service.remove(policy.ns, policy.mcis, list(verdict.vms), caller)).uid
            case PolicyAction.REPLACE:
                done = await self._service.replace(policy.ns, policy.mcis, verdict.vms[0], caller, verdict.connection)
                return done.uid
            case PolicyAction.COMMAND:
                return await self._command(policy.ns, policy.mcis, list(verdict.vms), policy.command)

    async def _record(self, policy: Policy, event: Event, outcome: str, reason: str, operation: str) -> None:
        async with self._store.transaction() as tx:
            await tx.insert(
                PolicyRun(
                    uid=new_id("pr"), policy=policy.uid, policy_name=policy.name, trigger=event.id, outcome=outcome,
                    reason=reason, operation=operation,
                )
            )  # fmt: skip
            current = await tx.get(Policy, policy.uid)
            if current is not None and outcome in ("acted", "dry-run"):
                await tx.update(replace(current, last_run_at=self._clock.now()))
            kind = "policy.acted" if outcome == "acted" else "policy.skipped"
            text = f"policy {policy.name} {outcome}: {reason}"
            await tx.emit(
                self._events.make(
                    kind, mcis_subject(policy.ns, policy.mcis), text, policy=policy.name, outcome=outcome,
                    operation=operation, nameSpace=policy.ns, infraSvc=policy.mcis, trigger=event.id,
                )
            )  # fmt: skip
        log.info("policy %s %s: %s", policy.name, outcome, reason)
