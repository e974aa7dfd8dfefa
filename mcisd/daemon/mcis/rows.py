"""From requests to rows: the VMs of a group, built inside the caller's transaction. Also look-ups that must succeed."""

from collections.abc import Callable
from typing import Protocol

from mcisd.daemon.mcis.requests import VmGroup
from mcisd.daemon.resources.auto import KeyMaker, Needs
from mcisd.model.errors import ConflictError, InputError, NotFoundError
from mcisd.model.ids import check_name, new_id
from mcisd.model.records import Connection, Mcis, Namespace, Region, Vm
from mcisd.model.states import ResourceKind
from mcisd.store.base import Transaction


class HostKeyMaker(Protocol):
    """Makes the SSH host key of a VM: ``(public line, sealed private half)``."""

    def __call__(self, vm_uid: str, name: str) -> tuple[str, str]: ...


async def need_namespace(tx: Transaction, ns: str) -> Namespace:
    found = await tx.first(Namespace, name=ns)
    if found is None:
        raise NotFoundError(
            f"there is no namespace {ns!r}", field="nameSpaceId", remedy="create it with POST /api/v1/ns"
        )
    return found


async def need_mcis(tx: Transaction, ns: str, name: str) -> Mcis:
    await need_namespace(tx, ns)
    found = await tx.first(Mcis, ns=ns, name=name)
    if found is None:
        raise NotFoundError(
            f"there is no infra {name!r} in namespace {ns}", field="infraSvcId", remedy="list them with `mcis list`"
        )
    return found


async def need_vm(tx: Transaction, mcis: Mcis, name: str) -> Vm:
    found = await tx.first(Vm, mcis=mcis.uid, name=name)
    if found is None:
        raise NotFoundError(f"infra {mcis.name} has no VM {name!r}", field="vmId", remedy="see `mcis status`")
    return found


class VmRows:
    """Makes VM rows with all they need."""

    def __init__(self, make_key: KeyMaker, make_host_key: HostKeyMaker, now: Callable[[], float]) -> None:
        self._make_key = make_key
        self._make_host_key = make_host_key
        self._now = now

    async def insert(self, tx: Transaction, mcis: Mcis, groups: tuple[VmGroup, ...], operation: str) -> list[Vm]:
        """Insert the VMs of all groups; InputError or ConflictError name the field at fault."""
        needs = Needs(tx, mcis.ns, self._make_key)
        taken = {vm.name for vm in await tx.find(Vm, mcis=mcis.uid)}
        rows = []
        for index, group in enumerate(groups):
            at = f"vmRequestList[{index}]"
            check_name(group.name, f"{at}.name")
            connection = await tx.first(Connection, name=group.connection)
            if connection is None:
                raise InputError(
                    f"there is no connection {group.connection!r}",
                    field=f"{at}.connConfigName",
                    remedy="create it with POST /api/v1/connections, or see `mcis connections`",
                )
            resources = await needs.of(group, connection, at)
            region = await tx.first(Region, name=connection.region)
            for name in _names(group, taken, at):
                uid = new_id("vm")
                host_key, sealed = self._make_host_key(uid, name)
                row = Vm(
                    uid=uid,
                    created_at=self._now(),
                    mcis=mcis.uid,
                    mcis_name=mcis.name,
                    ns=mcis.ns,
                    name=name,
                    connection=connection.name,
                    provider=region.info.get("Provider", connection.provider) if region else connection.provider,
                    region=region.region if region else "",
                    zone=group.zone or (region.zone if region else ""),
                    location=region.location if region else None,
                    image=resources[ResourceKind.IMAGE].uid,
                    spec=resources[ResourceKind.SPEC].uid,
                    network=resources[ResourceKind.NETWORK].uid,
                    security_groups=(resources[ResourceKind.SECURITY_GROUP].uid,),
                    ssh_key=resources[ResourceKind.SSH_KEY].uid,
                    labels=group.labels,
                    operation=operation,
                    host_key=host_key,
                    sealed_host_key=sealed,
                )
                rows.append(await tx.insert(row))
        return rows

    def again(self, vm: Vm, operation: str, name: str) -> Vm:
        """A fresh row with the same wishes as ``vm``, its own uid (so its own token) and host key.

        The first try of it is made at once, later ones after growing delays.
        """
        uid = new_id("vm")
        host_key, sealed = self._make_host_key(uid, name)
        return Vm(
            uid=uid,
            created_at=self._now(),
            mcis=vm.mcis,
            mcis_name=vm.mcis_name,
            ns=vm.ns,
            name=name,
            connection=vm.connection,
            provider=vm.provider,
            region=vm.region,
            zone=vm.zone,
            location=vm.location,
            image=vm.image,
            spec=vm.spec,
            network=vm.network,
            security_groups=vm.security_groups,
            ssh_key=vm.ssh_key,
            labels=vm.labels,
            operation=operation,
            retries=vm.retries + 1,
            next_try_at=self._now() + 2.0**vm.retries if vm.retries else 0.0,
            host_key=host_key,
            sealed_host_key=sealed,
        )


def _names(group: VmGroup, taken: set[str], at: str) -> list[str]:
    """``group-1`` …: the next free numbers. A group name already used continues its numbering."""
    if len(group.name) > 56:
        raise InputError(
            f"group name {group.name!r} is too long", field=f"{at}.name", remedy="use at most 56 characters"
        )
    names: list[str] = []
    number = 1
    while len(names) < group.count:
        name = f"{group.name}-{number}"
        if name not in taken:
            names.append(name)
            taken.add(name)
        number += 1
        if number > 100_000:
            raise ConflictError(
                f"group {group.name!r} has no free number", field=f"{at}.name", remedy="use another name"
            )
    return names
