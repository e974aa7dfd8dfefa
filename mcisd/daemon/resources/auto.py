"""Choosing or making the resources a VM request names or leaves out. Runs inside the caller's transaction."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from mcisd.daemon.mcis.requests import VmGroup
from mcisd.drivers.images import ARCHITECTURES, parse_alias
from mcisd.model.errors import CloudInvalidError, InputError
from mcisd.model.ids import new_id
from mcisd.model.records import Connection, Resource
from mcisd.model.states import ResourceKind, ResourceState
from mcisd.store.base import Transaction

AUTO_CIDR = "10.0.0.0/16"
AUTO_RULES: list[dict[str, object]] = [
    {"direction": "inbound", "protocol": "tcp", "from_port": 1, "to_port": 65_535, "cidr": "0.0.0.0/0"},
    {"direction": "inbound", "protocol": "icmp", "from_port": -1, "to_port": -1, "cidr": "0.0.0.0/0"},
    {"direction": "outbound", "protocol": "all", "from_port": -1, "to_port": -1, "cidr": "0.0.0.0/0"},
]
DEFAULT = "default"


class KeyMaker(Protocol):
    """Makes the key pair of an SSH key resource: ``(public line, sealed private half)``."""

    def __call__(self, resource_uid: str, comment: str) -> tuple[str, str]: ...


class Needs:
    """Finds or makes the five resources of VM groups, each once per transaction."""

    def __init__(self, tx: Transaction, ns: str, make_key: KeyMaker) -> None:
        self._tx = tx
        self._ns = ns
        self._make_key = make_key
        self._known: dict[tuple[ResourceKind, str, str], Resource] = {}

    async def of(self, group: VmGroup, connection: Connection, at: str) -> dict[ResourceKind, Resource]:
        """Kind → resource for one group; ``at`` is the JSON path of the group, for errors."""
        image = await self._catalogue(ResourceKind.IMAGE, connection, group.image, f"{at}.imageId")
        wanted = group.spec or spec_for(image, f"{at}.imageId")
        spec = await self._catalogue(ResourceKind.SPEC, connection, wanted, f"{at}.specId")
        network = await self._given_or_auto(
            ResourceKind.NETWORK,
            connection,
            group.network,
            f"{at}.networkId",
            lambda: {"cidr": AUTO_CIDR, "subnets": []},
        )
        security = await self._given_or_auto(
            ResourceKind.SECURITY_GROUP,
            connection,
            group.security_group,
            f"{at}.securityId",
            lambda: {"network": network.name, "rules": AUTO_RULES},
            network.name,
        )
        key = await self._given_or_auto(ResourceKind.SSH_KEY, connection, group.ssh_key, f"{at}.keyId", dict)
        if security.body.get("network") != network.name:
            raise InputError(
                f"security group {security.name} belongs to network {security.body.get('network')}, not {network.name}",
                field=f"{at}.securityId",
                remedy="name a security group of the same network, or leave both out",
            )
        return {resource.kind: resource for resource in (image, spec, network, security, key)}

    async def _given_or_auto(
        self,
        kind: ResourceKind,
        connection: Connection,
        name: str,
        field: str,
        body: Callable[[], dict[str, object]],
        of: str = "",
    ) -> Resource:
        """``of`` names the network that a security group is for."""
        if name:
            return await self._given(kind, connection, name, field)
        return await self._auto(kind, connection, of, lambda row: of in ("", row.body.get("network")), body)

    async def _auto(
        self,
        kind: ResourceKind,
        connection: Connection,
        of: str,
        fits: Callable[[Resource], bool],
        body: Callable[[], dict[str, object]],
    ) -> Resource:
        """The automatic resource of this connection that fits, or a new one. ``of`` tells several of a kind apart."""
        known = self._known.get((kind, connection.name, of))
        if known is not None:
            return known
        rows = await self._tx.find(Resource, ns=self._ns, kind=kind.value, connection=connection.name)
        found = next((r for r in rows if r.auto and r.state is not ResourceState.DELETING and fits(r)), None)
        if found is None:
            found = await self._make(kind, connection, body())
        elif found.state is ResourceState.FAILED:
            # One that could not be made is tried again by the next request that needs it.
            found = await self._tx.update(made_again(found))
        self._known[kind, connection.name, of] = found
        return found

    async def _given(self, kind: ResourceKind, connection: Connection, name: str, field: str) -> Resource:
        found = await self._named(kind, name)
        if found is None:
            raise InputError(
                f"there is no {kind} named {name!r} in namespace {self._ns}",
                field=field,
                remedy="create it first, or leave the field out to have one made",
            )
        if found.connection != connection.name:
            raise InputError(
                f"{kind} {name!r} belongs to connection {found.connection}, not {connection.name}",
                field=field,
                remedy=f"use one of connection {connection.name}",
            )
        if found.state in (ResourceState.DELETING, ResourceState.FAILED):
            raise InputError(f"{kind} {name!r} is {found.state}", field=field, remedy="use another one")
        return found

    async def _catalogue(self, kind: ResourceKind, connection: Connection, wanted: str, field: str) -> Resource:
        """An image or spec: a registered name, an id of the cloud (registered on the way), or the default."""
        if wanted:
            found = await self._named(kind, wanted)
            if found is not None:
                return await self._given(kind, connection, wanted, field)
        cloud_id = wanted or DEFAULT
        body: dict[str, object] = {"cloud_id": cloud_id}
        return await self._auto(kind, connection, cloud_id, lambda r: r.body.get("cloud_id") == cloud_id, lambda: body)

    async def _named(self, kind: ResourceKind, name: str) -> Resource | None:
        return await self._tx.first(Resource, ns=self._ns, kind=kind.value, name=name)

    async def _make(self, kind: ResourceKind, connection: Connection, body: dict[str, object]) -> Resource:
        slug = re.sub(r"[^a-z0-9]+", "-", str(body.get("cloud_id", "")).lower()).strip("-")
        name = f"auto-{connection.name}-{slug}"[:63].rstrip("-")
        if await self._named(kind, name) is not None:
            # Taken by another connection's, by one on its way out, or by the user: any other name will do.
            name = f"{name[:57]}-{new_id('r')[-5:]}"
        return await self._tx.insert(
            new_resource(self._ns, kind, name, connection.name, body, self._make_key, auto=True)
        )


def spec_for(image: Resource, field: str) -> str:
    """The default spec that fits an image: "" for the usual one. InputError for an unknown architecture.

    One named by the cloud's own id says nothing of its architecture before the cloud was asked: name a spec with it.
    """
    try:
        alias = parse_alias(str(image.body.get("cloud_id", "")))
    except CloudInvalidError as error:
        raise InputError(error.message, field=field, remedy=error.remedy) from None
    architecture = str(image.info.get("architecture") or (alias[1] if alias else ARCHITECTURES[0]))
    return "" if architecture == ARCHITECTURES[0] else f"{DEFAULT}:{architecture}"


def default_architecture(wanted: str) -> str:
    """The architecture of a default spec ("default", "default:arm64"); "" if ``wanted`` names one of the cloud's."""
    word, _, architecture = wanted.partition(":")
    return (architecture or ARCHITECTURES[0]) if word == DEFAULT else ""


def new_resource(
    ns: str,
    kind: ResourceKind,
    name: str,
    connection: str,
    body: dict[str, object],
    make_key: KeyMaker,
    *,
    auto: bool = False,
) -> Resource:
    """A resource row to be made at its cloud; an SSH key without a public half gets a fresh pair."""
    uid, sealed = new_id("r"), ""
    if kind is ResourceKind.SSH_KEY and not body.get("public_key"):
        public, sealed = make_key(uid, f"{ns}-{name}")
        body = {**body, "public_key": public}
    return Resource(
        uid=uid,
        ns=ns,
        kind=kind,
        name=name,
        connection=connection,
        state=ResourceState.CREATING,
        auto=auto,
        body=body,
        sealed=sealed,
    )


def made_again(resource: Resource) -> Resource:
    """The row of one that could not be made, to be tried anew."""
    return replace(resource, state=ResourceState.CREATING, attempts=0, next_try_at=0.0, error="", error_code="")
