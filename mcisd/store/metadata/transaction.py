"""One transaction on one connection: records in and out by their mapping."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_jsonable_python
from sqlalchemy.ext.asyncio import AsyncConnection

from mcisd.aio.clock import Clock
from mcisd.model.errors import ConflictError, McisdError, StoreError
from mcisd.model.events import Event
from mcisd.model.records import Record
from mcisd.store.base import R, Where
from mcisd.store.metadata.bulk import insert_events, insert_rows, stale, update_rows
from mcisd.store.metadata.errors import translated
from mcisd.store.metadata.mapping import Mapping, mapping, plain_value
from mcisd.store.metadata.signals import check_hint
from mcisd.store.metadata.statements import (
    Shape,
    Values,
    changes,
    count_rows,
    delete_rows,
    find_rows,
    insert_new,
    shape_of,
    update_row,
    values_of,
)
from mcisd.store.settle import settled


class SqlTransaction:
    """Implements the port's Transaction. ``emitted`` counts the events it wrote, ``hints`` has the names to tell.

    After a statement that the database refused nothing else is done, and ``failed`` says that it must not be committed:
    PostgreSQL would take such a commit for a rollback and say nothing.
    """

    def __init__(self, connection: AsyncConnection, clock: Clock, *, writable: bool, notice: str = "") -> None:
        self.emitted = 0
        self.failed = False
        self.hints: dict[str, None] = {}
        self._connection = connection
        self._dialect = connection.dialect.name
        self._notice = notice
        self._clock = clock
        self._writable = writable

    async def get(self, kind: type[R], uid: str, /) -> R | None:
        return await self.first(kind, uid=uid)

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
        """Rows that fit, ordered by ``order`` and then by uid; TypeError for a name that is no column."""
        return await self._find(mapping(kind), where, order, descending, limit)

    async def first(self, kind: type[R], /, **where: Where) -> R | None:
        found = await self._find(mapping(kind), where, "created_at", False, 1)
        return found[0] if found else None

    async def count(self, kind: type[R], /, **where: Where) -> int:
        source = mapping(kind)
        query = count_rows(source.table, self._dialect, _shape(source, where))
        return int((await self._run(f"count {kind.table}", query, values_of(where))).scalar_one())

    async def insert(self, record: R) -> R:
        """The row with version 1; ConflictError, naming what is taken, leaves the transaction usable."""
        source = self._writing(record)
        new = replace(record, version=1, created_at=record.created_at or self._clock.now())
        query = insert_new(source.table, self._dialect)
        done = await self._run(f"insert into {record.table}", query, source.to_row(new))
        if done.rowcount != 1:
            raise await self._taken(source, new)
        return new

    async def update(self, record: R) -> R:
        source = self._writing(record)
        new = replace(record, version=record.version + 1)
        query = update_row(source.table)
        if (await self._run(f"update {record.table}", query, changes(source.to_row(new)))).rowcount != 1:
            raise stale(record.table, record.uid)
        return new

    async def insert_all(self, records: Sequence[R]) -> list[R]:
        """All of them with version 1; ConflictError, naming what is taken, leaves none of them."""
        if not records:
            return []
        source = self._writing(records[0])
        now = self._clock.now()
        new = [replace(record, version=1, created_at=record.created_at or now) for record in records]
        rows = [source.to_row(record) for record in new]
        taken = await insert_rows(self._run, source.table, self._dialect, rows)
        if taken is not None:
            raise await self._taken(source, next(record for record in new if record.uid == taken))
        return new

    async def update_all(self, records: Sequence[R]) -> list[R]:
        """All with the next version; StaleError changes none of them."""
        if not records:
            return []
        source = self._writing(records[0])
        new = [replace(record, version=record.version + 1) for record in records]
        await update_rows(self._run, source.table, self._dialect, [source.to_row(record) for record in new])
        return new

    async def delete(self, record: Record) -> None:
        table = self._writing(record).table
        await self._run(f"delete a {record.table}", delete_rows(table, self._dialect), {"uid": [record.uid]})

    async def emit(self, event: Event) -> Event:
        return (await self.emit_all([event]))[0]

    async def emit_all(self, events: Sequence[Event]) -> list[Event]:
        self._check_writable()
        if not events:
            return []
        rows = [
            {"id": event.id, "type": event.type, "subject": event.subject, "time": event.time}
            | {"data": to_jsonable_python(event.data)}
            for event in events
        ]
        given = await insert_events(self._run, self._dialect, rows, self._notice)
        self.emitted += len(given)
        return [replace(event, sequence=sequence) for event, sequence in zip(events, given, strict=True)]

    def hint(self, *names: str) -> None:
        self._check_writable()
        for name in names:
            check_hint(name)
            self.hints[name] = None

    async def _find(
        self, source: Mapping[R], where: dict[str, Where], order: str, descending: bool, limit: int | None
    ) -> list[R]:
        order = source.column(order).name
        query = find_rows(source.table, self._dialect, _shape(source, where), order, descending, limit is not None)
        values = values_of(where) | ({"the_limit": limit} if limit is not None else {})
        rows = (await self._run(f"read {source.table.name}", query, values)).mappings().all()
        return [source.to_record(row) for row in rows]

    def _writing(self, record: R) -> Mapping[R]:
        self._check_writable()
        return mapping(type(record))

    def _check_writable(self) -> None:
        if not self._writable:
            raise TypeError("reading() does not write; use transaction()")

    async def _taken(self, source: Mapping[R], record: R) -> ConflictError:
        """Say which of the combinations that must be unique is there already, or twice among those to be written."""
        table = source.table
        for names in (("uid",), *record.unique):
            values: dict[str, Any] = {name: plain_value(getattr(record, name)) for name in names}
            query = count_rows(table, self._dialect, shape_of(values))
            if (await self._run(f"read {record.table}", query, values_of(values))).scalar_one():
                what = " ".join(f"{name} {value!r}" for name, value in values.items())
                return ConflictError(f"{record.table} {what} exists already", field=names[-1], remedy="take another")
        return ConflictError(f"{record.table} {record.uid} is given twice", remedy="give each once")

    async def _run(self, doing: str, query: sa.Executable, values: Values | list[Values]) -> sa.CursorResult[Any]:
        if self.failed:
            raise StoreError(f"could not {doing}: a statement of this transaction has failed before")
        try:
            return await execute(self._connection, doing, query, values)
        except McisdError:
            self.failed = self._writable
            raise


def _shape(source: Mapping[Any], where: dict[str, Where]) -> Shape:
    """TypeError for a name that is no column to find by."""
    for name in where:
        source.column(name)
    return shape_of(where)


async def execute(
    connection: AsyncConnection, doing: str, query: sa.Executable, values: Values | list[Values] | None = None
) -> sa.CursorResult[Any]:
    """Run one statement to its end, also if the caller is cancelled meanwhile; errors say "could not ``doing``: …"."""
    with translated(doing):
        return await settled(connection.execute(query, values))
