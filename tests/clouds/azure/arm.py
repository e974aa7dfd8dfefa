"""The state of an Azure subscription: groups, resources, operations. In: changes. Out: bodies as Azure shows them.

Time is real. An operation is over when its time has come; what it does then is done before the next request is served.
"""

import time
import uuid
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]


class ArmError(Exception):
    """An answer of failure."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    @property
    def body(self) -> Json:
        return {"error": {"code": self.code, "message": self.message}}


def stamp() -> str:
    return datetime.now(UTC).isoformat()


def guid() -> str:
    return str(uuid.uuid4())


@dataclass
class Item:
    """One resource. ``busy`` is the operation that changes it; ``power``, ``custom_data``, ``disk`` are a VM's."""

    body: Json
    power: str = ""
    failure: tuple[str, str] | None = None
    busy: str = ""
    made: float = field(default_factory=time.monotonic)
    hibernated: bool = False
    custom_data: str = ""
    disk: str = ""

    @property
    def facts(self) -> Json:
        facts: Json = self.body["properties"]
        return facts

    @property
    def kind(self) -> str:
        return str(self.body["type"]).lower()

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def name(self) -> str:
        return str(self.body["name"])


@dataclass
class Operation:
    """``finish`` runs once at ``due``; ``error`` makes it a failure."""

    id: str
    due: float
    finish: Callable[[], None]
    begun: str = field(default_factory=stamp)
    ended: str = ""
    error: Json | None = None


@dataclass
class Arm:
    """One subscription. ``delays`` are seconds an operation of a provider takes; ``page`` items are on one page."""

    subscription: str = field(default_factory=guid)
    delays: dict[str, float] = field(default_factory=lambda: {"Microsoft.Network": 0.002, "Microsoft.Compute": 0.03})
    cores: int = 200
    page: int = 50
    fail_next: tuple[str, str] | None = None
    """Code and message with which the next VM's creation fails, after it was accepted."""
    groups: dict[str, Json] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    graveyard: list[Item] = field(default_factory=list)
    late_since: float | None = None
    """Lists hide what was made after this moment."""
    stale_since: float | None = None
    """Lists show what was removed after this moment."""

    def settle(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for operation in list(self.operations.values()):
            if not operation.ended and operation.due <= now:
                operation.ended = stamp()
                operation.finish()

    def begin(self, provider: str, finish: Callable[[], None], item: Item | None = None) -> Operation:
        """An operation; with ``item`` it replaces the one that changes it now, which then does nothing any more."""
        operation = Operation(guid(), time.monotonic() + self.delays[provider], finish)
        self.operations[operation.id] = operation
        if item is not None:
            if item.busy in self.operations:
                earlier = self.operations[item.busy]
                earlier.finish = lambda: None
            item.busy = operation.id
        return operation

    def group(self, name: str) -> Json:
        found = self.groups.get(name.lower())
        if found is None:
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        return found

    def find(self, resource_id: str) -> Item | None:
        return self.items.get(resource_id.lower())

    def get(self, group: str, kind: str, name: str) -> Item:
        self.group(group)
        found = self.find(self.id_of(group, kind, name))
        if found is None:
            raise ArmError(
                404,
                "ResourceNotFound",
                f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
                "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
            )
        return found

    def id_of(self, group: str, kind: str, name: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{group}/providers/{kind}/{name}"

    def add(self, item: Item) -> Item:
        self.items[item.id.lower()] = item
        return item

    def remove(self, resource_id: str) -> None:
        """Take a resource away, now."""
        gone = self.items.pop(resource_id.lower(), None)
        if gone is not None and self.stale_since is not None:
            self.graveyard.append(gone)

    def listed(self, kind: str = "", group: str = "") -> list[Item]:
        """What a list shows: by type, by resource group."""
        if group:
            self.group(group)
        shown = [i for i in self.items.values() if self.late_since is None or i.made < self.late_since]
        shown += self.graveyard if self.stale_since is not None else []
        mark = f"/resourcegroups/{group}/".lower()
        return [i for i in shown if (not kind or i.kind == kind.lower()) and (not group or mark in i.id.lower())]

    def using(self, resource_id: str, kind: str) -> list[Item]:
        """Resources of a type whose body names this one."""
        return [
            i
            for i in self.items.values()
            if i.kind == kind.lower() and resource_id.lower() in _ids(i.facts) | {i.disk.lower()}
        ]


def _ids(value: object) -> set[str]:
    """All ids in a body."""
    if isinstance(value, dict):
        here = {str(value["id"]).lower()} if "id" in value else set()
        return here.union(*(_ids(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(_ids(inner) for inner in value))
    return set()


def copied(body: Json) -> Json:
    return deepcopy(body)
