"""MCIS, VMs, operations, commands."""

from typing import Annotated

from pydantic import Field

from mcisd.daemon.api.schemas.base import Labels, Model, Name, ShortText
from mcisd.daemon.api.schemas.federation import LocationInfo
from mcisd.model.states import OnFailure


class VmRequestBody(Model):
    """A group of equal VMs. What is left out (image, spec, network, security group, key) is made automatically."""

    name: Annotated[Name, Field(description="name of the group; VMs are called name-1, name-2, …")]
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    conn_config_name: Name
    image_id: Annotated[str, Field(max_length=256, description="registered name, or an id of the cloud")] = ""
    spec_id: Annotated[str, Field(max_length=256, description="registered name, or an id of the cloud")] = ""
    network_id: Annotated[str, Field(max_length=63)] = ""
    security_id: Annotated[str, Field(max_length=63)] = ""
    key_id: Annotated[str, Field(max_length=63)] = ""
    zone: Annotated[str, Field(max_length=64)] = ""
    labels: Labels = {}


class InfraSvcRequest(Model):
    name: Name
    description: ShortText = ""
    labels: Labels = {}
    on_failure: OnFailure = OnFailure.KEEP
    vm_request_list: Annotated[list[VmRequestBody], Field(min_length=1, max_length=1000)]


class ExpandRequest(Model):
    vm_request_list: Annotated[list[VmRequestBody], Field(min_length=1, max_length=1000)]


class OperationInfo(Model):
    """An asynchronous request to follow; ``state`` running, succeeded, partial or failed."""

    id: str
    kind: str
    name_space: str
    infra_svc: str
    state: str
    actor: str
    total: int
    succeeded: int
    failed: int
    message: str
    created_at: float
    finished_at: float | None


class VmInfoBody(Model):
    id: str
    name: str
    infra_svc: str
    name_space: str
    state: str
    goal: str
    pending: str | None
    error: str
    error_code: str
    conn_config_name: str
    provider_name: str
    region: str
    zone: str
    location: LocationInfo | None
    cloud_id: str
    public_address: str
    private_address: str
    ssh_port: int
    guest_user: str
    vcpus: int
    memory_mib: int
    price: float | None
    image: str
    spec: str
    network: str
    security_group: str
    ssh_key: str
    labels: dict[str, str]
    agent: str
    agent_error: str
    last_sample_at: float | None = None
    started_at: float | None
    created_at: float


class StatusInfo(Model):
    """``status`` is the aggregate of SYSTEM §5, e.g. ``Partial-Suspended:2 (R:1/3)``."""

    name: str
    status: str
    counts: dict[str, int]
    total: int
    running: int
    agents_up: int


class InfraSvcInfo(Model):
    id: str
    name: str
    name_space: str
    description: str
    labels: dict[str, str]
    on_failure: OnFailure
    status: str
    counts: dict[str, int]
    price_per_hour: float | None
    created_at: float
    vms: list[VmInfoBody]


class VmStatusInfo(Model):
    name: str
    state: str
    goal: str
    agent: str
    error: str


class CommandRequest(Model):
    command: Annotated[str, Field(min_length=1, max_length=65_536)]
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    vms: Annotated[list[str], Field(max_length=10_000, description="VM names; empty means all that run")] = []


class CommandOutput(Model):
    vm: str
    exit_status: int | None
    stdout: str
    stderr: str
    truncated: bool
    elapsed_s: float
    error: str = ""


class CommandAnswer(Model):
    results: list[CommandOutput]
