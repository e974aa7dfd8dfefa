"""The driver of hosts with libvirt. In: calls of the driver interface. Out: work in threads, answers as our nouns."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeVar

from mcisd.drivers.libraries import library
from mcisd.drivers.libvirt import catalogue, groups, inventory, keys, life, networks, vms
from mcisd.drivers.libvirt.book import Book
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.link import Link
from mcisd.drivers.libvirt.settings import access_of, settings_of
from mcisd.model.cloud import (
    ConnectionSpec,
    ImageInfo,
    KeyPairInfo,
    KeyPairRequest,
    NetworkInfo,
    NetworkRequest,
    OwnedInfo,
    QuotaInfo,
    SecurityGroupInfo,
    SecurityGroupRequest,
    SpecInfo,
    VmInfo,
    VmRequest,
    VmStatus,
)

T = TypeVar("T")


class LibvirtConnection:
    """One host. It lists no regions: a host has one place, which only its owner knows."""

    def __init__(self, link: Link, ground: Ground) -> None:
        self._link = link
        self._ground = ground

    async def check(self) -> None:
        await self._do(inventory.check)

    async def close(self) -> None:
        await self._link.close()

    async def list_images(self) -> list[ImageInfo]:
        return await self._do(catalogue.images)

    async def get_image(self, image_id: str) -> ImageInfo:
        return await self._do(catalogue.image_info, image_id)

    async def list_specs(self) -> list[SpecInfo]:
        return await self._do(catalogue.specs)

    async def get_spec(self, spec_id: str) -> SpecInfo:
        return await self._do(catalogue.spec, spec_id)

    async def create_network(self, request: NetworkRequest) -> NetworkInfo:
        return await self._do(networks.create, request)

    async def list_networks(self) -> list[NetworkInfo]:
        return await self._do(networks.listing)

    async def delete_network(self, network_id: str) -> None:
        await self._do(networks.delete, network_id)

    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        return await self._do(groups.create, request)

    async def list_security_groups(self) -> list[SecurityGroupInfo]:
        return await self._do(groups.listing)

    async def delete_security_group(self, group_id: str) -> None:
        await self._do(groups.delete, group_id)

    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo:
        return await self._do(keys.create, request)

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        return await self._do(keys.listing)

    async def delete_key_pair(self, key_id: str) -> None:
        await self._do(keys.delete, key_id)

    async def start_vm(self, request: VmRequest) -> VmInfo:
        return await self._do(vms.start, request)

    async def suspend_vm(self, vm_id: str) -> None:
        await self._do(life.suspend, vm_id)

    async def resume_vm(self, vm_id: str) -> None:
        await self._do(life.resume, vm_id)

    async def reboot_vm(self, vm_id: str) -> None:
        await self._do(life.reboot, vm_id)

    async def terminate_vm(self, vm_id: str) -> None:
        await self._do(life.terminate, vm_id)

    async def hibernate_vm(self, vm_id: str) -> None:
        await self._do(life.hibernate, vm_id)

    async def list_vm_status(self) -> list[VmStatus]:
        return await self._do(vms.status)

    async def list_vms(self) -> list[VmInfo]:
        return await self._do(vms.listing)

    async def get_vm(self, vm_id: str) -> VmInfo:
        return await self._do(vms.get, vm_id)

    async def console_output(self, vm_id: str) -> str:
        return await self._do(vms.console, vm_id)

    async def list_quotas(self) -> list[QuotaInfo]:
        return await self._do(inventory.quotas)

    async def list_owned(self) -> list[OwnedInfo]:
        return await self._do(inventory.owned)

    async def remove_owned(self, item: OwnedInfo) -> None:
        await self._do(inventory.remove, item)

    async def _do(self, work: Callable[..., T], *arguments: Any) -> T:
        """``work(hypervisor, ground, …)`` in a thread."""
        ground = self._ground
        return await self._link.run(lambda hv: partial(work, hv, ground)(*arguments))


class LibvirtDriver:
    """Hosts with libvirt and qemu."""

    provider: ClassVar[str] = "libvirt"
    version: ClassVar[str] = "1"
    credential_fields: ClassVar[dict[str, bool]] = {
        "uri": True,
        "ssh_key_file": False,
        "username": False,
        "password": False,
    }
    connection: ClassVar[type] = LibvirtConnection

    async def connect(self, spec: ConnectionSpec, installation: str) -> LibvirtConnection:
        """A connection, opened by its first call; CloudInvalidError or CloudAuthError for what is wrong in ``spec``."""
        settings, access = settings_of(spec), access_of(spec.credential)
        module = await library("libvirt", "libvirt")
        module.registerErrorHandler(_quiet, None)
        return LibvirtConnection(Link(module, access), Ground(settings, installation, Book(installation)))


def _quiet(_context: object, _error: object) -> None:
    """libvirt would write each error to the standard error output as well as raise it."""
