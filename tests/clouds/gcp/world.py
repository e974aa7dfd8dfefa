"""What every project sees alike: regions, machine types, public images, price list. Pure data in Google's form."""

from tests.clouds.gcp.discovery import document
from tests.clouds.gcp.faces import Json
from tests.clouds.gcp.operations import ROOT

REGIONS = sorted(place["location"] for place in document("compute.v1").content["endpoints"])
ZONES = {region: [f"{region}-{letter}" for letter in "abc"] for region in REGIONS}
_TYPES = {
    "f1-micro": (1, 614, "X86_64", {}),
    "e2-micro": (2, 1024, "X86_64", {}),
    "e2-medium": (2, 4096, "X86_64", {}),
    "e2-standard-2": (2, 8192, "X86_64", {}),
    "n2-standard-4": (4, 16384, "X86_64", {}),
    "n1-standard-1": (1, 3840, "X86_64", {}),
    "c4-standard-2": (2, 7168, "X86_64", {}),
    "t2a-standard-1": (1, 4096, "ARM64", {}),
    "g2-standard-4": (4, 16384, "X86_64", {"nvidia-l4": 1}),
    "m3-ultramem-32": (32, 999424, "X86_64", {}),
}
FAMILIES = {
    "ubuntu-os-cloud": {
        "ubuntu-2404-lts-amd64": "ubuntu-2404-noble-amd64-v20261101",
        "ubuntu-2404-lts-arm64": "ubuntu-2404-noble-arm64-v20261101",
        "ubuntu-2204-lts": "ubuntu-2204-jammy-v20261101",
        "ubuntu-2204-lts-arm64": "ubuntu-2204-jammy-arm64-v20261101",
    },
    "debian-cloud": {
        "debian-12": "debian-12-bookworm-v20261110",
        "debian-12-arm64": "debian-12-bookworm-arm64-v20261110",
        "debian-13": "debian-13-trixie-v20261110",
    },
}
"""Public images; debian-13-arm64 is missing on purpose, so that a family can be."""
_SKUS = [
    ("E2 Instance Core running in Seoul", "OnDemand", "CPU", "asia-northeast3", "h", 28_000_000),
    ("E2 Instance Ram running in Seoul", "OnDemand", "RAM", "asia-northeast3", "GiBy.h", 3_750_000),
    ("E2 Custom Instance Core running in Seoul", "OnDemand", "CPU", "asia-northeast3", "h", 29_400_000),
    ("Spot Preemptible E2 Instance Core running in Seoul", "Preemptible", "CPU", "asia-northeast3", "h", 8_000_000),
    ("Commitment v1: E2 Cpu in Seoul for 1 Year", "Commit1Yr", "CPU", "asia-northeast3", "h", 17_000_000),
    ("E2 Instance Core running in Americas", "OnDemand", "CPU", "us-central1", "h", 21_811_590),
    ("N1 Predefined Instance Core running in Seoul", "OnDemand", "N1Standard", "asia-northeast3", "h", 40_600_000),
    ("N1 Predefined Instance Ram running in Seoul", "OnDemand", "N1Standard", "asia-northeast3", "GiBy.h", 5_440_000),
    ("Micro Instance with burstable CPU running in Seoul", "OnDemand", "F1Micro", "asia-northeast3", "h", 9_800_000),
    ("G2 Instance Core running in Seoul", "OnDemand", "CPU", "asia-northeast3", "h", 32_000_000),
    ("G2 Instance Ram running in Seoul", "OnDemand", "RAM", "asia-northeast3", "GiBy.h", 3_750_000),
    ("Nvidia L4 GPU running in Seoul", "OnDemand", "GPU", "asia-northeast3", "h", 719_000_000),
    ("N2 Instance Core running in Seoul", "OnDemand", "CPU", "asia-northeast3", "h", 40_600_000),
]
"""Invented prices in the form of Google's list."""


def machine_type(name: str, zone: str, project: str) -> Json | None:
    if name not in _TYPES:
        return None
    cpus, memory, architecture, gpus = _TYPES[name]
    item: Json = {
        "kind": "compute#machineType", "name": name, "guestCpus": cpus, "memoryMb": memory, "zone": zone,
        "architecture": architecture, "id": str(1000 + cpus), "isSharedCpu": name in ("f1-micro", "e2-micro"),
        "selfLink": f"{ROOT}/projects/{project}/zones/{zone}/machineTypes/{name}",
    }  # fmt: skip
    if gpus:
        item["accelerators"] = [{"guestAcceleratorType": k, "guestAcceleratorCount": v} for k, v in gpus.items()]
    return item


def machine_types(zone: str, project: str) -> list[Json]:
    return [item for name in sorted(_TYPES) if (item := machine_type(name, zone, project))]


def image(project: str, family: str, name: str) -> Json:
    return {
        "kind": "compute#image", "id": "42", "name": name, "family": family, "status": "READY", "diskSizeGb": "10",
        "architecture": "ARM64" if "arm64" in name else "X86_64",
        "selfLink": f"{ROOT}/projects/{project}/global/images/{name}",
    }  # fmt: skip


def public_images() -> dict[str, Json]:
    """By the path that names each: with its name, and with its family."""
    found = {}
    for project, families in FAMILIES.items():
        for family, name in families.items():
            item = image(project, family, name)
            found[f"projects/{project}/global/images/{name}"] = item
            found[f"projects/{project}/global/images/family/{family}"] = item
    return found


def region(name: str, project: str, quotas: list[Json]) -> Json:
    root = f"{ROOT}/projects/{project}"
    return {
        "kind": "compute#region", "id": "1", "name": name, "status": "UP", "quotas": quotas,
        "selfLink": f"{root}/regions/{name}", "zones": [f"{root}/zones/{zone}" for zone in ZONES[name]],
    }  # fmt: skip


def skus() -> list[Json]:
    return [
        {
            "name": f"services/6F81-5844-456A/skus/{number:04X}", "skuId": f"{number:04X}", "description": text,
            "category": {
                "resourceFamily": "Compute", "usageType": usage, "resourceGroup": group,
                "serviceDisplayName": "Compute Engine",
            },
            "serviceRegions": [where],
            "pricingInfo": [
                {
                    "effectiveTime": "2026-11-20T00:00:00Z",
                    "pricingExpression": {
                        "usageUnit": unit,
                        "tieredRates": [
                            {
                                "startUsageAmount": 0,
                                "unitPrice": {"currencyCode": "USD", "units": "0", "nanos": nanos},
                            }
                        ],
                    },
                }
            ],
        }
        for number, (text, usage, group, where, unit, nanos) in enumerate(_SKUS)
    ]  # fmt: skip
