"""The price list. In: products as AWS's price service gives them. Out: USD per hour by instance type, with its date."""

import json
import logging
from dataclasses import dataclass, field
from typing import Any

from mcisd.drivers.aws.part import Part
from mcisd.model.errors import CloudError

log = logging.getLogger(__name__)
FAIR: dict[str, str] = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
"""What singles out the plain on-demand price of a Linux VM among a type's many."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """USD per hour and the ISO date of the list, by instance type; ``whole`` False if it could not be had."""

    prices: dict[str, tuple[float, str]] = field(default_factory=dict)
    whole: bool = True


class AwsPrices(Part):
    """What the catalogue knows of prices."""

    async def _price_list(self, spec_id: str = "") -> PriceList:
        """Prices of this region, or of one type; none where AWS has no list, or does not let us see it."""
        region = self._spec.region
        if self._spec.region_info.get("prices") == "off" or region.startswith(("cn-", "us-iso", "eusc-")):
            return PriceList()
        asked = FAIR | {"regionCode": region} | ({"instanceType": spec_id} if spec_id else {})
        filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in asked.items()]
        parameters = {"ServiceCode": "AmazonEC2", "FormatVersion": "aws_v1", "MaxResults": 100, "Filters": filters}
        try:
            products = await self._link.pages("pricing", "GetProducts", "PriceList", parameters)
        except CloudError as error:
            log.warning("no AWS prices for %s: %s", region, error.message)
            return PriceList(whole=False)
        return PriceList(parsed(products))


def parsed(products: list[Any]) -> dict[str, tuple[float, str]]:
    """Price and date by instance type, of products as JSON texts; the lowest where a type has several."""
    prices: dict[str, tuple[float, str]] = {}
    for text in products:
        document = json.loads(text) if isinstance(text, str) else text
        name = document.get("product", {}).get("attributes", {}).get("instanceType", "")
        price = _hourly(document.get("terms", {}).get("OnDemand", {}))
        if name and price is not None and (name not in prices or price < prices[name][0]):
            prices[name] = price, str(document.get("publicationDate", ""))[:10]
    return prices


def _hourly(offers: dict[str, Any]) -> float | None:
    for offer in offers.values():
        for dimension in offer.get("priceDimensions", {}).values():
            usd = dimension.get("pricePerUnit", {}).get("USD")
            if usd is not None and dimension.get("unit") == "Hrs" and float(usd) > 0:
                return float(usd)
    return None
