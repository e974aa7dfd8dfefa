"""VMs. In: requests of the core. Out: instances asked for, changed, shown.

A VM's id is "zone/name"; the name comes from the token. Three things keep one token to one VM: the request id, by which
Google answers a repeated request with the operation of the first; the name, which only one instance can have at a time;
and, after the VM is gone, again the request id: the operation is done, but nothing is there.
"""

import re
from dataclasses import replace

from mcisd.drivers.gcp import translate
from mcisd.drivers.gcp.api import Json
from mcisd.drivers.gcp.core import named
from mcisd.drivers.gcp.faults import operation_fault
from mcisd.drivers.gcp.groups import Groups
from mcisd.drivers.gcp.images import image_link
from mcisd.drivers.gcp.keys import Keys
from mcisd.drivers.gcp.names import Marks, is_name, label_filter
from mcisd.model.cloud import CloudVmState, VmInfo, VmRequest, VmStatus
from mcisd.model.errors import CloudConflictError, CloudInvalidError, CloudNotFoundError

State = CloudVmState
CONSOLE = 65536
MOST_UNFINISHED = 1000


class Vms(Groups, Keys):
    """The handlers for VMs, their sleep and their console."""

    async def start_vm(self, request: VmRequest) -> VmInfo:
        zone = await self._zone(request.zone)
        _plain(request)
        await self._need_key(request.key_pair_id)
        await self._need_groups(request.security_group_ids)
        place = translate.Place(self._api.project, zone, self._name(request.name, request.token))
        marks = self._marks(request.token, request.name, request.tags, user=request.guest_user, image=request.image_id)
        image = image_link(request.image_id, self._api.project)
        body = translate.instance_body(request, place, image, self._scope.region, marks)
        try:
            operation = await self._api.ask(
                "instances.insert", f"instance {place.vm_id}", zone=zone, instanceResource=body
            )
            operation = await self._api.watch(operation, self._scope.pauses)
        except CloudConflictError:
            found = await self._find(place.vm_id)
            if found is None:
                raise
            return translate.vm_info(*found)
        if operation["status"] != "DONE":
            return self._remember(operation, translate.asked_vm(request, place, marks, State.PENDING))
        found = await self._find(place.vm_id)
        return translate.vm_info(*found) if found else translate.asked_vm(request, place, marks, State.TERMINATED)

    async def suspend_vm(self, vm_id: str) -> None:
        status = await self._status(vm_id)
        if status in ("TERMINATED", "SUSPENDED", "STOPPING", "PENDING_STOP"):
            return
        if status == "SUSPENDING":
            raise CloudConflictError(f"VM {vm_id} is going to sleep", remedy="wait until it is stopped")
        await self._act("instances.stop", vm_id)

    async def hibernate_vm(self, vm_id: str) -> None:
        status = await self._status(vm_id)
        if status in ("TERMINATED", "SUSPENDED", "SUSPENDING"):
            return
        if status != "RUNNING":
            raise CloudConflictError(f"VM {vm_id} is {status}, only a running one can sleep")
        await self._act("instances.suspend", vm_id)

    async def resume_vm(self, vm_id: str) -> None:
        status = await self._status(vm_id)
        if status in ("TERMINATED", "SUSPENDED"):
            await self._act("instances.resume" if status == "SUSPENDED" else "instances.start", vm_id, looks=1)
        elif status in ("STOPPING", "PENDING_STOP", "SUSPENDING", "DEPROVISIONING"):
            raise CloudConflictError(f"VM {vm_id} is {status}", remedy="wait until it is stopped")

    async def reboot_vm(self, vm_id: str) -> None:
        status = await self._status(vm_id)
        if status != "RUNNING":
            raise CloudConflictError(f"VM {vm_id} is {status}, only a running one can restart")
        await self._act("instances.reset", vm_id)

    async def terminate_vm(self, vm_id: str) -> None:
        self._unfinished.pop(vm_id, None)
        try:
            zone, name = self._parts(vm_id)
            await self._api.call("instances.delete", zone=zone, instance=name)
        except CloudNotFoundError:
            return

    async def list_vm_status(self) -> list[VmStatus]:
        return [translate.vm_status(item, marks) for item, marks in await self._own_vms()]

    async def list_vms(self) -> list[VmInfo]:
        return [translate.vm_info(item, marks) for item, marks in await self._own_vms()]

    async def get_vm(self, vm_id: str) -> VmInfo:
        try:
            return translate.vm_info(*await self._get(vm_id))
        except CloudNotFoundError:
            failed = await self._failed(vm_id)
            if failed is None:
                raise
            return failed

    def _remember(self, operation: Json, asked: VmInfo) -> VmInfo:
        """Keep what makes a VM and was not done when we stopped looking."""
        while len(self._unfinished) >= MOST_UNFINISHED:
            del self._unfinished[next(iter(self._unfinished))]
        self._unfinished[asked.id] = (str(operation["name"]), asked)
        return asked

    async def _failed(self, vm_id: str) -> VmInfo | None:
        """A VM that Google accepted, but could not make in the end: there is nothing, and the operation says why."""
        name, asked = self._unfinished.get(vm_id, ("", None))
        if asked is None:
            return None
        fault = operation_fault(await self._api.call("zoneOperations.get", zone=asked.zone, operation=name))
        return replace(asked, state=State.FAILED, reason=fault.message) if fault else None

    async def console_output(self, vm_id: str) -> str:
        zone, name = self._parts(vm_id)
        answer = await self._api.call(
            "instances.getSerialPortOutput", zone=zone, instance=name, port=1, start=str(-CONSOLE)
        )
        return str(answer.get("contents", ""))[-CONSOLE:]

    async def _own_vms(self) -> list[tuple[Json, Marks]]:
        search = label_filter(self._scope.installation, self._scope.region)
        found = await self._api.scoped("instances.aggregatedList", "instances", self._scope.region, filter=search)
        return [(item, marks) for item in found if (marks := self._vm_marks(item)) is not None]

    async def _get(self, vm_id: str) -> tuple[Json, Marks]:
        zone, name = self._parts(vm_id)
        item = await self._api.call("instances.get", zone=zone, instance=name)
        marks = self._vm_marks(item)
        if marks is None:
            raise CloudNotFoundError(f"VM {vm_id} is not one of ours")
        return item, marks

    async def _find(self, vm_id: str) -> tuple[Json, Marks] | None:
        try:
            return await self._get(vm_id)
        except CloudNotFoundError:
            return None

    async def _status(self, vm_id: str) -> str:
        return str((await self._get(vm_id))[0]["status"])

    async def _act(self, name: str, vm_id: str, looks: int = 0) -> None:
        """Ask for a change; what is refused at once, or found at so many looks after, is raised."""
        zone, instance = self._parts(vm_id)
        operation = await self._api.call(name, zone=zone, instance=instance)
        await self._api.watch(operation, self._scope.pauses[:looks])

    def _vm_marks(self, item: Json) -> Marks | None:
        marks = translate.instance_marks(item)
        return marks if marks is not None and marks.of(self._scope.installation, self._scope.region) else None

    def _parts(self, vm_id: str) -> tuple[str, str]:
        """Zone and name of an id; CloudNotFoundError if our region can have no such VM."""
        zone, _, name = vm_id.partition("/")
        if not (is_name(zone) and is_name(name) and zone.startswith(f"{self._scope.region}-")):
            raise CloudNotFoundError(f"there is no VM {vm_id[:80]!r} in region {self._scope.region}")
        return zone, name


def _plain(request: VmRequest) -> None:
    """Refuse what could not be a name at Google: the parts of a URL are made of it."""
    if not re.fullmatch(r"[a-z][-a-z0-9]{1,62}", request.spec_id):
        raise CloudInvalidError(f"there is no spec {request.spec_id[:80]!r}", field="spec_id")
    named(request.network_id, "network")
    named(request.subnet_id, "subnet")
