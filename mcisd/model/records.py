"""What the metadata store keeps, one frozen dataclass per kind.

``table`` names the table, ``columns`` the fields that are also columns of their own (to find by), ``plain`` those that
are columns without an index (to add up by hand), ``unique`` the combinations that must not occur twice. All other
fields live in one JSON document. ``version`` counts the updates of
a row: an update names the version it has read, and is refused (StaleError) if somebody was faster.
Fields named ``sealed…`` hold secrets encrypted by store/secrets.py; they never leave the daemon.
Times are seconds since the epoch.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from mcisd.model.cloud import Location
from mcisd.model.states import (
    Action,
    AgentState,
    Goal,
    OnFailure,
    OperationState,
    ResourceKind,
    ResourceState,
    VmState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every row has."""

    table: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()
    plain: ClassVar[tuple[str, ...]] = ()
    unique: ClassVar[tuple[tuple[str, ...], ...]] = ()

    uid: str
    version: int = 0
    created_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Record):
    """One value of the installation itself: installation id, policies of the whole system."""

    table: ClassVar[str] = "setting"

    value: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudDriverRecord(Record):
    table: ClassVar[str] = "cloud_driver"
    columns: ClassVar[tuple[str, ...]] = ("name",)
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("name",),)

    name: str
    provider: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential(Record):
    table: ClassVar[str] = "credential"
    columns: ClassVar[tuple[str, ...]] = ("name",)
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("name",),)

    name: str
    provider: str
    keys: tuple[str, ...]
    sealed: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Region(Record):
    table: ClassVar[str] = "region"
    columns: ClassVar[tuple[str, ...]] = ("name",)
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("name",),)

    name: str
    provider: str
    region: str
    zone: str = ""
    info: dict[str, str] = field(default_factory=dict)
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection(Record):
    """Driver × credential × region under one name."""

    table: ClassVar[str] = "connection"
    columns: ClassVar[tuple[str, ...]] = ("name", "driver", "credential", "region")
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("name",),)

    name: str
    provider: str
    driver: str
    credential: str
    region: str
    checked_at: float | None = None
    check_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace(Record):
    table: ClassVar[str] = "namespace"
    columns: ClassVar[tuple[str, ...]] = ("name",)
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("name",),)

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Record):
    """Image, spec, network, security group or key of a namespace (MCIR).

    ``body`` is what the user asked for (cidr, rules, public key, guest user, …); ``info`` what the cloud answered.
    ``auto`` marks what was made because a request left it out.
    """

    table: ClassVar[str] = "resource"
    columns: ClassVar[tuple[str, ...]] = ("ns", "kind", "name", "connection", "state")
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("ns", "kind", "name"),)

    ns: str
    kind: ResourceKind
    name: str
    connection: str
    state: ResourceState
    cloud_id: str = ""
    auto: bool = False
    body: dict[str, object] = field(default_factory=dict)
    info: dict[str, object] = field(default_factory=dict)
    attempts: int = 0
    next_try_at: float = 0.0
    error_code: str = ""
    error: str = ""
    sealed: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mcis(Record):
    """One MCIS. Its state is the aggregate of its VMs' states and is never stored."""

    table: ClassVar[str] = "mcis"
    columns: ClassVar[tuple[str, ...]] = ("ns", "name")
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("ns", "name"),)

    ns: str
    name: str
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    on_failure: OnFailure = OnFailure.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm(Record):
    """One VM: what is wanted (``goal``, ``pending``), what was seen last (``state``, ``cloud_id``, addresses).

    ``uid`` is the idempotency token of its creation and its name at the cloud. ``pending`` is the action an operation
    has asked for and that is not finished yet; ``acted`` says that the cloud has accepted it, at ``accepted_at``;
    ``dirty`` is true while something is pending. ``hibernate``: its suspension keeps the memory, too. A ``disposable``
    VM's row goes when the VM is gone; it was replaced by another one.
    """

    table: ClassVar[str] = "vm"
    columns: ClassVar[tuple[str, ...]] = ("mcis", "ns", "name", "connection", "state", "operation", "dirty", "agent")
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("mcis", "name"),)

    mcis: str
    mcis_name: str
    ns: str
    name: str
    connection: str
    provider: str = ""
    region: str = ""
    zone: str = ""
    location: Location | None = None
    image: str = ""
    spec: str = ""
    network: str = ""
    security_groups: tuple[str, ...] = ()
    ssh_key: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    goal: Goal = Goal.RUNNING
    state: VmState = VmState.CREATING
    pending: Action | None = Action.CREATE
    acted: bool = False
    accepted_at: float = 0.0
    hibernate: bool = False
    operation: str = ""
    dirty: bool = True
    disposable: bool = False
    retries: int = 0
    attempts: int = 0
    next_try_at: float = 0.0
    error_code: str = ""
    error: str = ""

    create_tried_at: float = 0.0
    cloud_id: str = ""
    public_address: str = ""
    private_address: str = ""
    ssh_port: int = 22
    guest_user: str = "root"
    vcpus: int = 0
    memory_mib: int = 0
    price: float | None = None
    started_at: float | None = None
    host_key: str = ""
    sealed_host_key: str = field(default="", repr=False)

    agent: AgentState = AgentState.ABSENT
    agent_token_hash: str = field(default="", repr=False)
    agent_attempts: int = 0
    agent_next_try_at: float = 0.0
    agent_error: str = ""
    agent_version: str = ""
    agent_node: str = ""  # the process that has its link


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Record):
    """One asynchronous request to follow. ``vms`` are the uids it concerns."""

    table: ClassVar[str] = "operation"
    columns: ClassVar[tuple[str, ...]] = ("ns", "mcis", "state", "key")
    unique: ClassVar[tuple[tuple[str, ...], ...]] = (("key",),)

    ns: str
    mcis: str
    mcis_name: str
    kind: str
    state: OperationState = OperationState.RUNNING
    vms: tuple[str, ...] = ()
    key: str | None = None
    request_hash: str = ""
    actor: str = "user"
    finished_at: float | None = None
    succeeded: int = 0
    failed: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Record):
    """One row of the call history: one attempt of one call to a cloud; ``requests`` went over the wire for it."""

    table: ClassVar[str] = "call"
    columns: ClassVar[tuple[str, ...]] = ("connection", "created_at")
    plain: ClassVar[tuple[str, ...]] = ("requests",)

    connection: str
    provider: str
    region: str
    resource: str
    api: str
    elapsed_ms: float
    attempt: int
    error_code: str = ""
    error: str = ""
    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Record):
    """One running process of the installation. It updates its row every few seconds: an observer that sees the same
    ``version`` for too long, by its own clock, takes it for dead. ``uid`` is new at each start, ``name`` stays."""

    table: ClassVar[str] = "node"
    columns: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    roles: tuple[str, ...]
    program: str
    url: str = ""
    collector: str = ""  # the address agents are told to call, "host:port"; empty without the role
    region: str = ""
    draining: bool = False
    links: int = 0
    frames_per_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(Record):
    """Who does a piece of work that only one process may do at a time. ``uid`` names the work, ``owner`` the node; it
    is up for taking while the owner is empty, gone or dead."""

    table: ClassVar[str] = "lease"
    columns: ClassVar[tuple[str, ...]] = ("owner",)

    owner: str = ""
