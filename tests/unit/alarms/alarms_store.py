"""A metadata store in memory, emulated for property tests of many short runs: serial transactions, all or nothing.

It has what the alarms use of the port. Tests of what a database does with them run on the real one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from mcisd.alarms.ports import Transaction
from mcisd.model.errors import ConflictError, StaleError
from mcisd.model.events import Event
from mcisd.model.records import Record

R = TypeVar("R", bound=Record)
Rows = dict[type[Record], dict[str, Record]]


class MemoryTransaction:
    def __init__(self, rows: Rows) -> None:
        self.rows = {kind: dict(table) for kind, table in rows.items()}
        self.events: list[Event] = []

    def _table(self, kind: type[R]) -> dict[str, R]:
        return self.rows.setdefault(kind, {})  # type: ignore[return-value]  # a table holds its kind only

    async def get(self, kind: type[R], uid: str, /) -> R | None:
        return self._table(kind).get(uid)

    async def find(
        self,
        kind: type[R],
        /,
        *,
        order: str = "created_at",
        descending: bool = False,
        limit: int | None = None,
        **where: str | Sequence[str],
    ) -> list[R]:
        found = [row for row in self._table(kind).values() if _fits(row, where)]
        found.sort(key=lambda row: (getattr(row, order), row.uid), reverse=descending)
        return found[:limit]

    async def first(self, kind: type[R], /, **where: str) -> R | None:
        return next((row for row in self._table(kind).values() if _fits(row, where)), None)

    async def insert_all(self, records: Sequence[R]) -> list[R]:
        new = [replace(record, version=1, created_at=record.created_at or 1.0) for record in records]
        for record in new:
            if record.uid in self._table(type(record)):
                raise ConflictError(f"{record.uid} is there")
            self._table(type(record))[record.uid] = record
        return new

    async def update_all(self, records: Sequence[R]) -> list[R]:
        for record in records:
            if self._table(type(record))[record.uid].version != record.version:
                raise StaleError(record.uid)
            self._table(type(record))[record.uid] = replace(record, version=record.version + 1)
        return list(records)

    async def update(self, record: R) -> R:
        return (await self.update_all([record]))[0]

    async def delete(self, record: Record) -> None:
        self._table(type(record)).pop(record.uid, None)

    async def emit_all(self, events: Sequence[Event]) -> list[Event]:
        self.events += events
        return list(events)

    async def emit(self, event: Event) -> Event:
        return (await self.emit_all([event]))[0]


class MemoryStore:
    """``commits`` counts the transactions that wrote."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.events: list[Event] = []
        self.commits = 0
        self._turn = asyncio.Lock()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reading()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Transaction]:
        yield MemoryTransaction(self.rows)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._turn:
            tx = MemoryTransaction(self.rows)
            yield tx
            self.rows = tx.rows
            self.events += tx.events
            self.commits += 1


def _fits(row: Record, where: Mapping[str, str | Sequence[str]]) -> bool:
    return all(
        getattr(row, name) == value if isinstance(value, str) else getattr(row, name) in value
        for name, value in where.items()
    )
