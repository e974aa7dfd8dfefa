"""Looking at a cloud: the state of all VMs of a connection in one call, and confirmation of what seems missing.

In: VM rows. Out: what the cloud says of each, and full descriptions where they were asked for.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from mcisd.daemon.clouds import Clouds
from mcisd.daemon.mcis.decide import LOST_AFTER, Seen
from mcisd.drivers.base import VmHandler
from mcisd.model.cloud import CloudVmState, VmInfo
from mcisd.model.errors import CloudError, CloudNotFoundError
from mcisd.model.records import Vm
from mcisd.model.states import Action

log = logging.getLogger(__name__)
CONFIRM = 20
"""VMs that one look asks for one by one; the others' turn comes with the next looks."""


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
        """See these VMs of one connection; raises what the gate raises. A VM that is missing from the list and could
        not be asked for in this look is missing from the view."""
        cloud = await self._clouds.handler(connection, VmHandler)
        at = self._now()
        view = View()
        wanted = [vm for vm in vms if vm.cloud_id or looked_for(vm)]
        rows = await self._list(cloud, wanted, view)
        asked = 0
        for vm in wanted:
            found = view.infos.get(vm.uid)
            state, reason = rows.get(vm.cloud_id or (found.id if found else ""), (None, ""))
            if state is None and _must_be_sure(vm, at):
                asked += 1
                if asked > CONFIRM:
                    continue
                answer = await self._confirm(cloud, vm, view)
                if answer is None:
                    continue
                state, reason = answer
            found = view.infos.get(vm.uid)
            addressed = bool(vm.public_address or vm.private_address or (found and _address(found)))
            view.seen[vm.uid] = Seen(state, at, reason, addressed)
        return view

    async def _list(self, cloud: VmHandler, wanted: list[Vm], view: View) -> dict[str, tuple[CloudVmState, str]]:
        """Cloud id → state and reason, in one call: the long form if it is needed for any VM."""
        if not any(_wants_facts(vm) for vm in wanted):
            return {status.id: (status.state, status.reason) for status in await cloud.list_vm_status()}
        for info in await cloud.list_vms():
            view.infos[info.token] = info
        return {info.id: (info.state, info.reason) for info in view.infos.values()}

    async def _confirm(self, cloud: VmHandler, vm: Vm, view: View) -> tuple[CloudVmState | None, str] | None:
        """Ask for the one VM that a list did not show (lists may lag); None if there was no answer."""
        try:
            info = await cloud.get_vm(vm.cloud_id)
        except CloudNotFoundError:
            return None, "the cloud does not know it any more"
        except CloudError as error:
            log.info("cannot tell whether %s is still at its cloud: %s", vm.cloud_id, error.message)
            return None
        view.infos[vm.uid] = info
        return info.state, info.reason


def looked_for(vm: Vm) -> bool:
    """It may exist although we were never told its id: its creation was sent and it shall end."""
    return vm.pending is Action.TERMINATE and not vm.cloud_id and vm.create_tried_at > 0


def _address(info: VmInfo) -> str:
    return info.public_address or info.private_address


def _wants_facts(vm: Vm) -> bool:
    return not (vm.public_address or vm.private_address) or vm.pending in (Action.RESUME, Action.REBOOT)


def _must_be_sure(vm: Vm, now: float) -> bool:
    """Whether to ask for it alone: not while it is expected to be missing (just made, or on its way out)."""
    if vm.pending is Action.CREATE:
        return now - vm.create_tried_at > LOST_AFTER
    return vm.pending is not Action.TERMINATE
