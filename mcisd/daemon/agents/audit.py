"""Agents whose collector is gone: their rows still say Up. After a while in which they may call another collector,
those that did not are Silent."""

import logging
from dataclasses import replace

from mcisd.aio.clock import Clock
from mcisd.daemon.events import EventMaker
from mcisd.daemon.nodes import Nodes
from mcisd.model.records import Vm
from mcisd.model.states import AgentState, VmState
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
EVERY = 2.0
PATIENCE = 20.0
"""Seconds agents have to find another collector."""


class LinkAudit:
    """Looks only when a process is missing that was there before, and once after the start."""

    def __init__(self, store: MetadataStore, clock: Clock, events: EventMaker, nodes: Nodes) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._nodes = nodes

    async def run(self) -> None:
        """Watch for ever."""
        await self._clock.sleep(PATIENCE)
        await self.audit()
        known = self._living()
        while True:
            await self._clock.sleep(EVERY)
            living = self._living()
            if known - living:
                await self._clock.sleep(PATIENCE)
                await self.audit()
                living = self._living()
            known = living

    async def audit(self) -> int:
        """Mark what is Up at no living collector; returns how many."""
        living = self._living()
        async with self._store.transaction() as tx:
            up = await tx.find(Vm, agent=AgentState.UP.value)
            lost = [replace(vm, agent=AgentState.SILENT, agent_node="") for vm in up if vm.agent_node not in living]
            if lost:
                await tx.update_all(lost)
                running = [vm for vm in lost if vm.state is VmState.RUNNING]
                await tx.emit_all(
                    [self._events.vm("agent.silent", vm, f"{vm.name}: its agent has gone silent") for vm in running]
                )
        if lost:
            log.warning("%d agents did not come back after their collector had gone", len(lost))
        return len(lost)

    def _living(self) -> frozenset[str]:
        return frozenset(node.uid for node in self._nodes.alive("collector", draining=True))
