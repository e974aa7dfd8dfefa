"""Namespaces and what VMs are made with."""

from typing import Annotated, Literal

from pydantic import Field

from mcisd.daemon.api.schemas.base import Model, Name, ShortText


class NameSpaceRequest(Model):
    name: Name
    description: ShortText = ""


class NameSpaceUpdate(Model):
    description: ShortText


class NameSpaceInfo(Model):
    name: str
    description: str
    created_at: float


class ResourceInfo(Model):
    """What all resources of a namespace show. ``info`` is what the cloud said."""

    name: str
    kind: str
    conn_config_name: str
    state: str
    cloud_id: str
    auto: bool
    error: str = ""
    body: dict[str, object]
    info: dict[str, object]
    used_by: list[str] = Field(default_factory=list, description="infra/vm names")
    created_at: float


class ImageRequest(Model):
    name: Name
    conn_config_name: Name
    cloud_image_id: Annotated[str, Field(min_length=1, max_length=256)]


class SpecRequest(Model):
    name: Name
    conn_config_name: Name
    cloud_spec_id: Annotated[str, Field(min_length=1, max_length=256)]


class NetworkRequestBody(Model):
    name: Name
    conn_config_name: Name
    cidr_block: Annotated[str, Field(description="IPv4 range such as 10.0.0.0/16")] = "10.0.0.0/16"
    subnets: Annotated[
        list[str], Field(max_length=16, description="ranges inside cidrBlock; one is made if empty")
    ] = []


class FirewallRuleBody(Model):
    direction: Literal["inbound", "outbound"] = "inbound"
    protocol: Literal["tcp", "udp", "icmp", "all"] = "tcp"
    from_port: Annotated[int, Field(ge=-1, le=65_535)] = -1
    to_port: Annotated[int, Field(ge=-1, le=65_535)] = -1
    cidr: str = "0.0.0.0/0"


class SecurityGroupRequestBody(Model):
    name: Name
    conn_config_name: Name
    network_id: Name
    rules: Annotated[list[FirewallRuleBody], Field(max_length=200)] = []


class SshKeyRequest(Model):
    name: Name
    conn_config_name: Name
    public_key: Annotated[str, Field(max_length=16_384, description="OpenSSH line; made here if empty")] = ""


class CatalogueSpec(Model):
    id: str
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    architecture: str
    gpus: int
    price: Annotated[float | None, Field(description="USD per hour")]
    price_date: str | None
    network_gbps: float | None = None


class CatalogueImage(Model):
    id: str
    name: str
    os: str
    architecture: str
    guest_user: str
    alias: Annotated[str, Field(description="its name on every cloud, such as ubuntu-24.04")] = ""
