"""The driver itself. In: calls of the interface in mcisd/drivers/base.py. Out: changes of the book."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, TypeVar, cast

from mcisd.drivers.images import by_alias, parse_alias
from mcisd.drivers.marks import INSTALLATION, ours
from mcisd.model.cloud import (
    CloudRegion,
    CloudVmState,
    ConnectionSpec,
    ImageInfo,
    KeyPairInfo,
    KeyPairRequest,
    NetworkInfo,
    NetworkRequest,
    OwnedInfo,
    SecurityGroupInfo,
    SecurityGroupRequest,
    SpecInfo,
    VmInfo,
    VmRequest,
    VmStatus,
)
from mcisd.model.errors import CloudAuthError, CloudConflictError, CloudInvalidError, CloudNotFoundError
from mcisd_paper.book import Page, page
from mcisd_paper.translate import IMAGES, REGIONS, SPECS, fingerprint

State = CloudVmState
Request = NetworkRequest | SecurityGroupRequest | KeyPairRequest | VmRequest
T = TypeVar("T", NetworkInfo, SecurityGroupInfo, KeyPairInfo, VmInfo)


class PaperConnection:
    """One page of the book. Each group of methods is one capability of mcisd."""

    def __init__(self, here: Page, region: str, installation: str) -> None:
        self._page = here
        self._region = region
        self._ours = installation

    async def check(self) -> None:
        """Nothing can be wrong once ``connect`` has passed; a real driver asks its cloud who we are."""

    async def close(self) -> None:
        """No socket to give back."""

    async def list_regions(self) -> list[CloudRegion]:
        return REGIONS

    async def list_images(self) -> list[ImageInfo]:
        return IMAGES

    async def get_image(self, image_id: str) -> ImageInfo:
        alias = parse_alias(image_id)
        return by_alias(IMAGES, *alias) if alias else _one([i for i in IMAGES if i.id == image_id], "image")

    async def list_specs(self) -> list[SpecInfo]:
        return SPECS

    async def get_spec(self, spec_id: str) -> SpecInfo:
        return _one([spec for spec in SPECS if spec.id == spec_id], "spec")

    async def create_network(self, request: NetworkRequest) -> NetworkInfo:
        def make() -> NetworkInfo:
            net = self._page.next_id("net")
            subnets = tuple(f"{net}-{i}" for i in range(max(1, len(request.subnets))))
            return NetworkInfo(net, request.name, request.cidr, subnets, self._marks(request))

        return self._create(request.token, self._page.networks, make)

    async def list_networks(self) -> list[NetworkInfo]:
        return self._listed(self._page.networks)

    async def delete_network(self, network_id: str) -> None:
        _unused(self._page.users(network=network_id) if network_id else [])
        self._page.networks.pop(network_id, None)

    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        def make() -> SecurityGroupInfo:
            _known(request.network_id in self._page.networks, "network_id")
            group = self._page.next_id("sg")
            return SecurityGroupInfo(group, request.name, request.network_id, request.rules, self._marks(request))

        return self._create(request.token, self._page.groups, make)

    async def list_security_groups(self) -> list[SecurityGroupInfo]:
        return self._listed(self._page.groups)

    async def delete_security_group(self, group_id: str) -> None:
        _unused(self._page.users(group=group_id) if group_id else [])
        self._page.groups.pop(group_id, None)

    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo:
        def make() -> KeyPairInfo:
            digest = fingerprint(request.public_key)
            return KeyPairInfo(self._page.next_id("key"), request.name, digest, self._marks(request))

        return self._create(request.token, self._page.keys, make)

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        return self._listed(self._page.keys)

    async def delete_key_pair(self, key_id: str) -> None:
        self._page.keys.pop(key_id, None)

    async def start_vm(self, request: VmRequest) -> VmInfo:
        return self._create(request.token, self._page.vms, lambda: self._new_vm(request))

    async def suspend_vm(self, vm_id: str) -> None:
        self._move(vm_id, "suspend", {State.RUNNING: State.STOPPED, State.STOPPED: State.STOPPED})

    async def resume_vm(self, vm_id: str) -> None:
        self._move(vm_id, "resume", {State.STOPPED: State.RUNNING, State.RUNNING: State.RUNNING})

    async def reboot_vm(self, vm_id: str) -> None:
        self._move(vm_id, "reboot", {State.RUNNING: State.RUNNING})

    async def terminate_vm(self, vm_id: str) -> None:
        vm = self._page.vms.pop(vm_id, None)
        if vm is not None:  # the token stays used: a late second try must not bring the VM back
            self._page.tokens[vm.token] = replace(vm, state=State.TERMINATED)

    async def list_vm_status(self) -> list[VmStatus]:
        return [VmStatus(vm.id, vm.token, vm.state, vm.reason) for vm in await self.list_vms()]

    async def list_vms(self) -> list[VmInfo]:
        for vm_id in self._page.vms:
            self._page.vm(vm_id)
        return self._listed(self._page.vms)

    async def get_vm(self, vm_id: str) -> VmInfo:
        return _one([vm for vm in [self._page.vm(vm_id)] if vm is not None], "VM")

    async def list_owned(self) -> list[OwnedInfo]:
        here = self._page
        shelves: dict[str, Mapping[str, NetworkInfo | SecurityGroupInfo | KeyPairInfo | VmInfo]] = {
            "vm": here.vms, "network": here.networks, "security-group": here.groups, "key": here.keys,
        }  # fmt: skip
        tokens = {made.id: token for token, made in here.tokens.items()}
        return [
            OwnedInfo(kind, item.id, item.name, tokens[item.id], item.tags)
            for kind, shelf in shelves.items()
            for item in shelf.values()
            if ours(item.tags, self._ours)
        ]

    async def remove_owned(self, item: OwnedInfo) -> None:
        _known(item.kind in ("vm", "network", "security-group", "key"), "kind")
        remove = {"vm": self.terminate_vm, "network": self.delete_network, "key": self.delete_key_pair}
        await remove.get(item.kind, self.delete_security_group)(item.id)

    async def crash_vm(self, vm_id: str) -> None:
        """For tests and demonstrations only; a real driver leaves this capability out."""
        vm = await self.get_vm(vm_id)
        self._page.vms[vm_id] = replace(vm, state=State.FAILED, reason="crossed out")

    def _new_vm(self, request: VmRequest) -> VmInfo:
        network = self._page.networks.get(request.network_id)
        _known(request.image_id in [image.id for image in IMAGES], "image_id")
        _known(not request.zone, "zone")  # paper has none
        _known(request.spec_id in [spec.id for spec in SPECS], "spec_id")
        _known(network is not None and request.subnet_id in network.subnet_ids, "network_id or subnet_id")
        _known(self._page.groups.keys() >= set(request.security_group_ids), "security_group_ids")
        _known(request.key_pair_id in self._page.keys, "key_pair_id")
        vm_id = self._page.next_id("vm")
        self._page.group_ids[vm_id] = request.security_group_ids
        return VmInfo(
            vm_id, request.name, request.token, State.PENDING, self._region,
            guest_user=request.guest_user, image_id=request.image_id, spec_id=request.spec_id,
            network_id=request.network_id, started_at=time.time(), tags=self._marks(request),
        )  # fmt: skip

    def _move(self, vm_id: str, action: str, allowed: dict[CloudVmState, CloudVmState]) -> None:
        vm = _one([vm for vm in [self._page.vm(vm_id)] if vm is not None], "VM")
        if vm.state not in allowed:
            raise CloudConflictError(f"cannot {action} {vm_id}: it is {vm.state}")
        self._page.vms[vm_id] = replace(vm, state=allowed[vm.state])

    def _create(self, token: str, shelf: dict[str, T], make: Callable[[], T]) -> T:
        """One object per token, whatever happened to the first answer."""
        known = self._page.tokens.get(token)
        if known is not None:
            return shelf.get(known.id, cast(T, known))
        made = make()
        self._page.tokens[token] = shelf[made.id] = made
        return made

    def _marks(self, request: Request) -> dict[str, str]:
        """The caller's tags and the mark by which lists know what is ours."""
        return {**request.tags, INSTALLATION: self._ours}

    def _listed(self, shelf: dict[str, T]) -> list[T]:
        return [item for item in shelf.values() if ours(item.tags, self._ours)]


class PaperDriver:
    """What mcisd finds by the entry point: three facts and one method."""

    provider: ClassVar[str] = "paper"
    version: ClassVar[str] = "1.0"
    credential_fields: ClassVar[dict[str, bool]] = {"account": True, "password": True}
    connection: ClassVar[type] = PaperConnection

    async def connect(self, spec: ConnectionSpec, installation: str) -> PaperConnection:
        if spec.credential.get("password") != "pencil":
            raise CloudAuthError("the paper cloud refuses this password", field="password")
        if spec.region not in [region.name for region in REGIONS]:
            raise CloudInvalidError(f"there is no region {spec.region!r}", field="region", remedy="use a listed one")
        return PaperConnection(page(spec.credential["account"], spec.region), spec.region, installation)


Found = TypeVar("Found")


def _one(found: list[Found], kind: str) -> Found:
    if not found:
        raise CloudNotFoundError(f"the paper cloud has no such {kind}")
    return found[0]


def _known(good: bool, field: str) -> None:
    if not good:
        raise CloudInvalidError(f"{field} is unknown to the paper cloud", field=field, remedy="use a listed one")


def _unused(users: list[str]) -> None:
    if users:
        raise CloudConflictError(f"it is used by {', '.join(users)}", remedy="delete those first")
