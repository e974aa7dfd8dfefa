"""Acting on a cloud for resources: make, resolve, remove. Through the gate, with no transaction open."""

from dataclasses import asdict
from typing import cast

from mcisd.daemon.clouds import Clouds
from mcisd.daemon.resources.auto import DEFAULT, default_architecture
from mcisd.drivers.base import ImageHandler, KeyPairHandler, NetworkHandler, SecurityGroupHandler, SpecHandler
from mcisd.drivers.images import ALIASES, ARCHITECTURES
from mcisd.model.cloud import (
    FirewallRule,
    ImageInfo,
    KeyPairRequest,
    NetworkRequest,
    SecurityGroupRequest,
    SpecInfo,
)
from mcisd.model.errors import CloudNotFoundError
from mcisd.model.records import Resource
from mcisd.model.states import ResourceKind

Made = tuple[str, dict[str, object]]
"""The cloud's id, and what it told."""


class ResourceActions:
    """The driver calls behind a resource. The resource's uid is the idempotency token."""

    def __init__(self, clouds: Clouds, installation: str) -> None:
        self._clouds = clouds
        self._installation = installation

    async def make(self, resource: Resource, network_id: str) -> Made:
        """Make it (or, for an image or spec, find it) at its cloud. ``network_id`` serves security groups."""
        match resource.kind:
            case ResourceKind.IMAGE:
                return await self._image(resource)
            case ResourceKind.SPEC:
                return await self._spec(resource)
            case ResourceKind.NETWORK:
                return await self._network(resource)
            case ResourceKind.SECURITY_GROUP:
                return await self._security_group(resource, network_id)
            case ResourceKind.SSH_KEY:
                return await self._key(resource)

    async def remove(self, resource: Resource) -> None:
        """Remove it from its cloud by its id; images and specs are only forgotten."""
        match resource.kind:
            case ResourceKind.NETWORK:
                await (await self._clouds.handler(resource.connection, NetworkHandler)).delete_network(
                    resource.cloud_id
                )
            case ResourceKind.SECURITY_GROUP:
                groups = await self._clouds.handler(resource.connection, SecurityGroupHandler)
                await groups.delete_security_group(resource.cloud_id)
            case ResourceKind.SSH_KEY:
                await (await self._clouds.handler(resource.connection, KeyPairHandler)).delete_key_pair(
                    resource.cloud_id
                )

    async def _image(self, resource: Resource) -> Made:
        images = await self._clouds.handler(resource.connection, ImageHandler)
        wanted = str(resource.body.get("cloud_id") or DEFAULT)
        image = await first_choice(images) if wanted == DEFAULT else await images.get_image(wanted)
        return image.id, asdict(image)

    async def _spec(self, resource: Resource) -> Made:
        specs = await self._clouds.handler(resource.connection, SpecHandler)
        wanted = str(resource.body.get("cloud_id") or DEFAULT)
        architecture = default_architecture(wanted)
        spec = default_spec(await specs.list_specs(), architecture) if architecture else await specs.get_spec(wanted)
        return spec.id, asdict(spec)

    async def _network(self, resource: Resource) -> Made:
        networks = await self._clouds.handler(resource.connection, NetworkHandler)
        subnets = tuple(str(item) for item in cast(list[object], resource.body.get("subnets") or []))
        info = await networks.create_network(
            NetworkRequest(
                resource.uid, self._cloud_name(resource), str(resource.body["cidr"]), subnets, self._tags(resource)
            )
        )
        return info.id, asdict(info)

    async def _security_group(self, resource: Resource, network_id: str) -> Made:
        groups = await self._clouds.handler(resource.connection, SecurityGroupHandler)
        rules = tuple(_rule(item) for item in cast(list[dict[str, object]], resource.body.get("rules") or []))
        info = await groups.create_security_group(
            SecurityGroupRequest(resource.uid, self._cloud_name(resource), network_id, rules, self._tags(resource))
        )
        return info.id, asdict(info)

    async def _key(self, resource: Resource) -> Made:
        keys = await self._clouds.handler(resource.connection, KeyPairHandler)
        info = await keys.create_key_pair(
            KeyPairRequest(
                resource.uid, self._cloud_name(resource), str(resource.body["public_key"]), self._tags(resource)
            )
        )
        return info.id, asdict(info)

    def _cloud_name(self, resource: Resource) -> str:
        return f"mcisd-{resource.ns}-{resource.name}-{resource.uid[-6:]}"

    def _tags(self, resource: Resource) -> dict[str, str]:
        return {
            "mcisd-installation": self._installation,
            "mcisd-namespace": resource.ns,
            "mcisd-resource": resource.uid,
        }


def _rule(item: dict[str, object]) -> FirewallRule:
    return FirewallRule(
        str(item["direction"]),
        str(item["protocol"]),
        int(str(item["from_port"])),
        int(str(item["to_port"])),
        str(item["cidr"]),
    )


async def first_choice(images: ImageHandler) -> ImageInfo:
    """The image taken when a request names none: the first alias the cloud has, else the likeliest of its list."""
    for alias in ALIASES:
        try:
            return await images.get_image(alias)
        except CloudNotFoundError:
            continue
    return default_image(await images.list_images())


def default_image(images: list[ImageInfo]) -> ImageInfo:
    """Of a cloud without aliases: Ubuntu 24.04, else any Ubuntu, else Debian, else the first by id; x86_64 first."""
    if not images:
        raise CloudNotFoundError("the cloud lists no image", remedy="name one with imageId")
    ranks = ("ubuntu-24.04", "ubuntu", "debian")

    def rank(image: ImageInfo) -> tuple[bool, int, str]:
        text = f"{image.id} {image.name} {image.os}".lower()
        place = next((number for number, word in enumerate(ranks) if word in text), len(ranks))
        return image.architecture != ARCHITECTURES[0], place, image.id

    return min(images, key=rank)


def default_spec(specs: list[SpecInfo], architecture: str = ARCHITECTURES[0]) -> SpecInfo:
    """The spec taken when a request names none: the cheapest (without prices, the smallest) of 512 MiB or more that the
    image can run on."""
    fit = [spec for spec in specs if spec.vcpus >= 1 and spec.memory_mib >= 512 and spec.architecture == architecture]
    if not fit:
        raise CloudNotFoundError(
            f"the cloud lists no {architecture} spec with 1 vCPU and 512 MiB", remedy="name one with specId"
        )
    unknown = float("inf")
    return min(fit, key=lambda s: (s.price if s.price is not None else unknown, s.vcpus, s.memory_mib, s.id))
