"""The world of the private cloud's demonstration: one VM on a real hypervisor, two beside it on this host."""

from mcisd.demo.world import INFRA, PLACES

ROOM = "machine-room"
"""Connection and region of the hypervisor; the group of its one VM has this name, too."""
VM = f"{ROOM}-1"
LOCATION: dict[str, object] = {"latitude": 37.5665, "longitude": 126.9780, "display": "Seoul, Korea"}
NEIGHBOURS = (PLACES[0], PLACES[6])
TOTAL = 1 + len(NEIGHBOURS)
REQUEST: dict[str, object] = {
    "name": INFRA,
    "vmRequestList": [
        {"name": ROOM, "count": 1, "connConfigName": ROOM, "imageId": "debian-12", "specId": "1-512m"},
        *(place.group | {"count": 1} for place in NEIGHBOURS),
    ],
}
