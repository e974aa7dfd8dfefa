"""The pure next step of one resource."""

from collections.abc import Iterable
from enum import StrEnum

from mcisd.model.records import Resource, Vm
from mcisd.model.states import ResourceKind, ResourceState, VmState


class ResourceStep(StrEnum):
    NOTHING = "nothing"
    WAIT = "wait"
    MAKE = "make"
    REMOVE = "remove"
    FAIL = "fail"


def decide_resource(resource: Resource, others: Iterable[Resource], now: float) -> ResourceStep:
    """What to do with ``resource``; ``others`` are the resources of the same connection."""
    if resource.state not in (ResourceState.CREATING, ResourceState.DELETING):
        return ResourceStep.NOTHING
    if resource.next_try_at > now:
        return ResourceStep.WAIT
    if resource.state is ResourceState.CREATING:
        return _make(resource, others)
    if resource.kind is ResourceKind.NETWORK and any(_inside(other, resource) for other in others):
        return ResourceStep.WAIT
    return ResourceStep.REMOVE


def _make(resource: Resource, others: Iterable[Resource]) -> ResourceStep:
    if resource.kind is not ResourceKind.SECURITY_GROUP:
        return ResourceStep.MAKE
    for other in others:
        if other.kind is ResourceKind.NETWORK and _inside(resource, other):
            match other.state:
                case ResourceState.READY:
                    return ResourceStep.MAKE
                case ResourceState.CREATING:
                    return ResourceStep.WAIT
                case _:
                    return ResourceStep.FAIL
    return ResourceStep.FAIL


def _inside(group: Resource, network: Resource) -> bool:
    """Is ``group`` a security group of ``network``?"""
    return (
        group.kind is ResourceKind.SECURITY_GROUP
        and group.ns == network.ns
        and group.body.get("network") == network.name
    )


def users(resource: Resource, vms: Iterable[Vm]) -> list[Vm]:
    """The VMs that need ``resource`` (terminated ones need nothing any more)."""
    return [vm for vm in vms if vm.state is not VmState.TERMINATED and resource.uid in needs_of(vm)]


def needs_of(vm: Vm) -> tuple[str, ...]:
    """Uids of the resources a VM is made with."""
    return (vm.image, vm.spec, vm.network, *vm.security_groups, vm.ssh_key)
