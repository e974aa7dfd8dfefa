"""What a cloud allows us, and what of ours is there."""

from typing import Annotated

from pydantic import Field

from mcisd.daemon.api.schemas.base import Model
from mcisd.daemon.inventory import Fate


class Quota(Model):
    name: Annotated[str, Field(description="vms, vcpus, memory_mib, …, or the cloud's own word")]
    limit: Annotated[int | None, Field(description="null: no limit")]
    used: int | None = None


class OwnedObject(Model):
    """An object at a cloud that bears our mark. What is not ``known`` has no VM and no resource here."""

    kind: str
    id: str
    name: str
    token: Annotated[str, Field(description="of the creation it came from; empty if the cloud cannot tell")]
    tags: dict[str, str]
    known: bool
    unknown_since: Annotated[float | None, Field(description="when it was first seen unknown")]
    orphan: Annotated[bool, Field(description="unknown in two looks at least 60 s apart")]


class OrphanRemoval(Model):
    """What became of an object that is unknown here."""

    kind: str
    id: str
    name: str
    outcome: Fate
    error: str


class ConsoleOutput(Model):
    vm: str
    text: Annotated[str, Field(description="newest text of the serial console, 64 KiB at most")]
