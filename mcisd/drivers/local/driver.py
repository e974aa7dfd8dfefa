"""The driver of the local cloud. In: calls of the driver interface. Out: calls to the cloud, answers as our nouns."""

from typing import ClassVar

from mcisd.drivers.images import by_alias, parse_alias
from mcisd.drivers.local import catalogue, translate
from mcisd.drivers.local.channel import CloudChannel, ensure_running
from mcisd.drivers.local.settings import home_of
from mcisd.model.cloud import (
    CloudRegion,
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
from mcisd.model.errors import CloudAuthError, CloudInvalidError

_REMOVERS = {
    "vm": "terminate_vm", "network": "delete_network", "security-group": "delete_group", "key": "delete_key",
}  # fmt: skip


class LocalConnection:
    """One account in one region of the local cloud."""

    def __init__(self, channel: CloudChannel, zone: str, installation: str) -> None:
        self._channel = channel
        self._zone = zone
        self._installation = installation
        self._ours = {"tags": {translate.INSTALLATION_TAG: installation}}

    async def check(self) -> None:
        await self._channel.call("check", {"zone": self._zone})

    async def close(self) -> None:
        await self._channel.close()

    async def list_regions(self) -> list[CloudRegion]:
        return [place.region for place in catalogue.PLACES.values()]

    async def list_images(self) -> list[ImageInfo]:
        return list(catalogue.IMAGES.values())

    async def get_image(self, image_id: str) -> ImageInfo:
        alias = parse_alias(image_id)
        return by_alias(list(catalogue.IMAGES.values()), *alias) if alias else catalogue.image(image_id)

    async def list_specs(self) -> list[SpecInfo]:
        return list(catalogue.SPECS.values())

    async def get_spec(self, spec_id: str) -> SpecInfo:
        return catalogue.spec(spec_id)

    async def create_network(self, request: NetworkRequest) -> NetworkInfo:
        document = translate.request_document(request, self._installation)
        return translate.network_info(await self._channel.call("create_network", document))

    async def list_networks(self) -> list[NetworkInfo]:
        return [translate.network_info(row) for row in await self._channel.call("list_network", self._ours)]

    async def delete_network(self, network_id: str) -> None:
        await self._channel.call("delete_network", {"id": network_id})

    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        document = translate.request_document(request, self._installation)
        return translate.security_group_info(await self._channel.call("create_group", document))

    async def list_security_groups(self) -> list[SecurityGroupInfo]:
        return [translate.security_group_info(row) for row in await self._channel.call("list_group", self._ours)]

    async def delete_security_group(self, group_id: str) -> None:
        await self._channel.call("delete_group", {"id": group_id})

    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo:
        document = translate.request_document(request, self._installation)
        return translate.key_pair_info(await self._channel.call("create_key", document))

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        return [translate.key_pair_info(row) for row in await self._channel.call("list_key", self._ours)]

    async def delete_key_pair(self, key_id: str) -> None:
        await self._channel.call("delete_key", {"id": key_id})

    async def start_vm(self, request: VmRequest) -> VmInfo:
        document = translate.request_document(request, self._installation)
        document["zone"] = request.zone or self._zone
        return translate.vm_info(await self._channel.call("start_vm", document))

    async def suspend_vm(self, vm_id: str) -> None:
        await self._channel.call("suspend_vm", {"id": vm_id})

    async def resume_vm(self, vm_id: str) -> None:
        await self._channel.call("resume_vm", {"id": vm_id})

    async def reboot_vm(self, vm_id: str) -> None:
        await self._channel.call("reboot_vm", {"id": vm_id})

    async def terminate_vm(self, vm_id: str) -> None:
        await self._channel.call("terminate_vm", {"id": vm_id})

    async def crash_vm(self, vm_id: str) -> None:
        await self._channel.call("crash_vm", {"id": vm_id})

    async def console_output(self, vm_id: str) -> str:
        return str(await self._channel.call("console", {"id": vm_id}))

    async def list_quotas(self) -> list[QuotaInfo]:
        return [QuotaInfo(**row) for row in await self._channel.call("list_quotas", {"tags": {}})]

    async def list_owned(self) -> list[OwnedInfo]:
        return [OwnedInfo(**row) for row in await self._channel.call("list_owned", self._ours)]

    async def remove_owned(self, item: OwnedInfo) -> None:
        if item.kind not in _REMOVERS:
            raise CloudInvalidError(f"kind {item.kind[:40]!r} is unknown", field="kind", remedy="use one of the list")
        await self._channel.call(_REMOVERS[item.kind], {"id": item.id})

    async def list_vm_status(self) -> list[VmStatus]:
        return [translate.vm_status(row) for row in await self._channel.call("list_vms", self._ours)]

    async def list_vms(self) -> list[VmInfo]:
        return [translate.vm_info(row) for row in await self._channel.call("list_vms", self._ours)]

    async def get_vm(self, vm_id: str) -> VmInfo:
        return translate.vm_info(await self._channel.call("get_vm", {"id": vm_id}))


class LocalDriver:
    """Opens connections to the local cloud, starting it where it does not run."""

    provider: ClassVar[str] = "local"
    version: ClassVar[str] = "1"
    credential_fields: ClassVar[dict[str, bool]] = {"account": True, "secret": True, "home": False}
    connection: ClassVar[type] = LocalConnection

    async def connect(self, spec: ConnectionSpec, installation: str) -> LocalConnection:
        """A connection; CloudInvalidError for an unknown region or zone, CloudAuthError without account and secret."""
        zone = catalogue.zone(spec.region, spec.zone)
        for name in ("account", "secret"):
            value = spec.credential.get(name, "")
            if not value or not value.isprintable() or not value.isascii():
                raise CloudAuthError(f"{name} is missing or not printable", field=name, remedy=f"give {name}")
        home = home_of(spec)
        options = ("--delay-scale", spec.region_info["delay_scale"]) if "delay_scale" in spec.region_info else ()
        await ensure_running(home, options)
        account, secret = spec.credential["account"], spec.credential["secret"]
        return LocalConnection(CloudChannel(home, spec.region, account, secret, options), zone, installation)
