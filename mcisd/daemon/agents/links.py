"""What the collector of this process hears of agents' links, written into the VMs' rows, many in one transaction.

The row is how everybody else knows: ``agent`` Up or Silent, and in ``agent_node`` the process that has the link.
"""

import logging
from dataclasses import dataclass, replace

from mcisd.aio.clock import Clock
from mcisd.aio.queue import BoundedQueue
from mcisd.daemon.events import EventMaker
from mcisd.model.events import Event
from mcisd.model.records import Vm
from mcisd.model.states import AgentState, VmState
from mcisd.store.base import MetadataStore, Transaction

log = logging.getLogger(__name__)
SILENT_FOR = 60.0
"""Seconds of silence on a running VM after which its agent is installed again."""
BATCH = 500
ENDED = (VmState.TERMINATED, VmState.FAILED, VmState.TERMINATING)


@dataclass(frozen=True, slots=True)
class LinkNews:
    kind: str
    vm: str
    data: dict[str, object]


class LinkLedger:
    """``news`` is called by the receiver and must not wait. ``me`` is this process's node uid."""

    def __init__(self, store: MetadataStore, clock: Clock, events: EventMaker, me: str) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._me = me
        self._news: BoundedQueue[LinkNews] = BoundedQueue(100_000)

    @property
    def dropped(self) -> int:
        """News lost because the store was away for too long."""
        return self._news.dropped

    def news(self, kind: str, vm: str, data: dict[str, object]) -> None:
        """Something happened to a VM's link: up, down, clock-skew, refused, stopped."""
        if not self._news.closed:
            self._news.push(LinkNews(kind, vm, data))

    async def run(self) -> None:
        """Write for ever; what could not be written is the first of the next run."""
        hand: list[LinkNews] = []
        while True:
            try:
                hand = hand or await self._news.get_many(BATCH)
                await self._write(hand)
                hand = []
            except BaseException:
                self._keep(hand)
                raise
            await self._clock.sleep(0.02)

    async def drain(self) -> None:
        """Write what is left."""
        while len(self._news):
            await self._write(await self._news.get_many(BATCH))

    def _keep(self, hand: list[LinkNews]) -> None:
        """Back into the queue, before what came meanwhile."""
        rest = [self._news.get_now() for _ in range(len(self._news))]
        for item in [*hand, *rest]:
            self._news.push(item)

    async def _write(self, items: list[LinkNews]) -> None:
        async with self._store.transaction() as tx:
            before = {vm.uid: vm for vm in await tx.find(Vm, uid=sorted({item.vm for item in items}))}
            after = dict(before)
            events: list[Event] = []
            for item in items:
                vm = after.get(item.vm)
                if vm is not None and (vm.state not in ENDED or item.kind == "refused"):
                    after[vm.uid], found = self._heard(vm, item)
                    events += found
            await self._store_all(tx, before, after, events)

    async def _store_all(
        self, tx: Transaction, before: dict[str, Vm], after: dict[str, Vm], events: list[Event]
    ) -> None:
        changed = [vm for uid, vm in after.items() if vm != before[uid]]
        if changed:
            await tx.update_all(changed)
        if events:
            await tx.emit_all(events)

    def _heard(self, vm: Vm, item: LinkNews) -> tuple[Vm, list[Event]]:
        match item.kind:
            case "up":
                return self._up(vm)
            case "down" if vm.agent is AgentState.UP and vm.agent_node == self._me:
                return self._down(vm)
            case "down" if vm.agent_node == self._me:
                return replace(vm, agent_node=""), []  # it is being installed anew
            case "clock-skew":
                return vm, [self._event("agent.clock-skew", vm, _skew(item.data), **item.data)]
            case "refused":
                return self._refused(vm, str(item.data.get("code")))
        return vm, []

    def _up(self, vm: Vm) -> tuple[Vm, list[Event]]:
        up = replace(vm, agent=AgentState.UP, agent_node=self._me, agent_error="", agent_attempts=0)
        if vm.agent is AgentState.UP:
            return up, []  # it moved here, or came back before anybody missed it
        return up, [self._event("agent.up", up, "its agent is up")]

    def _down(self, vm: Vm) -> tuple[Vm, list[Event]]:
        again = self._clock.now() + SILENT_FOR
        silent = replace(vm, agent=AgentState.SILENT, agent_node="", agent_next_try_at=again)
        if vm.state is not VmState.RUNNING:
            return silent, []
        return silent, [self._event("agent.silent", silent, "its agent has gone silent")]

    def _refused(self, vm: Vm, code: str) -> tuple[Vm, list[Event]]:
        log.warning("an agent that says it is %s was refused: %s", vm.uid, code)
        if (
            code == "protocol" and vm.state not in ENDED
        ):  # an old agent that cannot be talked to: it is to be installed anew, now
            return replace(vm, agent=AgentState.SILENT, agent_node="", agent_next_try_at=self._clock.now()), []
        if vm.agent is AgentState.INSTALLING:
            return vm, []  # while an agent is installed its predecessor may still call with the token it had
        text = f"an agent that says it is {vm.name} was refused: its token is {code}"
        return vm, [self._events.vm("agent.refused", vm, text, code=code)]

    def _event(self, kind: str, vm: Vm, text: str, /, **data: object) -> Event:
        return self._events.vm(kind, vm, f"{vm.name}: {text}", **data)


def _skew(data: dict[str, object]) -> str:
    """``skew_ms`` is what is added to the times of its samples: positive for a clock that is slow."""
    skew = data.get("skew_ms")
    if not isinstance(skew, int) or skew == 0:
        return "its clock is right again"
    return f"its clock is {abs(skew) / 1000:.0f} s {'slow' if skew > 0 else 'fast'}; its samples are corrected"
