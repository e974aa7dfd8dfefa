"""VMs of a mock connection.

In: requests and ids. Out: machines on the region's shelf, and what the cloud tells of them.

Every call is O(1) in the number of VMs; the two lists are O(n) and drop what has faded away.
"""

from collections.abc import Callable

from mcisd.drivers.mock import errors, translate
from mcisd.drivers.mock.cloud import Region
from mcisd.drivers.mock.machine import Machine
from mcisd.drivers.mock.part import Part
from mcisd.model.cloud import VmInfo, VmRequest, VmStatus


class MockVms(Part):
    """VmHandler, HibernateHandler, ConsoleHandler and CrashHandler."""

    async def start_vm(self, request: VmRequest) -> VmInfo:
        region = self._admitted()

        def effect(now: float) -> VmInfo:
            machine = region.vms.made(request.token, now, self._cloud.settings.token_memory)
            if machine is None:
                self._judge(region, request)
                machine = self._make(region, request, now)
            return translate.vm_info(machine, now)

        return await self._cloud.call("start_vm", region, effect)

    async def suspend_vm(self, vm_id: str) -> None:
        await self._act("suspend_vm", vm_id, Machine.suspend)

    async def resume_vm(self, vm_id: str) -> None:
        await self._act("resume_vm", vm_id, Machine.resume)

    async def reboot_vm(self, vm_id: str) -> None:
        await self._act("reboot_vm", vm_id, Machine.reboot)

    async def terminate_vm(self, vm_id: str) -> None:
        region = self._admitted()

        def effect(now: float) -> None:
            machine = region.vms.get(vm_id)
            if machine is not None and machine.terminate(now):
                region.occupied -= 1

        await self._cloud.call("terminate_vm", region, effect)

    async def list_vm_status(self) -> list[VmStatus]:
        region = self._admitted()
        return await self._cloud.call(
            "list_vm_status",
            region,
            lambda now: [translate.vm_status(machine, now, self._stale) for machine in self._listed(region, now)],
        )

    async def list_vms(self) -> list[VmInfo]:
        region = self._admitted()
        return await self._cloud.call(
            "list_vms",
            region,
            lambda now: [translate.vm_info(machine, now, self._stale) for machine in self._listed(region, now)],
        )

    async def get_vm(self, vm_id: str) -> VmInfo:
        region = self._admitted()

        def effect(now: float) -> VmInfo:
            machine = region.vms.get(vm_id, now)
            if machine is None or not machine.shown(now):
                raise errors.unknown("VM", vm_id)
            return translate.vm_info(machine, now)

        return await self._cloud.call("get_vm", region, effect)

    async def hibernate_vm(self, vm_id: str) -> None:
        await self._act("hibernate_vm", vm_id, Machine.suspend)

    async def console_output(self, vm_id: str) -> str:
        region = self._admitted()

        def effect(now: float) -> str:
            machine = region.vms.get(vm_id, now)
            if machine is None or not machine.shown(now):
                raise errors.unknown("VM", vm_id)
            name, state = machine.request.name, machine.look(now)
            return f"{name}: boot of {machine.request.image_id}\n{name}: {state} {machine.reason}\n"

        return await self._cloud.call("console_output", region, effect)

    async def crash_vm(self, vm_id: str) -> None:
        def effect(now: float) -> None:
            if not self._cloud.crash(vm_id):
                raise errors.unknown("living VM", vm_id)

        await self._cloud.call("crash_vm", self._admitted(), effect)

    async def _act(self, api: str, vm_id: str, action: Callable[[Machine, float], None]) -> None:
        region = self._admitted()

        def effect(now: float) -> None:
            machine = region.vms.get(vm_id)
            if machine is None or not machine.shown(now):
                raise errors.unknown("VM", vm_id)
            action(machine, now)

        await self._cloud.call(api, region, effect)

    @property
    def _stale(self) -> float:
        return self._cloud.settings.list_stale

    def _listed(self, region: Region, now: float) -> list[Machine]:
        region.vms.forget(lambda machine: not machine.shown(now))
        return region.vms.listed(self._installation, now)

    def _judge(self, region: Region, request: VmRequest) -> None:
        """Refuse what no cloud would take."""
        settings = self._cloud.settings
        if all(image.id != request.image_id for image in settings.images):
            raise errors.invalid("image_id", request.image_id)
        if all(spec.id != request.spec_id for spec in settings.specs):
            raise errors.invalid("spec_id", request.spec_id)
        zones = next(place.zones for place in settings.regions if place.name == region.name)
        if request.zone and request.zone not in zones:
            raise errors.invalid("zone", request.zone)
        network = region.networks.get(request.network_id)
        if network is None:
            raise errors.invalid("network_id", request.network_id)
        if request.subnet_id not in network.subnet_ids:
            raise errors.invalid("subnet_id", request.subnet_id)
        for group_id in request.security_group_ids:
            if region.groups.get(group_id) is None:
                raise errors.invalid("security_group_ids", group_id)
        if region.keys.get(request.key_pair_id) is None:
            raise errors.invalid("key_pair_id", request.key_pair_id)
        if settings.vms_per_region is not None and region.occupied >= settings.vms_per_region:
            raise errors.over_quota(settings.vms_per_region)
        if settings.capacity_per_region is not None and region.occupied >= settings.capacity_per_region:
            raise errors.no_capacity()

    def _make(self, region: Region, request: VmRequest, now: float) -> Machine:
        cloud, number = self._cloud, self._cloud.next_number()
        machine = Machine(
            id=f"i-{number:08x}",
            request=request,
            region=region.name,
            installation=self._installation,
            address=cloud.address(number),
            private_address=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            rng=cloud.chance("vm", request.token),
            settings=cloud.settings,
            started_at=cloud.clock.now(),
        )
        machine.begin(now)
        cloud.remember(region, machine)
        return region.vms.put(machine.id, machine, request.token, self._installation, now, self._lag(request.token))
