"""Where AWS's regions are. Pure data. In: a region's name. Out: its place on earth."""

from mcisd.model.cloud import Location

PLACES: dict[str, Location] = {
    "af-south-1": Location(-33.93, 18.42, "Cape Town, South Africa"),
    "ap-east-1": Location(22.32, 114.17, "Hong Kong"),
    "ap-east-2": Location(25.03, 121.57, "Taipei, Taiwan"),
    "ap-northeast-1": Location(35.68, 139.69, "Tokyo, Japan"),
    "ap-northeast-2": Location(37.57, 126.98, "Seoul, Korea"),
    "ap-northeast-3": Location(34.69, 135.50, "Osaka, Japan"),
    "ap-south-1": Location(19.08, 72.88, "Mumbai, India"),
    "ap-south-2": Location(17.39, 78.49, "Hyderabad, India"),
    "ap-southeast-1": Location(1.35, 103.82, "Singapore"),
    "ap-southeast-2": Location(-33.87, 151.21, "Sydney, Australia"),
    "ap-southeast-3": Location(-6.21, 106.85, "Jakarta, Indonesia"),
    "ap-southeast-4": Location(-37.81, 144.96, "Melbourne, Australia"),
    "ap-southeast-5": Location(3.14, 101.69, "Kuala Lumpur, Malaysia"),
    "ap-southeast-6": Location(-36.85, 174.76, "Auckland, New Zealand"),
    "ap-southeast-7": Location(13.76, 100.50, "Bangkok, Thailand"),
    "ca-central-1": Location(45.50, -73.57, "Montreal, Canada"),
    "ca-west-1": Location(51.05, -114.07, "Calgary, Canada"),
    "cn-north-1": Location(39.90, 116.41, "Beijing, China"),
    "cn-northwest-1": Location(37.51, 105.19, "Ningxia, China"),
    "eu-central-1": Location(50.11, 8.68, "Frankfurt, Germany"),
    "eu-central-2": Location(47.38, 8.54, "Zurich, Switzerland"),
    "eu-north-1": Location(59.33, 18.07, "Stockholm, Sweden"),
    "eu-south-1": Location(45.46, 9.19, "Milan, Italy"),
    "eu-south-2": Location(41.65, -0.88, "Aragon, Spain"),
    "eu-west-1": Location(53.35, -6.26, "Dublin, Ireland"),
    "eu-west-2": Location(51.51, -0.13, "London, United Kingdom"),
    "eu-west-3": Location(48.86, 2.35, "Paris, France"),
    "eusc-de-east-1": Location(52.40, 13.06, "Brandenburg, Germany"),
    "il-central-1": Location(32.09, 34.78, "Tel Aviv, Israel"),
    "me-central-1": Location(24.45, 54.38, "United Arab Emirates"),
    "me-south-1": Location(26.07, 50.56, "Bahrain"),
    "mx-central-1": Location(20.59, -100.39, "Querétaro, Mexico"),
    "sa-east-1": Location(-23.55, -46.63, "São Paulo, Brazil"),
    "us-east-1": Location(38.95, -77.45, "Northern Virginia, USA"),
    "us-east-2": Location(39.96, -83.00, "Ohio, USA"),
    "us-gov-east-1": Location(39.96, -83.00, "Ohio, USA (GovCloud)"),
    "us-gov-west-1": Location(45.84, -119.70, "Oregon, USA (GovCloud)"),
    "us-west-1": Location(37.35, -121.96, "Northern California, USA"),
    "us-west-2": Location(45.84, -119.70, "Oregon, USA"),
}
_CONTINENTS: dict[str, Location] = {
    "af": Location(0.3, 20.0, "Africa"),
    "ap": Location(15.0, 110.0, "Asia Pacific"),
    "ca": Location(55.0, -100.0, "Canada"),
    "cn": Location(35.0, 105.0, "China"),
    "eu": Location(50.0, 10.0, "Europe"),
    "il": Location(32.0, 34.8, "Israel"),
    "me": Location(25.0, 45.0, "Middle East"),
    "mx": Location(23.0, -102.0, "Mexico"),
    "sa": Location(-15.0, -60.0, "South America"),
    "us": Location(39.0, -98.0, "United States"),
}


def place(region: str) -> Location:
    """Where a region is; of one younger than this table, roughly, by the first letters of its name."""
    return PLACES.get(region) or _CONTINENTS.get(region.split("-")[0][:2], Location(39.0, -98.0, "unknown place"))


def plausible(region: str) -> bool:
    """Whether AWS may have a region of this name: it is in the table, or is named as AWS names them."""
    parts = region.split("-")
    named = len(parts) in (3, 4) and parts[0][:2] in _CONTINENTS and parts[-1].isdigit() and region.isascii()
    return region in PLACES or named
