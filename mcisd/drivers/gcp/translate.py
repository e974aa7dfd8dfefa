"""Between Google's words and ours, for VMs, images and sizes. Pure. In: Google's JSON, or a request. Out: the other."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mcisd.drivers.firstboot import cloud_config, shell_script
from mcisd.drivers.gcp.api import Json
from mcisd.drivers.gcp.names import MARKS, Marks, dump, labels, load, tail
from mcisd.model.cloud import CloudVmState, ImageInfo, QuotaInfo, SpecInfo, VmInfo, VmRequest, VmStatus

State = CloudVmState
STATES: dict[str, State] = {
    "PENDING": State.PENDING,
    "PROVISIONING": State.PENDING,
    "STAGING": State.PENDING,
    "REPAIRING": State.PENDING,
    "RUNNING": State.RUNNING,
    "PENDING_STOP": State.STOPPING,
    "STOPPING": State.STOPPING,  # a VM that is being deleted says the same
    "SUSPENDING": State.STOPPING,
    "SUSPENDED": State.STOPPED,
    "TERMINATED": State.STOPPED,  # Google's word for a VM that was stopped; a deleted one is not shown any more
    "STOPPED": State.STOPPED,
    "DEPROVISIONING": State.TERMINATING,
}
HYPERDISK = frozenset({"c4", "c4a", "c4d", "n4", "n4a", "n4d", "h4d", "x4", "m4", "a4", "a4x", "g4", "c3x"})
"""Machine families that take no persistent disk."""
GPU_FAMILIES = frozenset({"a2", "a3", "a4", "a4x", "g2", "g4"})
"""Machine families that cannot be moved while they run."""
IMAGE_PROJECTS: dict[tuple[str, str], tuple[str, str]] = {
    ("ubuntu-24.04", "x86_64"): ("ubuntu-os-cloud", "ubuntu-2404-lts-amd64"),
    ("ubuntu-24.04", "arm64"): ("ubuntu-os-cloud", "ubuntu-2404-lts-arm64"),
    ("ubuntu-22.04", "x86_64"): ("ubuntu-os-cloud", "ubuntu-2204-lts"),
    ("ubuntu-22.04", "arm64"): ("ubuntu-os-cloud", "ubuntu-2204-lts-arm64"),
    ("debian-13", "x86_64"): ("debian-cloud", "debian-13"),
    ("debian-13", "arm64"): ("debian-cloud", "debian-13-arm64"),
    ("debian-12", "x86_64"): ("debian-cloud", "debian-12"),
    ("debian-12", "arm64"): ("debian-cloud", "debian-12-arm64"),
}
"""Alias and architecture → project and image family, whose newest image Google names."""
_ALIASES = {family: alias for alias, family in IMAGE_PROJECTS.items()}
_QUOTAS = {
    "INSTANCES": "vms",
    "CPUS": "vcpus",
    "IN_USE_ADDRESSES": "public_addresses",
    "NETWORKS": "networks",
    "GPUS_ALL_REGIONS": "gpus",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a VM is to be made: project and zone, and the name it has there."""

    project: str
    zone: str
    name: str

    @property
    def vm_id(self) -> str:
        return f"{self.zone}/{self.name}"


def instance_body(request: VmRequest, place: Place, image: str, region: str, marks: Marks) -> Json:
    """The instance to ask for: its disk and its address end with it."""
    family = request.spec_id.partition("-")[0]
    disk = "hyperdisk-balanced" if family in HYPERDISK else "pd-balanced"
    zone = f"projects/{place.project}/zones/{place.zone}"
    ours = labels(marks)
    body: Json = {
        "name": place.name,
        "machineType": f"zones/{place.zone}/machineTypes/{request.spec_id}",
        "labels": ours,
        "tags": {"items": list(request.security_group_ids)},
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {"sourceImage": image, "diskType": f"{zone}/diskTypes/{disk}", "labels": ours},
            }
        ],
        "networkInterfaces": [
            {
                "network": f"projects/{place.project}/global/networks/{request.network_id}",
                "subnetwork": f"projects/{place.project}/regions/{region}/subnetworks/{request.subnet_id}",
                "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}],
            }
        ],
        "metadata": {"items": first_boot(request, marks)},
    }
    if family in GPU_FAMILIES:
        body["scheduling"] = {"onHostMaintenance": "TERMINATE"}
    return body


def first_boot(request: VmRequest, marks: Marks) -> list[dict[str, str]]:
    """Metadata of a new VM: first boot for images with cloud-init and for those without, and our marks.

    Keys of the whole project, with which others could log in, are kept out.
    """
    items = {
        "user-data": cloud_config(request),
        "startup-script": shell_script(request),
        "block-project-ssh-keys": "TRUE",
        MARKS: dump(marks),
    }
    return [{"key": key, "value": value} for key, value in items.items()]


def instance_marks(item: Json) -> Marks | None:
    """Our marks on an instance; None if it has none."""
    for entry in item.get("metadata", {}).get("items", ()):
        if entry["key"] == MARKS:
            return load(str(entry.get("value", "")))
    return None


def vm_id(item: Json) -> str:
    return f"{tail(item['zone'])}/{item['name']}"


def vm_info(item: Json, marks: Marks) -> VmInfo:
    """A VM as Google shows it."""
    card: Json = next(iter(item.get("networkInterfaces", ())), {})
    access: Json = next(iter(card.get("accessConfigs", ())), {})
    return VmInfo(
        id=vm_id(item),
        name=marks.name,
        token=marks.token,
        state=state(item),
        region=marks.region,
        zone=tail(item["zone"]),
        public_address=access.get("natIP", ""),
        private_address=card.get("networkIP", ""),
        guest_user=marks.more.get("user", "root"),
        image_id=marks.more.get("image", ""),
        spec_id=tail(item.get("machineType", "")),
        network_id=tail(card.get("network", "")),
        started_at=_time(item.get("lastStartTimestamp") or item.get("creationTimestamp")),
        tags=marks.shown(),
        reason=item.get("statusMessage", ""),
    )


def vm_status(item: Json, marks: Marks) -> VmStatus:
    return VmStatus(vm_id(item), marks.token, state(item), item.get("statusMessage", ""))


def asked_vm(request: VmRequest, place: Place, marks: Marks, seen: State) -> VmInfo:
    """A VM of which only the request is known: just accepted, or gone again."""
    return VmInfo(
        id=place.vm_id,
        name=request.name,
        token=request.token,
        state=seen,
        region=marks.region,
        zone=place.zone,
        guest_user=request.guest_user,
        image_id=request.image_id,
        spec_id=request.spec_id,
        network_id=request.network_id,
        tags=marks.shown(),
    )


def state(item: Json) -> State:
    """CloudVmState of an instance; a word that is new to us is taken for "not yet"."""
    return STATES.get(str(item.get("status", "")), State.PENDING)


def image_info(item: Json) -> ImageInfo:
    """An image, with the id by which Google takes it: projects/…/global/images/…"""
    link = re.sub(r"^https?://.*?/(?=projects/)", "", str(item["selfLink"]))
    project, family = link.split("/")[1], str(item.get("family", ""))
    alias, architecture = _ALIASES.get((project, family), ("", ""))
    arm = str(item.get("architecture", "")) == "ARM64" or architecture == "arm64"
    words = f"{project} {family} {item['name']}".lower()
    system = next((name for name in ("ubuntu", "debian", "windows") if name in words), "linux")
    user = system if system in ("ubuntu", "debian") else "mcisd"
    return ImageInfo(link, str(item["name"]), system, "arm64" if arm else "x86_64", user, alias)


def spec_info(item: Json, price: float | None, priced: str | None) -> SpecInfo:
    """A machine type. It has no disk of its own, so ``disk_gib`` is 0."""
    arm = item.get("architecture") == "ARM64" or str(item["name"]).startswith(("t2a-", "c4a-", "n4a-"))
    return SpecInfo(
        id=str(item["name"]),
        name=str(item["name"]),
        vcpus=int(item["guestCpus"]),
        memory_mib=int(item["memoryMb"]),
        architecture="arm64" if arm else "x86_64",
        gpus=sum(int(each.get("guestAcceleratorCount", 0)) for each in item.get("accelerators", ())),
        price=price,
        price_date=priced if price is not None else None,
    )


def quotas(items: Iterable[Json]) -> list[QuotaInfo]:
    """Google's limits: the common ones by our name, the others by Google's in small letters."""
    return [
        QuotaInfo(
            _QUOTAS.get(metric, metric.lower()), max(0, int(item.get("limit", 0))), max(0, int(item.get("usage", 0)))
        )
        for item in items
        for metric in (str(item["metric"]),)
    ]


def _time(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
