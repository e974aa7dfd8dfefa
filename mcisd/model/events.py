"""Events: every step of provisioning, life cycle, agents, alarms and policies, as a CloudEvent (CNCF 1.0)."""

from dataclasses import dataclass, field

SPEC_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent. ``type`` is dotted ("vm.running"), ``subject`` a path ("ns/demo/infra/web/vm/a-1").

    ``sequence`` is its place in the store's outbox (0 until stored): it grows strictly and is the id of the SSE stream.
    """

    id: str
    type: str
    subject: str
    time: float
    data: dict[str, object] = field(default_factory=dict)
    sequence: int = 0


def vm_subject(ns: str, mcis: str, vm: str) -> str:
    return f"ns/{ns}/infra/{mcis}/vm/{vm}"


def mcis_subject(ns: str, mcis: str) -> str:
    return f"ns/{ns}/infra/{mcis}"


@dataclass(frozen=True, slots=True)
class Place:
    """What a subject path names; empty where it says nothing."""

    ns: str = ""
    mcis: str = ""
    vm: str = ""


def locate(subject: str) -> Place:
    """The parts of a subject path."""
    parts = subject.split("/")
    named = dict(zip(parts[::2], parts[1::2], strict=False))
    return Place(named.get("ns", ""), named.get("infra", ""), named.get("vm", ""))
