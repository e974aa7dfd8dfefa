"""Regions, machine types with prices, quotas. In: our connection. Out: what the cloud offers."""

import logging

from mcisd.drivers.gcp.api import Json, together
from mcisd.drivers.gcp.core import Core, named
from mcisd.drivers.gcp.names import is_name, tail
from mcisd.drivers.gcp.places import place
from mcisd.drivers.gcp.prices import SERVICE, PriceList, today
from mcisd.drivers.gcp.translate import quotas, spec_info
from mcisd.model.cloud import CloudRegion, QuotaInfo, SpecInfo
from mcisd.model.errors import CloudAuthError, CloudError, CloudNotFoundError

log = logging.getLogger(__name__)
MOST_PAGES = 50


class Catalogue(Core):
    """The handlers for regions, specs and quotas."""

    async def list_regions(self) -> list[CloudRegion]:
        found = await self._api.items("regions.list")
        return [
            CloudRegion(item["name"], where, tuple(sorted(tail(zone) for zone in item.get("zones", ()))))
            for item in found
            if (where := place(item["name"])) is not None
        ]

    async def list_specs(self) -> list[SpecInfo]:
        zone = await self._zone(None)
        prices = await self._price_list()
        found = await self._api.items("machineTypes.list", zone=zone)
        return [
            spec_info(item, *_priced(prices, item)) for item in found if not item.get("deprecated", {}).get("state")
        ]

    async def get_spec(self, spec_id: str) -> SpecInfo:
        if not is_name(spec_id):
            raise CloudNotFoundError(f"there is no spec {spec_id[:80]!r}", field="spec_id")
        item = await self._api.call("machineTypes.get", zone=await self._zone(None), machineType=named(spec_id, "spec"))
        return spec_info(item, *_priced(await self._price_list(), item))

    async def list_quotas(self) -> list[QuotaInfo]:
        region, project = await together(
            self._api.call("regions.get", region=self._scope.region), self._api.call("projects.get")
        )
        return quotas([*region.get("quotas", ()), *project.get("quotas", ())])

    async def _price_list(self) -> PriceList | None:
        """Today's prices in our region; None where there is no list, or it cannot be read."""
        source, now = self._scope.price_source, today()
        if not source:
            return None
        key = (source, self._scope.region)
        async with self._reading_prices:
            known = self._scope.prices.lists.get(key)
            if known is not None and known.day == now:
                return known
            if self._scope.prices.refused.get(source) == now:
                return None
            try:
                self._scope.prices.lists[key] = await self._read_prices(PriceList(self._scope.region, now))
            except CloudError as error:  # sizes without prices are better than none
                log.warning("no prices of Google Cloud: %s", error.message)
                if isinstance(error, CloudAuthError):
                    self._scope.prices.refused[source] = now
                return None
            return self._scope.prices.lists[key]

    async def _read_prices(self, prices: PriceList) -> PriceList:
        page = ""
        for _ in range(MOST_PAGES):
            answer = await self._api.skus(SERVICE, page)
            prices.add(answer.get("skus", ()))
            page = str(answer.get("nextPageToken", ""))
            if not page:
                break
        return prices


def _priced(prices: PriceList | None, item: Json) -> tuple[float | None, str | None]:
    return (prices.of(item), prices.day.isoformat()) if prices else (None, None)
