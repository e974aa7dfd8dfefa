"""Between OpenStack's words and ours. Pure. In: decoded JSON. Out: nouns of the model, and bodies of requests."""

import json
import re
from datetime import datetime

from mcisd.drivers.images import ALIASES
from mcisd.drivers.marks import INSTALLATION, TOKEN
from mcisd.drivers.openstack import naming
from mcisd.drivers.openstack.client import Json
from mcisd.drivers.openstack.settings import Settings
from mcisd.model.cloud import (
    CloudVmState,
    FirewallRule,
    ImageInfo,
    KeyPairInfo,
    NetworkInfo,
    SecurityGroupInfo,
    SpecInfo,
    VmInfo,
    VmStatus,
)

State = CloudVmState
USER = naming.INNER + "user"
NETWORK = naming.INNER + "network"
SPEC = naming.INNER + "spec"
PORT = naming.INNER + "port"
PRIVATE = naming.INNER + "private"
PUBLIC = naming.INNER + "public"
FLOATING = naming.INNER + "floating"
STATES = {
    "BUILD": State.PENDING, "REBUILD": State.PENDING, "REBOOT": State.PENDING, "HARD_REBOOT": State.PENDING,
    "RESIZE": State.PENDING, "REVERT_RESIZE": State.PENDING, "UNKNOWN": State.PENDING,
    "ACTIVE": State.RUNNING, "PASSWORD": State.RUNNING, "MIGRATING": State.RUNNING, "VERIFY_RESIZE": State.RUNNING,
    "RESCUE": State.RUNNING,
    "SHUTOFF": State.STOPPED, "SUSPENDED": State.STOPPED, "PAUSED": State.STOPPED, "SHELVED": State.STOPPED,
    "SHELVED_OFFLOADED": State.STOPPED,
    "DELETED": State.TERMINATED, "SOFT_DELETED": State.TERMINATED,
    "ERROR": State.FAILED,
}  # fmt: skip
"""nova's status → ours; what nova does about it (``task_state``) says more."""
TASKS = {
    "deleting": State.TERMINATING, "soft-deleting": State.TERMINATING,
    "powering-off": State.STOPPING, "suspending": State.STOPPING, "pausing": State.STOPPING,
    "powering-on": State.PENDING, "resuming": State.PENDING, "unpausing": State.PENDING, "unshelving": State.PENDING,
    "rebooting": State.PENDING, "reboot_pending": State.PENDING, "reboot_started": State.PENDING,
    "rebooting_hard": State.PENDING, "reboot_pending_hard": State.PENDING, "reboot_started_hard": State.PENDING,
}  # fmt: skip
ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64", "amd64": "x86_64"}
_NO_GPU = re.compile(r"nic|eth|ib|nvme|ssd|disk|qat|fpga")
"""What else clouds hand through to their VMs, by the words in such aliases."""
USERS = {"ubuntu": "ubuntu", "debian": "debian", "centos": "centos", "fedora": "fedora", "rocky": "rocky"}


def vm_state(server: Json) -> tuple[State, str]:
    """State and, where it failed, the reason."""
    task = str(server.get("OS-EXT-STS:task_state") or "")
    state = TASKS.get(task) or STATES.get(str(server.get("status")), State.PENDING)
    if state is not State.FAILED:
        return state, ""
    return state, " ".join(str((server.get("fault") or {}).get("message") or "nova says ERROR").split())[:300]


def vm_info(server: Json, region: str) -> VmInfo:
    """A server as nova's details show it."""
    state, reason = vm_state(server)
    marks: dict[str, str] = server.get("metadata") or {}
    addresses = [place for places in (server.get("addresses") or {}).values() for place in places]
    fixed = next((str(a["addr"]) for a in addresses if a.get("OS-EXT-IPS:type") != "floating"), marks.get(PRIVATE, ""))
    floating = next((str(a["addr"]) for a in addresses if a.get("OS-EXT-IPS:type") == "floating"), "")
    launched = server.get("OS-SRV-USG:launched_at")
    return VmInfo(
        id=str(server["id"]),
        name=str(server.get("name", "")),
        token=marks.get(TOKEN, ""),
        state=state,
        region=region,
        zone=str(server.get("OS-EXT-AZ:availability_zone") or ""),
        public_address=floating or marks.get(PUBLIC) or fixed,
        private_address=fixed,
        guest_user=marks.get(USER, "root"),
        image_id=str((server.get("image") or {}).get("id", "")),
        spec_id=marks.get(SPEC, ""),
        network_id=marks.get(NETWORK, ""),
        started_at=datetime.fromisoformat(f"{launched}+00:00").timestamp() if launched else None,
        tags=naming.visible(marks),
        reason=reason,
    )


def vm_status(server: Json) -> VmStatus:
    state, reason = vm_state(server)
    return VmStatus(str(server["id"]), (server.get("metadata") or {}).get(TOKEN, ""), state, reason)


def owned(server: Json, installation: str) -> bool:
    """Whether a server carries our installation's mark."""
    return bool((server.get("metadata") or {}).get(INSTALLATION) == installation)


def network_info(network: Json, installation: str) -> NetworkInfo:
    tags = naming.from_tags(network.get("tags") or [])
    return NetworkInfo(
        id=str(network["id"]),
        name=str(network["name"]),
        cidr=tags.get(naming.INNER + "cidr", ""),
        subnet_ids=tuple(str(subnet) for subnet in network.get("subnets") or []),
        tags=naming.installed(tags, installation),
    )


def group_info(group: Json, installation: str) -> SecurityGroupInfo:
    tags = naming.from_tags(group.get("tags") or [])
    rules = (rule_of(item) for item in group.get("security_group_rules") or [])
    return SecurityGroupInfo(
        id=str(group["id"]),
        name=str(group["name"]),
        network_id=tags.get(naming.INNER + "network", ""),
        rules=tuple(sorted((rule for rule in rules if rule is not None), key=repr)),
        tags=naming.installed(tags, installation),
    )


def rule_body(rule: FirewallRule, group_id: str) -> Json:
    """Neutron's form of a rule. Its description keeps ours, as neutron has no ports for some protocols."""
    six = ":" in rule.cidr
    protocol = None if rule.protocol == "all" else "ipv6-icmp" if six and rule.protocol == "icmp" else rule.protocol
    ports: Json = {}
    if rule.protocol in ("tcp", "udp"):
        ports = {"port_range_min": max(1, rule.from_port), "port_range_max": max(1, rule.to_port)}
    return {
        "security_group_id": group_id,
        "direction": "egress" if rule.direction == "outbound" else "ingress",
        "ethertype": "IPv6" if six else "IPv4",
        "protocol": protocol,
        "remote_ip_prefix": rule.cidr,
        "description": json.dumps(["mcisd", rule.direction, rule.protocol, rule.from_port, rule.to_port, rule.cidr]),
        **ports,
    }


def rule_of(item: Json) -> FirewallRule | None:
    """Our rule behind a rule of neutron; None if it is not ours, as the defaults of a new group."""
    try:
        word, direction, protocol, first, last, cidr = json.loads(item.get("description") or "")
    except (ValueError, TypeError):
        return None
    return FirewallRule(direction, protocol, first, last, cidr) if word == "mcisd" else None


def key_info(key: Json) -> KeyPairInfo:
    body = naming.key_body(str(key.get("public_key", ""))) or {"name": key["name"], "installation": "", "tags": {}}
    tags = naming.installed(body["tags"], body["installation"])
    return KeyPairInfo(str(key["name"]), str(body["name"]), str(key["fingerprint"]), tags)


def image_info(image: Json) -> ImageInfo:
    """An image of glance; its alias comes from ``os_distro`` and ``os_version``, else from its name."""
    machine = str(image.get("architecture") or image.get("hw_architecture") or "x86_64")
    name, distro = str(image.get("name") or image["id"]), str(image.get("os_distro") or "").lower()
    alias = alias_of(distro, str(image.get("os_version") or ""), name)
    system = distro or alias.partition("-")[0] or str(image.get("os_type") or "linux")
    user = str(image.get("os_admin_user") or USERS.get(system, "root"))
    return ImageInfo(str(image["id"]), name, system, ARCHITECTURES.get(machine, machine), user, alias)


def alias_of(distro: str, version: str, name: str) -> str:
    """The alias of an image, "" if it has none. Versions may be longer ("12.5" is debian-12)."""
    text = re.sub(r"[\s_]+", "-", f"{distro}-{version}" if distro and version else name).lower().replace("-server", "")
    for alias in ALIASES:
        if re.search(rf"(^|[^a-z0-9]){re.escape(alias)}($|[^0-9])", text):
            return alias
    codenames = {"noble": "ubuntu-24.04", "jammy": "ubuntu-22.04", "trixie": "debian-13", "bookworm": "debian-12"}
    return next((alias for word, alias in codenames.items() if word in text), "")


def newest(images: list[Json]) -> list[ImageInfo]:
    """All images, but of each alias and architecture the newest alone."""
    found: dict[tuple[str, str], ImageInfo] = {}
    for image in sorted(images, key=lambda image: (str(image.get("created_at")), str(image["id"])), reverse=True):
        info = image_info(image)
        found.setdefault((info.alias, info.architecture) if info.alias else (info.id, ""), info)
    return list(found.values())


def spec_info(flavor: Json, settings: Settings) -> SpecInfo:
    extra: dict[str, str] = flavor.get("extra_specs") or {}
    price = settings.prices.get(str(flavor["id"]), settings.prices.get(str(flavor["name"])))
    speed = extra.get("quota:vif_outbound_average", "")  # kilobytes per second
    arm = "arm" in extra.get("hw:cpu_arch", "") or extra.get("trait:HW_ARCH_AARCH64") == "required"
    return SpecInfo(
        id=str(flavor["id"]),
        name=str(flavor["name"]),
        vcpus=int(flavor["vcpus"]),
        memory_mib=int(flavor["ram"]),
        disk_gib=int(flavor.get("disk") or 0),
        architecture="arm64" if arm else "x86_64",
        gpus=gpus(extra),
        price=price,
        price_date=settings.price_date if price is not None else None,
        network_gbps=int(speed) * 8 / 1e6 if speed.isdigit() else None,
    )


def gpus(extra: dict[str, str]) -> int:
    """How many GPUs a flavor's extra specs ask for: by PCI alias ("a100:2"), or as a placement resource."""
    count = 0
    for part in extra.get("pci_passthrough:alias", "").split(","):
        name, _, number = part.strip().partition(":")
        count += int(number) if number.isdigit() and not _NO_GPU.search(name.lower()) else 0
    for name, number in extra.items():
        if re.fullmatch(r"resources\d*:(VGPU|PGPU|CUSTOM_\w*GPU\w*)", name) and number.isdigit():
            count += int(number)
    return count
