"""What the cloud offers: the region, images, flavors, quotas. In: ids and aliases. Out: nouns of the model."""

from mcisd.drivers.images import by_alias, parse_alias
from mcisd.drivers.openstack import naming
from mcisd.drivers.openstack.client import Json
from mcisd.drivers.openstack.part import Part
from mcisd.drivers.openstack.settings import version
from mcisd.drivers.openstack.translate import image_info, newest, spec_info
from mcisd.model.cloud import CloudRegion, ImageInfo, Location, QuotaInfo, SpecInfo
from mcisd.model.errors import CloudAuthError, CloudInvalidError, CloudNotFoundError

WITH_EXTRA_SPECS = "2.61"
"""The version of nova in which the list of flavors holds their extra specs."""
NOVA_QUOTAS = {
    "vms": ("maxTotalInstances", "totalInstancesUsed"),
    "vcpus": ("maxTotalCores", "totalCoresUsed"),
    "memory_mib": ("maxTotalRAMSize", "totalRAMUsed"),
    "key_pairs": ("maxTotalKeypairs", ""),
}
NEUTRON_QUOTAS = {
    "networks": "network",
    "security_groups": "security_group",
    "public_addresses": "floatingip",
    "routers": "router",
    "ports": "port",
}


class Catalogue(Part):
    """RegionHandler, ImageHandler, SpecHandler and QuotaHandler of a connection."""

    async def list_regions(self) -> list[CloudRegion]:
        """This connection's region: a private cloud does not tell where on earth it stands, so its settings do."""
        place = self._settings.place
        if place is None:
            raise CloudInvalidError(
                "OpenStack does not tell where a region is", field="latitude", remedy="give latitude and longitude"
            )
        told = await self._client.get("nova", "os-availability-zone")
        zones = [zone["zoneName"] for zone in told["availabilityZoneInfo"] if zone["zoneState"]["available"]]
        return [CloudRegion(self._settings.region, Location(*place), tuple(sorted(zones)))]

    async def list_images(self) -> list[ImageInfo]:
        """All images that can be used now; of each alias the newest."""
        return newest(await self._client.pages("glance", "images", "images", {"status": "active"}))

    async def get_image(self, image_id: str) -> ImageInfo:
        alias = parse_alias(image_id)
        if alias is not None:
            return by_alias(await self.list_images(), *alias)
        if not naming.is_id(image_id):
            raise CloudNotFoundError(f"there is no image {image_id[:60]!r}", field="image_id")
        return image_info(await self._client.get("glance", "images/{id}", image_id))

    async def list_specs(self) -> list[SpecInfo]:
        asked = max(self._settings.microversion, WITH_EXTRA_SPECS, key=version) if self._settings.tagged else ""
        flavors = await self._client.pages("nova", "flavors/detail", "flavors", microversion=asked)
        return [spec_info(flavor, self._settings) for flavor in flavors]

    async def get_spec(self, spec_id: str) -> SpecInfo:
        for spec in await self.list_specs():
            if spec.id == spec_id:
                return spec
        raise CloudNotFoundError(f"there is no flavor {spec_id[:60]!r}", field="spec_id")

    async def list_quotas(self) -> list[QuotaInfo]:
        limits: Json = (await self._client.get("nova", "limits"))["limits"]["absolute"]
        quotas = [
            QuotaInfo(name, _limit(limits[most]), limits.get(used) if used else None)
            for name, (most, used) in NOVA_QUOTAS.items()
            if most in limits
        ]
        project = (await self._client.token()).project
        try:
            told: Json = (await self._client.get("neutron", "quotas/{project}/details", project))["quota"]
        except (CloudNotFoundError, CloudAuthError):
            return quotas  # clouds may keep neutron's quotas from their users; nova's are enough
        for name, kind in NEUTRON_QUOTAS.items():
            if kind in told:
                quotas.append(QuotaInfo(name, _limit(told[kind]["limit"]), told[kind]["used"]))
        return quotas


def _limit(number: int) -> int | None:
    return None if number < 0 else number
