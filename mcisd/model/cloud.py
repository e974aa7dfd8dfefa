"""What drivers and the control core say to each other: plain frozen data, one vocabulary for all clouds.

``token`` on every creation is the caller's idempotency token: creating twice with one token gives one object,
also after a lost answer. ``tags`` mark what is ours and are returned by every list.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class CloudVmState(StrEnum):
    """State of a VM as its cloud tells it."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Location:
    """A place on earth, degrees."""

    latitude: float
    longitude: float
    display: str = ""


@dataclass(frozen=True, slots=True)
class CloudRegion:
    """A region as the cloud lists it."""

    name: str
    location: Location
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """What a driver needs to open a connection. ``credential`` is secret: never log or store it."""

    name: str
    region: str
    zone: str | None
    credential: dict[str, str] = field(repr=False)
    region_info: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """A VM image of the cloud; ``alias`` is its name on every cloud (drivers/images.py), "" if it has none."""

    id: str
    name: str
    os: str
    architecture: str = "x86_64"
    guest_user: str = "root"
    alias: str = ""


@dataclass(frozen=True, slots=True)
class SpecInfo:
    """A VM size of the cloud; price in USD per hour at ``price_date`` (ISO date), network speed; None where unknown."""

    id: str
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int = 0
    architecture: str = "x86_64"
    gpus: int = 0
    price: float | None = None
    price_date: str | None = None
    network_gbps: float | None = None


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """A virtual network with one subnet per entry."""

    token: str
    name: str
    cidr: str
    subnets: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    id: str
    name: str
    cidr: str
    subnet_ids: tuple[str, ...]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """Who may reach which ports: ``direction`` "inbound" or "outbound", ``protocol`` "tcp", "udp", "icmp" or "all"."""

    direction: str
    protocol: str
    from_port: int
    to_port: int
    cidr: str


@dataclass(frozen=True, slots=True)
class SecurityGroupRequest:
    token: str
    name: str
    network_id: str
    rules: tuple[FirewallRule, ...]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecurityGroupInfo:
    id: str
    name: str
    network_id: str
    rules: tuple[FirewallRule, ...]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyPairRequest:
    """Import of a public key (OpenSSH line); the private half never leaves the daemon."""

    token: str
    name: str
    public_key: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyPairInfo:
    id: str
    name: str
    fingerprint: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VmRequest:
    """All that a VM is made of.

    First boot (drivers/firstboot.py) makes ``guest_user``, lets in ``public_key`` (the OpenSSH line of the key pair)
    and installs ``host_key``, the SSH host key (OpenSSH private PEM).
    """

    token: str
    name: str
    image_id: str
    spec_id: str
    network_id: str
    subnet_id: str
    security_group_ids: tuple[str, ...]
    key_pair_id: str
    guest_user: str
    host_key: str = field(repr=False)
    public_key: str = ""
    zone: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VmInfo:
    """A VM as its cloud tells it. Addresses are empty until the cloud has given them."""

    id: str
    name: str
    token: str
    state: CloudVmState
    region: str
    zone: str = ""
    public_address: str = ""
    private_address: str = ""
    ssh_port: int = 22
    guest_user: str = "root"
    image_id: str = ""
    spec_id: str = ""
    network_id: str = ""
    started_at: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VmStatus:
    """One row of the bulk status call: the cheapest answer to "how are they all"."""

    id: str
    token: str
    state: CloudVmState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class QuotaInfo:
    """How much of one thing the account may have in the region.

    ``name`` is one of "vms", "vcpus", "memory_mib", "gpus", "networks", "security_groups", "key_pairs",
    "public_addresses", or the cloud's own word where it has finer ones; ``limit`` None means no limit.
    """

    name: str
    limit: int | None
    used: int | None = None


@dataclass(frozen=True, slots=True)
class OwnedInfo:
    """One object at the cloud that carries our mark, whatever it is: what costs money, and what must go at the end.

    ``kind`` is one of "vm", "disk", "nic", "public-ip", "network", "subnet", "gateway", "route-table",
    "security-group", "key", or the cloud's own word. ``token`` is that of the creation it came from, "" if the cloud
    cannot tell. A terminated VM that is merely still shown is none.
    """

    kind: str
    id: str
    name: str = ""
    token: str = ""
    tags: dict[str, str] = field(default_factory=dict)
