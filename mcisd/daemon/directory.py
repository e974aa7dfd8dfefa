"""Which VM belongs where, for the alarm engine."""

from collections.abc import Callable
from dataclasses import dataclass

from mcisd.aio.clock import Clock
from mcisd.aio.signal import Signal
from mcisd.alarms.ports import Member
from mcisd.model.records import Vm
from mcisd.model.states import AgentState, Goal, VmState
from mcisd.store.base import MetadataStore

REPORTING = (VmState.RUNNING, VmState.UNDEFINED, VmState.FAILED)
SETTLE = 0.2
"""Seconds between two reloads: a launch of many VMs is many commits."""


@dataclass(slots=True)
class Directory:
    """Implements the alarms' Directory."""

    store: MetadataStore

    async def members(self) -> list[Member]:
        async with self.store.reading() as tx:
            vms = await tx.find(Vm)
        return [_member(vm) for vm in vms if vm.state is not VmState.TERMINATED and not vm.disposable]


def _member(vm: Vm) -> Member:
    reports = vm.goal is Goal.RUNNING and vm.state in REPORTING and vm.agent in (AgentState.UP, AgentState.SILENT)
    return Member(
        vm=vm.uid,
        name=vm.name,
        ns=vm.ns,
        mcis=vm.mcis,
        mcis_name=vm.mcis_name,
        region=vm.region,
        provider=vm.provider,
        reports=reports,
    )


class Watch:
    """Tells the engine that VMs or rules may have changed, at most a few times a second."""

    def __init__(self, clock: Clock, changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._signal = Signal()

    def wake(self) -> None:
        self._signal.set()

    async def run(self) -> None:
        while True:
            await self._signal.wait()
            self._changed()
            await self._clock.sleep(SETTLE)
