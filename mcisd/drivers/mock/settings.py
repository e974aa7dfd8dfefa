"""How a mock cloud behaves: plain numbers, all times in seconds. In: what a test wants. Out: frozen settings."""

import math
import random
from dataclasses import dataclass, field

from mcisd.model.cloud import CloudRegion, ImageInfo, Location, SpecInfo

SECRET = "mock"  # noqa: S105 - the documented password of a cloud that holds nothing


@dataclass(frozen=True, slots=True)
class Spread:
    """A log-normal time: ``median``, ``sigma`` of its logarithm, never above ``most``; a median of 0 is always 0."""

    median: float = 0.0
    sigma: float = 0.0
    most: float = math.inf

    def draw(self, rng: random.Random) -> float:
        if self.median <= 0:
            return 0.0
        return min(self.most, self.median * math.exp(rng.gauss(0.0, self.sigma)))


def _region(name: str, latitude: float, longitude: float, place: str) -> CloudRegion:
    return CloudRegion(name, Location(latitude, longitude, place), (f"{name}-a", f"{name}-b"))


REGIONS = (
    _region("us-east-1", 38.95, -77.45, "Ashburn, Virginia"),
    _region("us-west-1", 37.35, -121.96, "Santa Clara, California"),
    _region("ap-northeast-2", 37.57, 126.98, "Seoul"),
    _region("koreacentral", 37.57, 126.98, "Seoul"),
    _region("northcentralus", 41.88, -87.63, "Chicago"),
    _region("canadaeast", 46.82, -71.22, "Quebec City"),
    _region("asia-east1", 24.05, 120.52, "Changhua County"),
    _region("asia-east2", 22.32, 114.17, "Hong Kong"),
    _region("europe-west3", 50.11, 8.68, "Frankfurt"),
    _region("ap-northeast-1", 35.68, 139.69, "Tokyo"),
)

IMAGES = (
    ImageInfo("mock-debian-12", "Debian 12 (mock)", "linux", guest_user="debian", alias="debian-12"),
    ImageInfo("mock-ubuntu-24.04", "Ubuntu 24.04 (mock)", "linux", guest_user="ubuntu", alias="ubuntu-24.04"),
    ImageInfo("mock-debian-12-arm", "Debian 12 ARM (mock)", "linux", "arm64", "debian", "debian-12"),
)


def _spec(name: str, vcpus: int, memory_gib: float, price: float, architecture: str = "x86_64") -> SpecInfo:
    return SpecInfo(
        f"mock.{name}", f"mock.{name}", vcpus, int(memory_gib * 1024), 20, architecture, 0, price, "2026-01-01"
    )


SPECS = (
    _spec("nano", 1, 0.5, 0.005),
    _spec("micro", 1, 1, 0.01),
    _spec("small", 1, 2, 0.02),
    _spec("medium", 2, 4, 0.04),
    _spec("large", 2, 8, 0.08),
    _spec("xlarge", 4, 16, 0.16),
    _spec("xlarge-arm", 4, 16, 0.13, "arm64"),
    _spec("xxlarge", 8, 32, 0.32),
)
"""An invented price list: USD per hour before the region's factor."""


@dataclass(frozen=True, slots=True)
class MockSettings:
    """One mock cloud.

    ``latency`` is the time of a call, half of it before the effect and half after. ``boot`` … ``terminate`` are the
    times of state changes; a terminated VM is shown for ``shown_terminated`` more seconds. A new object is missing
    from lists for up to ``list_lag`` and from get for up to ``get_lag``; one that was ended is listed as running for
    ``list_stale``. A creation token is remembered for
    ``token_memory``. ``calls_per_second`` is the cloud's own rate limit per region (None: no limit). ``vms_per_region``
    is the quota, ``capacity_per_region`` what the cloud has at all. ``boot_failures`` is the share of VMs that fail at
    boot, ``crashes_per_hour`` the rate at which a running VM dies.
    """

    seed: int = 0
    secret: str = field(default=SECRET, repr=False)
    latency: Spread = Spread()
    boot: Spread = Spread(20.0, 0.3, 120.0)
    stop: Spread = Spread(8.0, 0.3, 60.0)
    start: Spread = Spread(10.0, 0.3, 60.0)
    terminate: Spread = Spread(5.0, 0.3, 60.0)
    shown_terminated: float = 60.0
    list_lag: float = 0.0
    get_lag: float = 0.0
    list_stale: float = 0.0
    token_memory: float = math.inf
    calls_per_second: float | None = None
    call_burst: int = 20
    vms_per_region: int | None = None
    capacity_per_region: int | None = None
    boot_failures: float = 0.0
    crashes_per_hour: float = 0.0
    addresses: str = "198.18.0.0/15"
    regions: tuple[CloudRegion, ...] = REGIONS
    images: tuple[ImageInfo, ...] = IMAGES
    specs: tuple[SpecInfo, ...] = SPECS
    price_factors: dict[str, float] = field(default_factory=lambda: {"europe-west3": 1.15, "ap-northeast-1": 1.2})
