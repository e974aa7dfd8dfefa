"""Catalogue, networks, security groups and keys of a mock connection.

In: requests of the common vocabulary. Out: objects on the region's shelves.
"""

from collections.abc import Callable
from typing import TypeVar

from mcisd.drivers.images import by_alias, parse_alias
from mcisd.drivers.mock import errors, translate
from mcisd.drivers.mock.cloud import Region
from mcisd.drivers.mock.part import Part
from mcisd.drivers.mock.shelf import Shelf
from mcisd.model.cloud import (
    CloudRegion,
    ImageInfo,
    KeyPairInfo,
    KeyPairRequest,
    NetworkInfo,
    NetworkRequest,
    SecurityGroupInfo,
    SecurityGroupRequest,
    SpecInfo,
)

T = TypeVar("T")


class MockCatalogue(Part):
    """Regions, images and specs: what the cloud offers."""

    async def list_regions(self) -> list[CloudRegion]:
        return await self._cloud.call("list_regions", self._admitted(), lambda now: list(self._cloud.settings.regions))

    async def list_images(self) -> list[ImageInfo]:
        return await self._cloud.call("list_images", self._admitted(), lambda now: list(self._cloud.settings.images))

    async def get_image(self, image_id: str) -> ImageInfo:
        def find(now: float) -> ImageInfo:
            alias = parse_alias(image_id)
            if alias is not None:
                return by_alias(list(self._cloud.settings.images), *alias)
            for image in self._cloud.settings.images:
                if image.id == image_id:
                    return image
            raise errors.unknown("image", image_id)

        return await self._cloud.call("get_image", self._admitted(), find)

    async def list_specs(self) -> list[SpecInfo]:
        region = self._admitted()
        return await self._cloud.call("list_specs", region, lambda now: self._specs(region))

    async def get_spec(self, spec_id: str) -> SpecInfo:
        region = self._admitted()

        def find(now: float) -> SpecInfo:
            for spec in self._specs(region):
                if spec.id == spec_id:
                    return spec
            raise errors.unknown("spec", spec_id)

        return await self._cloud.call("get_spec", region, find)

    def _specs(self, region: Region) -> list[SpecInfo]:
        settings = self._cloud.settings
        return [translate.priced(spec, region.name, settings) for spec in settings.specs]


class MockResources(MockCatalogue):
    """Networks, security groups and keys: what VMs need."""

    async def create_network(self, request: NetworkRequest) -> NetworkInfo:
        region = self._admitted()

        def make(key: str) -> NetworkInfo:
            subnets = tuple(f"{key}-subnet-{i}" for i in range(max(1, len(request.subnets))))
            marks = translate.tags(request.tags, self._installation)
            return NetworkInfo(key, request.name, request.cidr, subnets, marks)

        return await self._create("create_network", region, region.networks, "net", request.token, make)

    async def list_networks(self) -> list[NetworkInfo]:
        region = self._admitted()
        return await self._list("list_networks", region, region.networks)

    async def delete_network(self, network_id: str) -> None:
        region = self._admitted()

        def delete(now: float) -> None:
            for group in region.groups:
                if group.network_id == network_id:
                    raise errors.in_use("network", network_id, f"security group {group.id}")
            for machine in region.vms:
                if machine.request.network_id == network_id and machine.occupies(now):
                    raise errors.in_use("network", network_id, f"VM {machine.id}")
            region.networks.remove(network_id)

        await self._cloud.call("delete_network", region, delete)

    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        region = self._admitted()

        def make(key: str) -> SecurityGroupInfo:
            if region.networks.get(request.network_id) is None:
                raise errors.invalid("network_id", request.network_id)
            marks = translate.tags(request.tags, self._installation)
            return SecurityGroupInfo(key, request.name, request.network_id, request.rules, marks)

        return await self._create("create_security_group", region, region.groups, "sg", request.token, make)

    async def list_security_groups(self) -> list[SecurityGroupInfo]:
        region = self._admitted()
        return await self._list("list_security_groups", region, region.groups)

    async def delete_security_group(self, group_id: str) -> None:
        region = self._admitted()

        def delete(now: float) -> None:
            for machine in region.vms:
                if group_id in machine.request.security_group_ids and machine.occupies(now):
                    raise errors.in_use("security group", group_id, f"VM {machine.id}")
            region.groups.remove(group_id)

        await self._cloud.call("delete_security_group", region, delete)

    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo:
        region = self._admitted()

        def make(key: str) -> KeyPairInfo:
            marks = translate.tags(request.tags, self._installation)
            return KeyPairInfo(key, request.name, translate.fingerprint(request.public_key), marks)

        return await self._create("create_key_pair", region, region.keys, "key", request.token, make)

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        region = self._admitted()
        return await self._list("list_key_pairs", region, region.keys)

    async def delete_key_pair(self, key_id: str) -> None:
        region = self._admitted()
        await self._cloud.call("delete_key_pair", region, lambda now: region.keys.remove(key_id))

    async def _create(
        self, api: str, region: Region, shelf: Shelf[T], prefix: str, token: str, make: Callable[[str], T]
    ) -> T:
        def effect(now: float) -> T:
            known = shelf.made(token, now, self._cloud.settings.token_memory)
            if known is not None:
                return known
            key = f"{prefix}-{self._cloud.next_number():06d}"
            return shelf.put(key, make(key), token, self._installation, now, self._lag(token))

        return await self._cloud.call(api, region, effect)

    async def _list(self, api: str, region: Region, shelf: Shelf[T]) -> list[T]:
        return await self._cloud.call(api, region, lambda now: shelf.listed(self._installation, now))
