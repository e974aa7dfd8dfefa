"""List prices. Pure but for the clock. In: pages of Google's price list. Out: USD per hour of a machine type.

Google lists no machine types but their parts ("N2 Instance Core running in Seoul"), per hour and unit: a price is the
sum of cores, memory and GPUs, as on demand and without discounts; disk and address are not in it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from mcisd.drivers.gcp.api import Json

SERVICE = "6F81-5844-456A"
"""Google's id of Compute Engine in the price list."""
_PART = re.compile(r"(?P<family>.+?)(?: Predefined)?(?: Instance)? (?P<part>Core|Ram) running in .+")
_GPU = re.compile(r"Nvidia (?P<gpu>.+?) GPU running in .+")
_WHOLE = {"Micro Instance with burstable CPU": "f1-micro", "Small Instance with 1 VCPU": "g1-small"}
_WORDS = {"compute optimized": "c2", "memory-optimized": "m1"}
_SHARED = {"e2-micro": 0.25, "e2-small": 0.5, "e2-medium": 1.0}
_UNWANTED = ("custom", "sole tenancy", "premium", "commitment", "reserved", "spot", "preemptible", "dws", "extended")


@dataclass(slots=True)
class PriceList:
    """Prices of the parts in one region: ``parts`` by family and "core" or "ram", ``gpus`` and ``whole`` by name."""

    region: str
    day: date
    parts: dict[tuple[str, str], float] = field(default_factory=dict)
    gpus: dict[str, float] = field(default_factory=dict)
    whole: dict[str, float] = field(default_factory=dict)

    def add(self, skus: Iterable[Json]) -> None:
        """Take what concerns us from one page."""
        for sku in skus:
            category = sku.get("category", {})
            if (
                category.get("resourceFamily") == "Compute"
                and category.get("usageType") == "OnDemand"
                and self.region in sku.get("serviceRegions", ())
            ):
                self._take(str(sku.get("description", "")), _per_hour(sku))

    def _take(self, text: str, price: float | None) -> None:
        if price is None or any(word in text.lower() for word in _UNWANTED):
            return
        if match := _PART.fullmatch(text):
            family = _family(match["family"])
            if family:
                self.parts.setdefault((family, match["part"].lower()), price)
        elif match := _GPU.fullmatch(text):
            self.gpus.setdefault(_gpu(match["gpu"]), price)
        else:
            name = next((name for start, name in _WHOLE.items() if text.startswith(start)), None)
            if name:
                self.whole.setdefault(name, price)

    def of(self, item: Json) -> float | None:
        """USD per hour of a machine type (Google's JSON); None if one of its parts is not listed."""
        name = str(item["name"])
        if name in self.whole:
            return self.whole[name]
        family = name.partition("-")[0]
        core, ram = self.parts.get((family, "core")), self.parts.get((family, "ram"))
        if core is None or ram is None:
            return None
        total = core * _SHARED.get(name, float(item["guestCpus"])) + ram * float(item["memoryMb"]) / 1024
        for each in item.get("accelerators", ()):
            gpu = self.gpus.get(_gpu(str(each.get("guestAcceleratorType", ""))))
            if gpu is None:
                return None
            total += gpu * int(each.get("guestAcceleratorCount", 0))
        return round(total, 6)


@dataclass
class PriceCache:
    """Price lists by where they came from and region; a list is good for the day on which it was read."""

    lists: dict[tuple[str, str], PriceList] = field(default_factory=dict)
    refused: dict[str, date] = field(default_factory=dict)


def today() -> date:
    return datetime.now(UTC).date()


def _family(words: str) -> str | None:
    """The prefix of a machine type that these words name: "N2D AMD" is n2d."""
    first = words.split()[0].lower()
    if re.fullmatch(r"[a-z]\d+[a-z]?", first):
        return first
    return _WORDS.get(words.lower())


def _gpu(name: str) -> str:
    """One spelling for both lists: "nvidia-tesla-a100" and "Tesla A100" are a100."""
    return re.sub(r"nvidia|tesla|[^a-z0-9]", "", name.lower())


def _per_hour(sku: Json) -> float | None:
    """The price of one unit for one hour, after what is free; None if it is priced otherwise."""
    for info in sku.get("pricingInfo", ()):
        expression = info.get("pricingExpression", {})
        rates = expression.get("tieredRates", ())
        if rates and expression.get("usageUnit") in ("h", "GiBy.h"):
            money = rates[-1].get("unitPrice", {})
            return int(money.get("units") or 0) + int(money.get("nanos") or 0) / 1e9
    return None
