"""Namespaces and resources as users make and remove them. Clouds are touched only by the reconciler."""

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mcisd.daemon.events import EventMaker
from mcisd.daemon.fleet.keys import fingerprint
from mcisd.daemon.mcis.rows import need_namespace
from mcisd.daemon.resources.auto import KeyMaker, new_resource
from mcisd.daemon.resources.decide import users
from mcisd.model.alarms import AlarmRule, Policy
from mcisd.model.errors import ConflictError, InputError, InUseError, NotFoundError, StateError
from mcisd.model.ids import check_name, new_id
from mcisd.model.records import Connection, Mcis, Namespace, Resource, Vm
from mcisd.model.states import ResourceKind, ResourceState
from mcisd.store.base import MetadataStore, Transaction


@dataclass(slots=True)
class ResourceService:
    """``wake`` tells the reconciler which connections have work."""

    store: MetadataStore
    events: EventMaker
    make_key: KeyMaker
    wake: Callable[[Iterable[str]], None]

    async def create_namespace(self, name: str, description: str) -> Namespace:
        check_name(name, "name")
        async with self.store.transaction() as tx:
            if await tx.first(Namespace, name=name) is not None:
                raise ConflictError(f"namespace {name!r} exists", field="name", remedy="choose another name")
            return await tx.insert(Namespace(uid=new_id("ns"), name=name, description=description))

    async def update_namespace(self, name: str, description: str) -> Namespace:
        async with self.store.transaction() as tx:
            return await tx.update(replace(await need_namespace(tx, name), description=description))

    async def delete_namespace(self, name: str) -> None:
        """InUseError while it holds an MCIS or a resource that the user made; automatic ones follow by themselves."""
        async with self.store.transaction() as tx:
            row = await need_namespace(tx, name)
            if (mcis := await tx.first(Mcis, ns=name)) is not None:
                raise InUseError(
                    f"namespace {name} holds infra {mcis.name}", field="nameSpaceId", remedy="delete it first"
                )
            for resource in await tx.find(Resource, ns=name):
                if not resource.auto:
                    raise InUseError(
                        f"namespace {name} holds {resource.kind} {resource.name}",
                        field="nameSpaceId",
                        remedy="delete it first",
                    )
            for kind in (AlarmRule, Policy):
                for left in await tx.find(kind, ns=name):
                    await tx.delete(left)
            await tx.delete(row)

    async def create(
        self, ns: str, kind: ResourceKind, name: str, connection: str, body: dict[str, object]
    ) -> Resource:
        """A resource to be made at its cloud (or, for images and specs, to be found there)."""
        check_name(name, "name")
        async with self.store.transaction() as tx:
            await need_namespace(tx, ns)
            if await tx.first(Connection, name=connection) is None:
                raise InputError(
                    f"there is no connection {connection!r}", field="connConfigName", remedy="create it first"
                )
            if await tx.first(Resource, ns=ns, kind=kind.value, name=name) is not None:
                raise ConflictError(
                    f"namespace {ns} already has a {kind} named {name!r}", field="name", remedy="choose another name"
                )
            await _check(tx, ns, kind, connection, body)
            row = await tx.insert(new_resource(ns, kind, name, connection, body, self.make_key))
        self.wake([connection])
        return row

    async def delete(self, ns: str, kind: ResourceKind, name: str) -> None:
        """InUseError while a VM, or for a network a security group, needs it."""
        async with self.store.transaction() as tx:
            row = await need_resource(tx, ns, kind, name)
            used = users(row, await tx.find(Vm, connection=row.connection))
            if used:
                raise InUseError(
                    f"{kind} {name} is used by {len(used)} VM(s), such as {used[0].mcis_name}/{used[0].name}",
                    field="name",
                    remedy="terminate those VMs first",
                )
            if kind is ResourceKind.NETWORK:
                await _check_network_free(tx, row)
            if row.state is not ResourceState.DELETING:
                await tx.update(replace(row, state=ResourceState.DELETING, attempts=0, next_try_at=0.0))
        self.wake([row.connection])

    async def delete_image(self, ns: str, name: str) -> None:
        """Delete an image made from a VM at its cloud; none can be made yet, so StateError for all there are."""
        async with self.store.reading() as tx:
            await need_resource(tx, ns, ResourceKind.IMAGE, name)
        raise StateError(
            f"image {name} is a public image of its cloud and cannot be deleted there",
            field="name",
            remedy="unregister it instead",
        )


async def need_resource(tx: Transaction, ns: str, kind: ResourceKind, name: str) -> Resource:
    await need_namespace(tx, ns)
    found = await tx.first(Resource, ns=ns, kind=kind.value, name=name)
    if found is None:
        raise NotFoundError(f"there is no {kind} {name!r} in namespace {ns}", field="name", remedy="list them first")
    return found


async def _check_network_free(tx: Transaction, network: Resource) -> None:
    for group in await tx.find(Resource, ns=network.ns, kind=ResourceKind.SECURITY_GROUP.value):
        if group.body.get("network") == network.name and group.state is not ResourceState.DELETING:
            raise InUseError(
                f"network {network.name} holds security group {group.name}", field="name", remedy="delete that first"
            )


async def _check(tx: Transaction, ns: str, kind: ResourceKind, connection: str, body: dict[str, object]) -> None:
    if kind is ResourceKind.NETWORK:
        _check_network(str(body["cidr"]), [str(item) for item in _list(body["subnets"])])
    elif kind is ResourceKind.SECURITY_GROUP:
        await _check_group(tx, ns, connection, body)
    elif kind is ResourceKind.SSH_KEY and body.get("public_key"):
        try:
            fingerprint(str(body["public_key"]))
        except InputError as error:
            raise InputError(error.message, field="publicKey", remedy="give one line of a .pub file") from None


def _check_network(cidr: str, subnets: list[str]) -> None:
    outer = _network(cidr, "cidrBlock")
    for index, text in enumerate(subnets):
        inner = _network(text, f"subnets[{index}]")
        if not inner.subnet_of(outer):
            raise InputError(f"{text} is not inside {cidr}", field=f"subnets[{index}]", remedy=f"use a part of {cidr}")


def _network(text: str, field: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise InputError(f"{text!r}: {error}", field=field, remedy="use a range such as 10.0.0.0/16") from None


async def _check_group(tx: Transaction, ns: str, connection: str, body: dict[str, object]) -> None:
    name = str(body["network"])
    network = await tx.first(Resource, ns=ns, kind=ResourceKind.NETWORK.value, name=name)
    if network is None or network.connection != connection:
        raise InputError(
            f"there is no network {name!r} on connection {connection}", field="networkId", remedy="create it first"
        )
    for index, rule in enumerate(_list(body["rules"])):
        if isinstance(rule, dict):
            _network(str(rule["cidr"]), f"rules[{index}].cidr")
            if int(rule["from_port"]) > int(rule["to_port"]):
                raise InputError(
                    f"ports {rule['from_port']} to {rule['to_port']} are no range",
                    field=f"rules[{index}].fromPort",
                    remedy="give the smaller one first",
                )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
