"""A fuse that stops a control core dead at its n-th point, and the store and cloud that have such points.

In: a core's calls. Out: the same calls, until the fuse blows: then a copy of the files is taken as the kill left them
and nothing of that core goes on. A point lies before and after everything that can change the store or the cloud.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from mcisd.drivers.mock.cloud import MockCloud, Region
from mcisd.model.events import Event
from mcisd.model.records import Call, Record
from mcisd.store.base import MetadataStore, R, Transaction, Where
from mcisd.store.metadata.sql import SqlStore

T = TypeVar("T")


class Fuse:
    """Counts points; blows at number ``at`` (0: never) and calls ``on_blow`` in that moment."""

    def __init__(self, at: int = 0, on_blow: Callable[[], None] = lambda: None) -> None:
        self.count = 0
        self.blown = asyncio.Event()
        self.where = ""
        self.labels: Counter[str] = Counter()
        self.armed = False
        self._at = at
        self._on_blow = on_blow

    async def point(self, label: str) -> None:
        """Go on, or never: after the fuse has blown whoever comes here hangs until its task is thrown away."""
        if self.armed and not self.blown.is_set():
            self.count += 1
            self.labels[label] += 1
            if self.count == self._at:
                self.where = label
                self._on_blow()
                self.blown.set()
        if self.blown.is_set():
            await asyncio.get_running_loop().create_future()


class FusedCloud(MockCloud):
    """A scripted cloud whose calls pass a fuse: before they are sent, and before the answer is seen."""

    fuse: Fuse | None = None

    async def call(self, api: str, region: Region, effect: Callable[[float], T]) -> T:
        fuse = self.fuse  # an old core keeps its own fuse
        if fuse is None:
            return await super().call(api, region, effect)
        await fuse.point(f"{api} before it is sent")
        result = await super().call(api, region, effect)
        await fuse.point(f"{api} before its answer is seen")
        return result


class FusedStore:
    """A store whose transactions pass a fuse: before they begin, before each statement that writes, before and after
    the commit. Reading changes nothing, so it has no points of its own."""

    def __init__(self, store: SqlStore, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        await self._fuse.point("begin")
        async with self._store.transaction() as tx:
            yield FusedTransaction(tx, self._fuse)
            await self._fuse.point("commit, before")
        await self._fuse.point("commit, after")

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Transaction]:
        async with self._store.reading() as tx:
            yield tx

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reading()

    def on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._store.on_commit(callback)

    def on_hint(self, callback: Callable[[str], None]) -> Callable[[], None]:
        return self._store.on_hint(callback)

    async def hint(self, *names: str) -> None:
        await self._store.hint(*names)

    async def check(self) -> str:
        return await self._store.check()

    async def events_after(self, sequence: int, limit: int) -> list[Event]:
        return await self._store.events_after(sequence, limit)

    async def last_sequence(self) -> int:
        return await self._store.last_sequence()

    async def add_calls(self, calls: Sequence[Call]) -> None:
        await self._store.add_calls(calls)

    async def prune(self, events_before: float, calls_before: float) -> int:
        return await self._store.prune(events_before, calls_before)

    async def close(self) -> None:
        await self._store.close()


class FusedTransaction:
    """A transaction with a point before every statement that writes."""

    def __init__(self, tx: Transaction, fuse: Fuse) -> None:
        self._tx = tx
        self._fuse = fuse

    async def get(self, kind: type[R], uid: str, /) -> R | None:
        return await self._tx.get(kind, uid)

    async def find(
        self,
        kind: type[R],
        /,
        *,
        order: str = "created_at",
        descending: bool = False,
        limit: int | None = None,
        **where: Where,
    ) -> list[R]:
        return await self._tx.find(kind, order=order, descending=descending, limit=limit, **where)

    async def first(self, kind: type[R], /, **where: Where) -> R | None:
        return await self._tx.first(kind, **where)

    async def count(self, kind: type[R], /, **where: Where) -> int:
        return await self._tx.count(kind, **where)

    async def insert(self, record: R) -> R:
        await self._fuse.point(f"insert {record.table}")
        return await self._tx.insert(record)

    async def update(self, record: R) -> R:
        await self._fuse.point(f"update {record.table}")
        return await self._tx.update(record)

    async def insert_all(self, records: Sequence[R]) -> list[R]:
        await self._fuse.point(f"insert {len(records)} at once")
        return await self._tx.insert_all(records)

    async def update_all(self, records: Sequence[R]) -> list[R]:
        await self._fuse.point(f"update {len(records)} at once")
        return await self._tx.update_all(records)

    async def delete(self, record: Record) -> None:
        await self._fuse.point(f"delete {record.table}")
        await self._tx.delete(record)

    async def emit(self, event: Event) -> Event:
        await self._fuse.point(f"emit {event.type}")
        return await self._tx.emit(event)

    async def emit_all(self, events: Sequence[Event]) -> list[Event]:
        await self._fuse.point(f"emit {len(events)} at once")
        return await self._tx.emit_all(events)

    def hint(self, *names: str) -> None:
        self._tx.hint(*names)


def fused(fuse: Fuse) -> Callable[[SqlStore], MetadataStore]:
    """What stands between a core and its store."""
    return lambda store: FusedStore(store, fuse)
