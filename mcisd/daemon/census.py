"""How many VMs are in which state, and how their agents are: asked of the store now and then, for telemetry."""

from mcisd.aio.clock import Clock
from mcisd.aio.periodic import every
from mcisd.daemon.telemetry import Labels
from mcisd.model.records import Vm
from mcisd.model.states import AgentState, VmState
from mcisd.store.base import MetadataStore

PERIOD_S = 10.0


class Census:
    """``vms`` and ``agents``: state → count, as of the last count; states without any are left out."""

    def __init__(self, store: MetadataStore, clock: Clock) -> None:
        self.vms: dict[Labels, float] = {}
        self.agents: dict[Labels, float] = {}
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Count for ever; what was counted is forgotten when it ends, as another process counts then."""
        try:
            await every(self._clock, PERIOD_S, self._count)
        finally:
            self.vms, self.agents = {}, {}

    async def _count(self) -> None:
        async with self._store.reading() as tx:
            vms = {(s.value,): float(await tx.count(Vm, state=s.value)) for s in VmState}
            running = VmState.RUNNING.value
            agents = {(a.value,): float(await tx.count(Vm, agent=a.value, state=running)) for a in AgentState}
        # Zeros stay once something was there: a line that ends says less than one that goes to zero.
        self.vms = {key: count for key, count in vms.items() if count or key in self.vms}
        self.agents = {key: count for key, count in agents.items() if count or key in self.agents}
