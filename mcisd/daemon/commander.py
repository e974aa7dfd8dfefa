"""Remote commands: from VM rows to SSH targets, and back to one outcome per VM."""

from collections.abc import Callable
from dataclasses import dataclass

from mcisd.daemon.fleet.commands import run_on_many
from mcisd.daemon.fleet.ssh import SshPool
from mcisd.daemon.fleet.target import CommandResult, SshTarget
from mcisd.daemon.mcis.rows import need_mcis
from mcisd.daemon.targets import Targets
from mcisd.model.errors import HostError, NotFoundError, StateError
from mcisd.model.records import Vm
from mcisd.model.states import VmState
from mcisd.store.base import MetadataStore

Outcomes = dict[str, CommandResult | HostError]


@dataclass(slots=True)
class Commander:
    """Runs commands on VMs of an MCIS."""

    store: MetadataStore
    targets: Targets
    pool: SshPool

    async def run(
        self,
        ns: str,
        infra: str,
        command: str,
        *,
        vms: list[str],
        timeout: float,
        on_result: Callable[[str, CommandResult | HostError], None] = lambda name, outcome: None,
    ) -> Outcomes:
        """Run ``command`` on the named VMs, or on all that are Running; one outcome per VM name."""
        chosen = await self._choose(ns, infra, vms)
        found = await self.targets.of(chosen)
        rows = {vm.name: vm for vm in chosen}
        outcomes: Outcomes = {name: target for name, target in found.items() if not isinstance(target, SshTarget)}
        ready = [target for target in found.values() if isinstance(target, SshTarget)]
        outcomes |= await run_on_many(
            self.pool, ready, command, timeout=timeout, env=lambda target: _env(rows[target.name]), on_result=on_result
        )
        return {vm.name: outcomes[vm.name] for vm in chosen}

    async def sentence(self, ns: str, infra: str, vms: list[str], command: str) -> str:
        """Run and tell in one sentence (for policies)."""
        outcomes = await self.run(ns, infra, command, vms=vms, timeout=300.0)
        good = sum(1 for outcome in outcomes.values() if isinstance(outcome, CommandResult) and outcome.ok)
        return f"{good} of {len(outcomes)} ended with 0"

    async def _choose(self, ns: str, infra: str, names: list[str]) -> list[Vm]:
        async with self.store.reading() as tx:
            mcis = await need_mcis(tx, ns, infra)
            vms = {vm.name: vm for vm in await tx.find(Vm, mcis=mcis.uid, order="name") if not vm.disposable}
        for name in names:
            if name not in vms:
                raise NotFoundError(f"infra {infra} has no VM {name!r}", field="vms", remedy="see `mcis status`")
        chosen = [vms[name] for name in names] if names else list(vms.values())
        running = [vm for vm in chosen if vm.state is VmState.RUNNING]
        if names and len(running) < len(chosen):
            idle = next(vm for vm in chosen if vm.state is not VmState.RUNNING)
            raise StateError(f"VM {idle.name} is {idle.state}, not Running", field="vms", remedy="resume it first")
        if not running:
            raise StateError(f"infra {infra} has no running VM", field="vms", remedy="resume it first")
        return running


def _env(vm: Vm) -> dict[str, str]:
    return {
        "MCIS_VM": vm.name,
        "MCIS_NAME": vm.mcis_name,
        "MCIS_NS": vm.ns,
        "MCIS_ADDRESS": vm.private_address or vm.public_address,
    }
