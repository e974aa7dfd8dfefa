"""Acting on a cloud: one step of one VM, through the gate, with no transaction open."""

from collections.abc import Callable
from dataclasses import dataclass

from mcisd.daemon.clouds import Clouds
from mcisd.daemon.mcis.decide import REBOOT_SETTLE, Step
from mcisd.daemon.vault import Vault
from mcisd.drivers.base import HibernateHandler, VmHandler
from mcisd.model.cloud import VmInfo, VmRequest
from mcisd.model.records import Resource, Vm
from mcisd.model.states import ResourceKind


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of a step: the cloud's description of the VM where there is one, and when to look again."""

    info: VmInfo | None = None
    not_before: float = 0.0


class VmActions:
    """The driver calls behind each step. ``tags`` mark what is ours."""

    def __init__(self, clouds: Clouds, vault: Vault, installation: str, now: Callable[[], float]) -> None:
        self._clouds = clouds
        self._vault = vault
        self._installation = installation
        self._now = now

    async def act(self, step: Step, vm: Vm, needs: dict[ResourceKind, Resource]) -> Acted:
        """Do one step; raises what the gate raises."""
        cloud = await self._clouds.handler(vm.connection, VmHandler)
        match step:
            case Step.CREATE:
                return Acted(await cloud.start_vm(self._request(vm, needs)))
            case Step.SUSPEND if vm.hibernate:
                await (await self._clouds.handler(vm.connection, HibernateHandler)).hibernate_vm(vm.cloud_id)
            case Step.SUSPEND:
                await cloud.suspend_vm(vm.cloud_id)
            case Step.RESUME:
                await cloud.resume_vm(vm.cloud_id)
            case Step.REBOOT:
                await cloud.reboot_vm(vm.cloud_id)
                return Acted(not_before=self._now() + REBOOT_SETTLE)
            case Step.TERMINATE:
                await cloud.terminate_vm(vm.cloud_id)
            case _:
                raise ValueError(f"{step} is not a step to act on")
        return Acted()

    def _request(self, vm: Vm, needs: dict[ResourceKind, Resource]) -> VmRequest:
        network = needs[ResourceKind.NETWORK]
        image = needs[ResourceKind.IMAGE]
        key = needs[ResourceKind.SSH_KEY]
        return VmRequest(
            token=vm.uid,
            name=f"{vm.mcis_name}-{vm.name}",
            image_id=image.cloud_id,
            spec_id=needs[ResourceKind.SPEC].cloud_id,
            network_id=network.cloud_id,
            subnet_id=_first(network.info.get("subnet_ids")),
            security_group_ids=(needs[ResourceKind.SECURITY_GROUP].cloud_id,),
            key_pair_id=key.cloud_id,
            guest_user=str(image.info.get("guest_user") or vm.guest_user),
            host_key=self._vault.host_key(vm.uid, vm.sealed_host_key),
            public_key=str(key.body.get("public_key", "")),
            zone=vm.zone or None,
            tags={
                "mcisd-installation": self._installation,
                "mcisd-namespace": vm.ns,
                "mcisd-infra": vm.mcis_name,
                "mcisd-vm": vm.uid,
                "mcisd-operation": vm.operation,
            },
        )


def _first(value: object) -> str:
    return str(value[0]) if isinstance(value, list | tuple) and value else ""
