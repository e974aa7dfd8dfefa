"""What the subscription may use: places, sizes, images, limits, prices. In: a region. Out: lists as Azure has them."""

from tests.clouds.azure.arm import ArmError, Json

ZONES = ("1", "2", "3")
PLACES = {
    "koreacentral": ("Korea Central", "37.5665", "126.9780", "Seoul"),
    "westeurope": ("West Europe", "52.3667", "4.9", "Netherlands"),
}
OLD = ("westus", "eastus")
"""Regions of the recordings; everything of them is accepted."""
_SIZES: dict[str, tuple[int, str, str, int, str]] = {
    "Standard_B1s": (1, "1", "x64", 0, "standardBSFamily"),
    "Standard_B2s": (2, "4", "x64", 0, "standardBSFamily"),
    "Standard_D2s_v5": (2, "8", "x64", 0, "standardDSv5Family"),
    "Standard_D2ps_v5": (2, "8", "Arm64", 0, "standardDPSv5Family"),
    "Standard_NC4as_T4_v3": (4, "28", "x64", 1, "Standard NCASv3_T4 Family"),
}
_OLD_SIZES = {"Standard_A0": 1, "Standard_A2": 2, "Standard_D1_v2": 1, "Standard_A1_v2": 1}
IMAGES: dict[tuple[str, str, str], list[str]] = {
    ("Canonical", "ubuntu-24_04-lts", "server"): ["24.04.202509090", "24.04.202511130", "24.04.202510010"],
    ("Canonical", "ubuntu-24_04-lts", "server-arm64"): ["24.04.202511130"],
    ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"): ["22.04.202511030"],
    ("Debian", "debian-12", "12-gen2"): ["0.20251006.2257", "0.20251112.2294"],
    ("Debian", "debian-12", "12-arm64"): ["0.20251112.2294"],
    ("Debian", "debian-13", "13-gen2"): ["0.20251117.2299"],
}
PRICES = {"Standard_B1s": 0.0124, "Standard_B2s": 0.0496, "Standard_D2s_v5": 0.118, "Standard_D2ps_v5": 0.094}


def places(subscription: str) -> list[Json]:
    """Locations of the subscription, logical ones among them."""
    found: list[Json] = [
        {
            "id": f"/subscriptions/{subscription}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": shown,
            "regionalDisplayName": f"(Somewhere) {shown}",
            "metadata": {
                "regionType": "Physical",
                "regionCategory": "Recommended",
                "geography": shown,
                "latitude": latitude,
                "longitude": longitude,
                "physicalLocation": city,
            },
            "availabilityZoneMappings": [{"logicalZone": z, "physicalZone": f"{name}-az{z}"} for z in ZONES],
        }
        for name, (shown, latitude, longitude, city) in PLACES.items()
    ]
    logical = {"regionType": "Logical", "regionCategory": "Other"}
    return [
        *found,
        {
            "id": f"/subscriptions/{subscription}/locations/asia",
            "name": "asia",
            "displayName": "Asia",
            "metadata": logical,
        },
    ]


def sizes(region: str) -> dict[str, int]:
    """Size → vCPUs."""
    if region in OLD:
        return _OLD_SIZES | {name: size[0] for name, size in _SIZES.items()}
    return {name: size[0] for name, size in _SIZES.items()} if region in PLACES else {}


def skus(region: str) -> list[Json]:
    rows = [_sku(name, region) for name in _SIZES]
    barred = _sku("Standard_B2s", region) | {"name": "Standard_M416ms_v2"}
    barred["restrictions"] = [
        {
            "type": "Location",
            "values": [region],
            "restrictionInfo": {"locations": [region]},
            "reasonCode": "NotAvailableForSubscription",
        }
    ]
    disk: Json = {
        "resourceType": "disks",
        "name": "Premium_LRS",
        "tier": "Premium",
        "size": "P4",
        "locations": [region],
    }
    return [
        *rows,
        barred,
        disk | {"locationInfo": [{"location": region, "zones": []}], "capabilities": [], "restrictions": []},
    ]


def _sku(name: str, region: str) -> Json:
    cores, memory, architecture, gpus, family = _SIZES[name]
    able = {"MaxResourceVolumeMB": "4096", "OSVhdSizeMB": "1047552", "vCPUs": str(cores), "MemoryGB": memory}
    able |= {"CpuArchitectureType": architecture, "HyperVGenerations": "V1,V2"} | ({"GPUs": str(gpus)} if gpus else {})
    return {
        "resourceType": "virtualMachines",
        "name": name,
        "tier": "Standard",
        "size": name.removeprefix("Standard_"),
        "family": family,
        "locations": [region],
        "locationInfo": [{"location": region, "zones": list(ZONES)}],
        "capabilities": [{"name": key, "value": value} for key, value in able.items()],
        "restrictions": [],
    }


def versions(subscription: str, region: str, publisher: str, offer: str, sku: str) -> list[Json]:
    known = IMAGES.get((publisher, offer, sku))
    if known is None:
        raise ArmError(404, "NotFound", f"Artifact: VMImage was not found: {publisher} {offer} {sku}.")
    return [version_body(subscription, region, publisher, offer, sku, version) for version in known]


def version_body(subscription: str, region: str, publisher: str, offer: str, sku: str, version: str) -> Json:
    path = f"/Subscriptions/{subscription}/Providers/Microsoft.Compute/Locations/{region}/Publishers/{publisher}"
    path += f"/ArtifactTypes/VMImage/Offers/{offer}/Skus/{sku}/Versions/{version}"
    return {"location": region, "name": version, "id": path}


def version_facts(publisher: str, offer: str, sku: str, version: str) -> Json:
    """The properties of one version."""
    if version not in IMAGES.get((publisher, offer, sku), []):
        raise ArmError(
            404, "PlatformImageNotFound", f"The platform image '{publisher}:{offer}:{sku}:{version}' is not available."
        )
    return {
        "hyperVGeneration": "V2",
        "architecture": "Arm64" if sku.endswith("arm64") else "x64",
        "osDiskImage": {"operatingSystem": "Linux", "sizeInGb": 31, "sizeInBytes": 32213303808},
        "dataDiskImages": [],
    }


def exact_version(region: str, image: Json) -> str:
    """What "latest" means; ArmError if there is no such image."""
    if region in OLD:
        return "16.04.202003170" if image["version"] == "latest" else str(image["version"])
    source = (image["publisher"], image["offer"], image["sku"])
    known = IMAGES.get(source, [])
    if image["version"] == "latest" and known:
        return max(known)
    version_facts(*source, image["version"])
    return str(image["version"])


def usage(name: str, shown: str, used: int, limit: int) -> Json:
    return {"unit": "Count", "currentValue": used, "limit": limit, "name": {"value": name, "localizedValue": shown}}


def price_items(region: str) -> list[Json]:
    """Rows of the public price list: the wanted ones among Windows, spot and low priority."""
    rows: list[Json] = []
    for size, price in PRICES.items():
        short = size.removeprefix("Standard_").replace("_", " ")
        for product, words, factor in (
            ("Virtual Machines Series", "", 1.0),
            ("Virtual Machines Series Windows", "", 1.9),
            ("Virtual Machines Series", " Spot", 0.2),
            ("Virtual Machines Series", " Low Priority", 0.3),
        ):
            rows.append(
                {
                    "currencyCode": "USD",
                    "retailPrice": round(price * factor, 6),
                    "unitPrice": round(price * factor, 6),
                    "armRegionName": region,
                    "meterName": short + words,
                    "skuName": short + words,
                    "productName": product,
                    "serviceName": "Virtual Machines",
                    "unitOfMeasure": "1 Hour",
                    "type": "Consumption",
                    "armSkuName": size,
                }
            )
    return rows
