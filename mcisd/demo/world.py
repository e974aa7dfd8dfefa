"""The world of the demonstration: 18 VMs in 4 clouds and 10 regions, one connection per region. Constant data."""

from dataclasses import dataclass

NS = "demo"
INFRA = "world"
WEB_PORT = 8080


@dataclass(frozen=True, slots=True)
class Place:
    """A region of a cloud, where it is on earth, and how many VMs it gets."""

    cloud: str
    region: str
    latitude: float
    longitude: float
    display: str
    vms: int

    @property
    def connection(self) -> str:
        return f"{self.cloud}-{self.region}"

    @property
    def location(self) -> dict[str, object]:
        return {"latitude": self.latitude, "longitude": self.longitude, "display": self.display}

    @property
    def group(self) -> dict[str, object]:
        """The request for its VMs; all else is made automatically."""
        return {"name": self.connection, "count": self.vms, "connConfigName": self.connection}


PLACES = (
    Place("aws", "us-east-1", 38.95, -77.45, "Northern Virginia, USA", 2),
    Place("aws", "us-west-1", 37.35, -121.96, "Northern California, USA", 2),
    Place("aws", "ap-northeast-2", 37.56, 126.98, "Seoul, Korea", 2),
    Place("azure", "koreacentral", 37.5665, 126.9780, "Seoul, Korea", 2),
    Place("azure", "northcentralus", 41.8819, -87.6278, "Illinois, USA", 2),
    Place("azure", "canadaeast", 46.817, -71.217, "Quebec, Canada", 2),
    Place("gcp", "asia-east1", 24.0518, 120.5161, "Changhua County, Taiwan", 2),
    Place("gcp", "asia-east2", 22.3193, 114.1694, "Hong Kong", 2),
    Place("gcp", "europe-west3", 50.1109, 8.6821, "Frankfurt, Germany", 1),
    Place("alibaba", "ap-northeast-1", 35.6895, 139.6917, "Tokyo, Japan", 1),
)
CLOUDS = tuple(dict.fromkeys(place.cloud for place in PLACES))
TOTAL = sum(place.vms for place in PLACES)
