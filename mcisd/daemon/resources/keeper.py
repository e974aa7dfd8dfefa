"""Bringing the resources of one connection to their wanted state: decide, act, apply. Called by its worker."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis.outcome import MAX_ATTEMPTS, MAX_DELAY
from mcisd.daemon.resources.actions import ResourceActions
from mcisd.daemon.resources.decide import ResourceStep, decide_resource, users
from mcisd.model.errors import CloudError, McisdError
from mcisd.model.records import Resource, Vm
from mcisd.model.states import ResourceKind, ResourceState
from mcisd.store.base import MetadataStore, Transaction

log = logging.getLogger(__name__)
CLOUDLESS = (ResourceKind.IMAGE, ResourceKind.SPEC)


@dataclass(slots=True)
class ResourceKeeper:
    """Makes and removes resources; ``collect`` finds automatic ones that nobody uses any more."""

    store: MetadataStore
    events: EventMaker
    actions: ResourceActions
    now: Callable[[], float]

    def step(self, resource: Resource, others: list[Resource]) -> ResourceStep:
        return decide_resource(resource, others, self.now())

    async def do(self, resource: Resource, step: ResourceStep, others: list[Resource]) -> None:
        """Carry out one step and write what came of it."""
        try:
            if step is ResourceStep.FAIL:
                await self._apply(resource, _failed(resource, "dependency", "its network is not there"))
            elif step is ResourceStep.MAKE:
                await self._make(resource, others)
            else:
                await self._remove(resource)
        except McisdError as error:
            log.info("%s %s/%s: %s", resource.kind, resource.ns, resource.name, error.message)
            await self._apply(resource, self._tripped(resource, error))

    async def collect(self, connection: str) -> int:
        """Mark the automatic resources of a connection that no VM uses for removal; how many."""
        async with self.store.reading() as tx:
            if not await _unused(tx, connection):
                return 0
        async with self.store.transaction() as tx:
            unused = await _unused(tx, connection)
            for resource in unused:
                await tx.update(replace(resource, state=ResourceState.DELETING, attempts=0, next_try_at=0.0))
        return len(unused)

    async def _make(self, resource: Resource, others: list[Resource]) -> None:
        network = next(
            (o.cloud_id for o in others if o.kind is ResourceKind.NETWORK and o.name == resource.body.get("network")),
            "",
        )
        cloud_id, info = await self.actions.make(resource, network)
        ready = replace(
            resource, state=ResourceState.READY, cloud_id=cloud_id, info=info, attempts=0, error="", error_code=""
        )
        await self._apply(resource, ready)

    async def _remove(self, resource: Resource) -> None:
        if not resource.cloud_id and resource.kind not in CLOUDLESS:
            # It may have been made by a call whose answer was lost: the same token tells its id without doubling it.
            network = await self._network_of(resource)
            if network is not None:
                resource = await self._found(resource, network)
        if resource.cloud_id:
            await self.actions.remove(resource)
        async with self.store.transaction() as tx:
            if await tx.get(Resource, resource.uid) is None:
                return  # another pass was faster, and has told it
            await tx.delete(resource)
            await tx.emit(
                self.events.make(
                    "resource.deleted",
                    f"ns/{resource.ns}",
                    f"{resource.kind} {resource.name} was deleted",
                    name=resource.name,
                )
            )

    async def _found(self, resource: Resource, network: str) -> Resource:
        """The resource with its cloud id; unchanged if the cloud refuses to make it, so cannot have made it before."""
        try:
            cloud_id, info = await self.actions.make(resource, network)
        except CloudError as error:
            if error.retriable:
                raise
            return resource
        return replace(resource, cloud_id=cloud_id, info=info)

    async def _network_of(self, resource: Resource) -> str | None:
        """The network a security group would be made in; None if it is gone (then so is the group). "" for others."""
        if resource.kind is not ResourceKind.SECURITY_GROUP:
            return ""
        async with self.store.reading() as tx:
            name = str(resource.body.get("network"))
            network = await tx.first(Resource, ns=resource.ns, kind=ResourceKind.NETWORK.value, name=name)
        return network.cloud_id if network is not None and network.cloud_id else None

    async def _apply(self, before: Resource, after: Resource) -> None:
        """Write ``after`` unless the wish changed meanwhile; then only what the cloud told is kept."""
        async with self.store.transaction() as tx:
            current = await tx.get(Resource, before.uid)
            if current is None:
                return
            if current.state is not before.state:
                await tx.update(replace(current, cloud_id=after.cloud_id or current.cloud_id, info=after.info))
                return
            await tx.update(replace(after, version=current.version))
            if after.state in (ResourceState.READY, ResourceState.FAILED):
                text = f"{after.kind} {after.name} is {after.state}" + (f": {after.error}" if after.error else "")
                kind = f"resource.{after.state.lower()}"
                await tx.emit(self.events.make(kind, f"ns/{after.ns}", text, name=after.name, kind=after.kind.value))

    def _tripped(self, resource: Resource, error: McisdError) -> Resource:
        attempts = resource.attempts + 1
        removing = resource.state is ResourceState.DELETING
        if not removing and (not error.retriable or attempts >= MAX_ATTEMPTS):
            return _failed(replace(resource, attempts=attempts), error.code, error.message)
        delay = min(MAX_DELAY, 2.0 ** min(attempts, 10))
        return replace(
            resource, attempts=attempts, next_try_at=self.now() + delay, error=error.message, error_code=error.code
        )


async def _unused(tx: Transaction, connection: str) -> list[Resource]:
    vms = await tx.find(Vm, connection=connection)
    resources = await tx.find(Resource, connection=connection)
    return [
        resource
        for resource in resources
        if resource.auto and resource.state in (ResourceState.READY, ResourceState.FAILED) and not users(resource, vms)
    ]


def _failed(resource: Resource, code: str, reason: str) -> Resource:
    return replace(resource, state=ResourceState.FAILED, error_code=code, error=reason, next_try_at=0.0)
