"""Recorded requests sent to our stub. In: interactions. Out: where the stub's answers have another shape than Azure's.

Shape is: status, the headers that steer a client, keys and types of the JSON. Ids, times and addresses are values.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from mcisd.drivers.azure.access import operation
from tests.clouds.azure.cassettes import SUBSCRIPTION, Interaction
from tests.clouds.azure.stub import AzureStub

NEVER = 3600.0
STEERING = ("azure-asyncoperation", "location", "retry-after")


@dataclass
class Replay:
    """Sends interactions in their order; an operation of the stub is over when the recording says so."""

    stub: AzureStub
    client: aiohttp.ClientSession
    operations: dict[str, str] = field(default_factory=dict)
    """Recorded id → the stub's."""
    seen: dict[str, int] = field(default_factory=dict)
    """Name of the request → how many of it were compared."""

    def __post_init__(self) -> None:
        self.stub.arm.subscription = SUBSCRIPTION
        self.stub.arm.delays = {"Microsoft.Network": NEVER, "Microsoft.Compute": NEVER}
        self.stub.tokens.add("replay")

    async def send(self, interaction: Interaction) -> list[str]:
        """The differences of one answer, as "PUT virtualMachines/{name}: ours only: properties.timeCreated"."""
        path = self._path(interaction)
        name = operation(interaction.method, path.partition("?")[0])
        body = interaction.sent if interaction.method in ("PUT", "PATCH") else None
        headers = {"Authorization": "Bearer replay"}
        async with self.client.request(interaction.method, self.stub.url + path, json=body, headers=headers) as answer:
            ours = await answer.json() if answer.content_type == "application/json" and answer.status != 204 else None
            found = {key.lower(): value for key, value in answer.headers.items()}
            status = answer.status
        self._learn(interaction.headers, found)
        self.seen[name] = self.seen.get(name, 0) + 1
        return [f"{name}: {line}" for line in _differences(interaction, status, found, ours)]

    def _path(self, interaction: Interaction) -> str:
        """The path with the stub's operation in it, which goes on or ends as the recorded one did."""
        path = interaction.path
        for theirs, ours in self.operations.items():
            if theirs in path:
                state = interaction.body.get("status") if isinstance(interaction.body, dict) else "Succeeded"
                if state == "Succeeded":
                    self.stub.arm.operations[ours].due = 0.0
                return path.replace(theirs, ours)
        return path

    def _learn(self, theirs: dict[str, str], ours: dict[str, str]) -> None:
        if "azure-asyncoperation" in theirs and "azure-asyncoperation" in ours:
            self.operations[_id(theirs["azure-asyncoperation"])] = _id(ours["azure-asyncoperation"])


def _id(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _differences(interaction: Interaction, status: int, headers: dict[str, str], body: Any) -> Iterator[str]:
    if status != interaction.status:
        yield f"status {interaction.status} there, {status} here"
        return
    for name in STEERING:
        if (name in interaction.headers) != (name in headers):
            yield f"header {name} {'here' if name in headers else 'there'} only"
        elif name in headers and _form(interaction.headers[name]) != _form(headers[name]):
            yield f"header {name} has another form"
    if (interaction.body is None) != (body is None):
        yield "body there or here only"
        return
    yield from compare("", interaction.body, body)


def _form(url: str) -> str:
    """An operation's address without host, place, id and version."""
    path, _, query = url.partition("?")
    words = path.split("/")
    return "/".join(words[3:4] + words[5:-1]) + "?" + query.partition("api-version")[0]


def compare(where: str, theirs: Any, ours: Any) -> Iterator[str]:
    """Keys that only one side has, and values of different types."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            place = f"{where}.{key}".lstrip(".")
            if key not in ours:
                yield f"there only: {place}"
            elif key not in theirs:
                yield f"here only: {place}"
            else:
                yield from compare(place, theirs[key], ours[key])
    elif isinstance(theirs, list) and isinstance(ours, list):
        if theirs and ours:
            yield from compare(f"{where}[]", theirs[0], ours[0])
    elif type(theirs) is not type(ours):
        yield f"{where}: {type(theirs).__name__} there, {type(ours).__name__} here"
