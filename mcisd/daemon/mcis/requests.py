"""What a caller asks of the MCIS service: plain data, the same for people, programs and policies."""

from dataclasses import dataclass, field

from mcisd.model.states import OnFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class VmGroup:
    """``count`` equal VMs on one connection. Empty names mean: choose or make it automatically."""

    name: str
    connection: str
    count: int = 1
    image: str = ""
    spec: str = ""
    network: str = ""
    security_group: str = ""
    ssh_key: str = ""
    zone: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class McisRequest:
    name: str
    groups: tuple[VmGroup, ...]
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    on_failure: OnFailure = OnFailure.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks (``actor`` stands in the history), and with which idempotency key."""

    actor: str = "user"
    key: str | None = None
    request_hash: str = ""
