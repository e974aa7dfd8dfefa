"""What the local cloud offers: regions, images, specs. Constant data; no I/O."""

from dataclasses import dataclass

from mcisd.model.cloud import CloudRegion, ImageInfo, Location, SpecInfo
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError

ZONES = ("a", "b")
PRICE_DATE = "2025-01-01"


@dataclass(frozen=True, slots=True)
class Place:
    """A region, the provider it stands for, and the second octet of its addresses."""

    region: CloudRegion
    stands_for: str
    octet: int


def _place(octet: int, provider: str, name: str, latitude: float, longitude: float, display: str) -> Place:
    return Place(CloudRegion(name, Location(latitude, longitude, display), ZONES), provider, octet)


PLACES: dict[str, Place] = {
    place.region.name: place
    for place in (
        _place(80, "aws", "us-east-1", 38.95, -77.45, "Northern Virginia, USA"),
        _place(81, "aws", "us-west-1", 37.35, -121.96, "Northern California, USA"),
        _place(82, "aws", "ap-northeast-2", 37.56, 126.98, "Seoul, Korea"),
        _place(83, "azure", "koreacentral", 37.5665, 126.9780, "Seoul, Korea"),
        _place(84, "azure", "northcentralus", 41.8819, -87.6278, "Illinois, USA"),
        _place(85, "azure", "canadaeast", 46.817, -71.217, "Quebec, Canada"),
        _place(86, "gcp", "asia-east1", 24.0518, 120.5161, "Changhua County, Taiwan"),
        _place(87, "gcp", "asia-east2", 22.3193, 114.1694, "Hong Kong"),
        _place(88, "gcp", "europe-west3", 50.1109, 8.6821, "Frankfurt, Germany"),
        _place(89, "alibaba", "ap-northeast-1", 35.6895, 139.6917, "Tokyo, Japan"),
    )
}

IMAGES: dict[str, ImageInfo] = {
    image.id: image
    for image in (
        ImageInfo(
            "ubuntu-24.04",
            "stands for Ubuntu 24.04; really this machine's own userland",
            "ubuntu 24.04",
            alias="ubuntu-24.04",
        ),
        ImageInfo(
            "debian-12", "stands for Debian 12; really this machine's own userland", "debian 12", alias="debian-12"
        ),
    )
}


def _spec(name: str, vcpus: int, memory_mib: int, disk_gib: int, price: float) -> SpecInfo:
    title = f"{name} (example price)"
    return SpecInfo(name, title, vcpus, memory_mib, disk_gib, price=price, price_date=PRICE_DATE)


SPECS: dict[str, SpecInfo] = {
    spec.id: spec
    for spec in (
        _spec("local.nano", 1, 512, 8, 0.005),
        _spec("local.micro", 1, 1024, 8, 0.010),
        _spec("local.small", 1, 2048, 16, 0.021),
        _spec("local.medium", 2, 4096, 32, 0.042),
        _spec("local.large", 4, 8192, 64, 0.083),
    )
}


def place(region: str) -> Place:
    """The region of this name; CloudInvalidError if there is none."""
    found = PLACES.get(region)
    if found is None:
        names = ", ".join(PLACES)
        raise CloudInvalidError(f"region {region[:60]!r} is unknown", field="region", remedy=f"use one of {names}")
    return found


def zone(region: str, wanted: str | None) -> str:
    """The zone wanted, or the region's first; CloudInvalidError if the region has no such zone."""
    zones = place(region).region.zones
    if wanted and wanted not in zones:
        raise CloudInvalidError(f"zone {wanted[:60]!r} is unknown", field="zone", remedy=f"use one of {zones}")
    return wanted or zones[0]


def image(image_id: str) -> ImageInfo:
    """The image of this id; CloudNotFoundError if there is none."""
    found = IMAGES.get(image_id)
    if found is None:
        raise CloudNotFoundError(f"image {image_id[:60]!r} does not exist", field="image_id")
    return found


def spec(spec_id: str) -> SpecInfo:
    """The spec of this id; CloudNotFoundError if there is none."""
    found = SPECS.get(spec_id)
    if found is None:
        raise CloudNotFoundError(f"spec {spec_id[:60]!r} does not exist", field="spec_id")
    return found
