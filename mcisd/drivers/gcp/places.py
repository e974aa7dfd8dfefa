"""Where Google's regions are. Pure. In: a region's name. Out: its place on earth, to the nearest town.

Google's API does not tell; the table is taken from its public list of locations. A region newer than the table is put
at the first known one of its area, and says so.
"""

from mcisd.model.cloud import Location

PLACES: dict[str, Location] = {
    "africa-south1": Location(-26.20, 28.05, "Johannesburg"),
    "asia-east1": Location(24.05, 120.52, "Changhua County, Taiwan"),
    "asia-east2": Location(22.32, 114.17, "Hong Kong"),
    "asia-northeast1": Location(35.68, 139.69, "Tokyo"),
    "asia-northeast2": Location(34.69, 135.50, "Osaka"),
    "asia-northeast3": Location(37.57, 126.98, "Seoul"),
    "asia-south1": Location(19.08, 72.88, "Mumbai"),
    "asia-south2": Location(28.61, 77.21, "Delhi"),
    "asia-southeast1": Location(1.34, 103.71, "Jurong West, Singapore"),
    "asia-southeast2": Location(-6.21, 106.85, "Jakarta"),
    "asia-southeast3": Location(13.76, 100.50, "Bangkok"),
    "australia-southeast1": Location(-33.87, 151.21, "Sydney"),
    "australia-southeast2": Location(-37.81, 144.96, "Melbourne"),
    "europe-central2": Location(52.23, 21.01, "Warsaw"),
    "europe-north1": Location(60.57, 27.19, "Hamina, Finland"),
    "europe-north2": Location(59.33, 18.07, "Stockholm"),
    "europe-southwest1": Location(40.42, -3.70, "Madrid"),
    "europe-west1": Location(50.45, 3.82, "St. Ghislain, Belgium"),
    "europe-west2": Location(51.51, -0.13, "London"),
    "europe-west3": Location(50.11, 8.68, "Frankfurt"),
    "europe-west4": Location(53.44, 6.84, "Eemshaven, Netherlands"),
    "europe-west6": Location(47.38, 8.54, "Zurich"),
    "europe-west8": Location(45.46, 9.19, "Milan"),
    "europe-west9": Location(48.86, 2.35, "Paris"),
    "europe-west10": Location(52.52, 13.41, "Berlin"),
    "europe-west12": Location(45.07, 7.69, "Turin"),
    "me-central1": Location(25.29, 51.53, "Doha"),
    "me-central2": Location(26.43, 50.10, "Dammam"),
    "me-west1": Location(32.09, 34.78, "Tel Aviv"),
    "northamerica-northeast1": Location(45.50, -73.57, "Montreal"),
    "northamerica-northeast2": Location(43.65, -79.38, "Toronto"),
    "northamerica-south1": Location(20.59, -100.39, "Queretaro, Mexico"),
    "southamerica-east1": Location(-23.51, -46.88, "Osasco, Sao Paulo"),
    "southamerica-west1": Location(-33.45, -70.67, "Santiago"),
    "us-central1": Location(41.26, -95.86, "Council Bluffs, Iowa"),
    "us-east1": Location(33.20, -80.01, "Moncks Corner, South Carolina"),
    "us-east4": Location(39.04, -77.49, "Ashburn, Virginia"),
    "us-east5": Location(39.96, -83.00, "Columbus, Ohio"),
    "us-south1": Location(32.78, -96.80, "Dallas"),
    "us-west1": Location(45.59, -121.18, "The Dalles, Oregon"),
    "us-west2": Location(34.05, -118.24, "Los Angeles"),
    "us-west3": Location(40.76, -111.89, "Salt Lake City"),
    "us-west4": Location(36.17, -115.14, "Las Vegas"),
}


def place(region: str) -> Location | None:
    """Where the region is; None if not even its area is known."""
    if region in PLACES:
        return PLACES[region]
    area = region.partition("-")[0]
    for name, known in PLACES.items():
        if name.startswith(f"{area}-"):
            return Location(known.latitude, known.longitude, f"{area}, exact place not known")
    return None
