"""A cloud that keeps what it is told, behind a real store. In: objects there. Out: an Inventory to look there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcisd.aio.clock import ManualClock
from mcisd.daemon.events import EventMaker
from mcisd.daemon.inventory import Inventory
from mcisd.model.cloud import OwnedInfo
from mcisd.model.errors import CloudConflictError, McisdError
from mcisd.model.events import Event
from mcisd.model.records import Resource, Vm
from mcisd.model.states import ResourceKind, ResourceState, VmState
from mcisd.store.metadata.sql import SqlStore, open_store


class Shelf:
    """The inventory part of a cloud's connection, and of ``Clouds`` for all names. ``needs``: id → what goes first."""

    def __init__(self, *items: OwnedInfo) -> None:
        self.items = {item.id: item for item in items}
        self.needs: dict[str, str] = {}
        self.refusals: dict[str, McisdError] = {}
        self.removed: list[str] = []
        self.error: McisdError | None = None

    async def handler(self, name: str, protocol: object) -> Any:
        if self.error is not None:
            raise self.error
        return self

    async def list_owned(self) -> list[OwnedInfo]:
        return list(self.items.values())

    async def remove_owned(self, item: OwnedInfo) -> None:
        if self.needs.get(item.id) in self.items:
            raise CloudConflictError(f"{item.id} is needed by {self.needs[item.id]}")
        if item.id in self.refusals:
            raise self.refusals[item.id]
        self.removed.append(item.id)
        self.items.pop(item.id, None)


class World:
    """A store, a shelf, a clock that stands still."""

    def __init__(self, store: SqlStore, shelf: Shelf, clock: ManualClock) -> None:
        self.store, self.shelf, self.clock = store, shelf, clock
        self.inventory = Inventory(store, shelf, EventMaker(clock), clock)  # type: ignore[arg-type] # the part it uses

    async def vm(self, uid: str, state: VmState = VmState.RUNNING, cloud_id: str = "") -> None:
        async with self.store.transaction() as tx:
            await tx.insert(
                Vm(uid=uid, mcis="m", mcis_name="web", ns="n", name=uid, connection="c", state=state, cloud_id=cloud_id)
            )

    async def network(self, uid: str, cloud_id: str) -> None:
        async with self.store.transaction() as tx:
            await tx.insert(
                Resource(
                    uid=uid, ns="n", kind=ResourceKind.NETWORK, name=uid, connection="c", state=ResourceState.READY,
                    cloud_id=cloud_id,
                )
            )  # fmt: skip

    async def told(self, kind: str) -> list[Event]:
        return [event for event in await self.store.events_after(0, 1000) if event.type == kind]


@asynccontextmanager
async def world(home: Path, *items: OwnedInfo) -> AsyncIterator[World]:
    clock = ManualClock()
    store = await open_store(f"sqlite:///{home}/metadata.db", clock)
    try:
        yield World(store, Shelf(*items), clock)
    finally:
        await store.close()
