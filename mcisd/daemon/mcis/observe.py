"""Looking at a cloud: the state of all VMs of a connection in one call, and confirmation of what seems missing."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mcisd.daemon.clouds import Clouds
from mcisd.daemon.mcis.decide import Seen
from mcisd.drivers.base import VmHandler
from mcisd.model.cloud import CloudVmState, VmInfo
from mcisd.model.errors import CloudNotFoundError
from mcisd.model.records import Vm
from mcisd.model.states import Action


@dataclass(frozen=True, slots=True)
class View:
    """What one look found: by VM uid what was seen, and full descriptions where they were asked for."""

    seen: dict[str, Seen] = field(default_factory=dict)
    infos: dict[str, VmInfo] = field(default_factory=dict)


class Observer:
    """Looks at the clouds through the gate."""

    def __init__(self, clouds: Clouds, now: Callable[[], float]) -> None:
        self._clouds = clouds
        self._now = now

    async def look(self, connection: str, vms: list[Vm]) -> View:
        """See these VMs of one connection; raises what the gate raises."""
        cloud = await self._clouds.handler(connection, VmHandler)
        at = self._now()
        view = View()
        wanted = [vm for vm in vms if vm.cloud_id]
        if any(_wants_facts(vm) for vm in wanted):
            for info in await cloud.list_vms():
                view.infos[info.token] = info
            rows = {info.id: (info.state, info.reason) for info in view.infos.values()}
        else:
            rows = {status.id: (status.state, status.reason) for status in await cloud.list_vm_status()}
        for vm in wanted:
            state, reason = rows.get(vm.cloud_id, (None, ""))
            if state is None and _must_be_sure(vm):
                state, reason = await self._confirm(cloud, vm, view)
            known = view.infos.get(vm.uid)
            addressed = bool(vm.public_address or vm.private_address or (known and _address(known)))
            view.seen[vm.uid] = Seen(state, at, reason, addressed)
        return view

    async def _confirm(self, cloud: VmHandler, vm: Vm, view: View) -> tuple[CloudVmState | None, str]:
        """Ask for the one VM that a list did not show: lists may lag."""
        try:
            info = await cloud.get_vm(vm.cloud_id)
        except CloudNotFoundError:
            return None, "the cloud does not know it any more"
        view.infos[vm.uid] = info
        return info.state, info.reason


def _address(info: VmInfo) -> str:
    return info.public_address or info.private_address


def _wants_facts(vm: Vm) -> bool:
    return not (vm.public_address or vm.private_address) or vm.pending in (Action.RESUME, Action.REBOOT)


def _must_be_sure(vm: Vm) -> bool:
    return vm.pending is not Action.TERMINATE
