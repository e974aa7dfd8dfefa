"""Regions, sizes with prices, and quotas. In: nothing. Out: what the subscription may use in this region."""

import time
from collections.abc import Mapping
from typing import Any

from mcisd.drivers.azure.part import AzurePart
from mcisd.drivers.azure.prices import Prices, prices_of
from mcisd.drivers.azure.session import Json
from mcisd.drivers.azure.translate import quota_of, region_of
from mcisd.model.cloud import CloudRegion, QuotaInfo, SpecInfo
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError

FRESH = 3600.0
"""Seconds for which a catalogue of sizes is used again: Azure tells one size only with all the others."""
LOCATIONS_VERSION = "2022-12-01"


class AzureCatalogue(AzurePart):
    _specs: tuple[float, list[SpecInfo]]

    async def check(self) -> None:
        """The list of regions proves token, subscription and region; that of the quotas the role and the service."""
        names = sorted(str(body.get("name", "")) for body in await self._locations())
        if self._settings.region not in names:
            raise CloudInvalidError(
                f"the subscription has no region {self._settings.region!r}",
                field="region",
                remedy=f"use one of its {len(names)} regions, such as {', '.join(names[:3])}",
            )
        await self._session.pages(self._session.compute.usage.list, self._settings.region)

    async def list_regions(self) -> list[CloudRegion]:
        found = [region_of(body) for body in await self._locations()]
        return [region for region in found if region is not None]

    async def _locations(self) -> list[Json]:
        path = f"/subscriptions/{self._settings.subscription}/locations?api-version={LOCATIONS_VERSION}"
        return list((await self._session.ask(path)).get("value") or [])

    async def list_specs(self) -> list[SpecInfo]:
        until, known = self._specs
        if until > time.monotonic():
            return list(known)
        region = self._settings.region
        rows = await self._session.pages(self._session.compute.resource_skus.list, filter=f"location eq '{region}'")
        prices = await prices_of(self._session, region)
        specs = [spec for row in rows if (spec := spec_of(row, region, prices)) is not None]
        self._specs = (time.monotonic() + FRESH, specs)
        return list(specs)

    async def get_spec(self, spec_id: str) -> SpecInfo:
        for spec in await self.list_specs():
            if spec.id == spec_id:
                return spec
        raise CloudNotFoundError(f"there is no size {spec_id[:60]!r} in {self._settings.region}", field="spec_id")

    async def list_quotas(self) -> list[QuotaInfo]:
        region = self._settings.region
        rows = await self._session.pages(self._session.compute.usage.list, region)
        rows += await self._session.pages(self._session.network.usages.list, region)
        return [quota_of(row) for row in rows]


def spec_of(row: Mapping[str, Any], region: str, prices: Prices) -> SpecInfo | None:
    """A size of VM; None for other things, and for sizes that the subscription may not use in this region."""
    if row.get("resourceType") != "virtualMachines" or _refused(row, region):
        return None
    able = {str(c.get("name")): str(c.get("value")) for c in row.get("capabilities") or ()}
    name = str(row["name"])
    price = prices.hourly.get(name)
    vcpus = int(float(able.get("vCPUsAvailable") or able.get("vCPUs") or 0))
    memory = round(float(able.get("MemoryGB") or 0) * 1024)
    if vcpus < 1 or memory < 1:
        return None
    return SpecInfo(
        id=name,
        name=name,
        vcpus=vcpus,
        memory_mib=memory,
        disk_gib=int(float(able.get("MaxResourceVolumeMB") or 0)) // 1024,
        architecture="arm64" if able.get("CpuArchitectureType", "x64").lower() == "arm64" else "x86_64",
        gpus=int(float(able.get("GPUs") or 0)),
        price=price,
        price_date=prices.date if price is not None else None,
    )


def _refused(row: Mapping[str, Any], region: str) -> bool:
    """Whether a restriction takes the size away from the whole region (one of zones leaves the others)."""
    for restriction in row.get("restrictions") or ():
        values = [str(value).lower() for value in restriction.get("values") or ()]
        if restriction.get("type") == "Location" and region in values:
            return True
    return False
