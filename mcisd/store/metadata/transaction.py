"""One transaction on one connection: records in and out by their mapping."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_jsonable_python
from sqlalchemy.ext.asyncio import AsyncConnection

from mcisd.aio.clock import Clock
from mcisd.model.errors import ConflictError, StaleError
from mcisd.model.events import Event
from mcisd.model.records import Record
from mcisd.store.base import R, Where
from mcisd.store.metadata.errors import translated
from mcisd.store.metadata.mapping import Mapping, events, insert_new, mapping, plain_value
from mcisd.store.settle import settled


class SqlTransaction:
    """Implements the port's Transaction. ``emitted`` counts the events it wrote."""

    def __init__(self, connection: AsyncConnection, clock: Clock, *, writable: bool) -> None:
        self.emitted = 0
        self._connection = connection
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
        query = sa.select(sa.func.count()).select_from(source.table).where(*_conditions(source, where))
        with translated(f"count {kind.table}"):
            return int((await execute(self._connection, query)).scalar_one())

    async def insert(self, record: R) -> R:
        """The row with version 1; ConflictError, naming what is taken, leaves the transaction usable."""
        source = self._writing(record)
        new = replace(record, version=1, created_at=record.created_at or self._clock.now())
        query = insert_new(source.table, self._connection.dialect.name).values(source.to_row(new))
        with translated(f"insert into {record.table}"):
            done = await execute(self._connection, query)
        if done.rowcount != 1:
            raise await self._taken(source, new)
        return new

    async def update(self, record: R) -> R:
        source = self._writing(record)
        new = replace(record, version=record.version + 1)
        table = source.table
        here = (table.c.uid == record.uid, table.c.version == record.version)
        with translated(f"update {record.table}"):
            done = await execute(self._connection, sa.update(table).where(*here).values(source.to_row(new)))
        if done.rowcount != 1:
            raise StaleError(f"{record.table} {record.uid} was changed or deleted meanwhile", remedy="load it again")
        return new

    async def delete(self, record: Record) -> None:
        table = self._writing(record).table
        with translated(f"delete a {record.table}"):
            await execute(self._connection, sa.delete(table).where(table.c.uid == record.uid))

    async def emit(self, event: Event) -> Event:
        self._check_writable()
        row = {"id": event.id, "type": event.type, "subject": event.subject, "time": event.time}
        query = sa.insert(events).values(row | {"data": to_jsonable_python(event.data)}).returning(events.c.sequence)
        with translated("write an event"):
            sequence = int((await execute(self._connection, query)).scalar_one())
        self.emitted += 1
        return replace(event, sequence=sequence)

    async def _find(
        self, source: Mapping[R], where: dict[str, Where], order: str, descending: bool, limit: int | None
    ) -> list[R]:
        keys = [source.column(order), source.table.c.uid]
        query = sa.select(source.table).where(*_conditions(source, where)).limit(limit)
        query = query.order_by(*(key.desc() if descending else key for key in keys))
        with translated(f"read {source.table.name}"):
            rows = (await execute(self._connection, query)).mappings().all()
        return [source.to_record(row) for row in rows]

    def _writing(self, record: R) -> Mapping[R]:
        self._check_writable()
        return mapping(type(record))

    def _check_writable(self) -> None:
        if not self._writable:
            raise TypeError("reading() does not write; use transaction()")

    async def _taken(self, source: Mapping[R], record: R) -> ConflictError:
        """Say which of the combinations that must be unique is there already."""
        table = source.table
        for names in (("uid",), *record.unique):
            values = {name: plain_value(getattr(record, name)) for name in names}
            query = sa.select(table.c.uid).where(*(table.c[name] == value for name, value in values.items()))
            with translated(f"read {record.table}"):
                found = (await execute(self._connection, query.limit(1))).first()
            if found is not None:
                what = " ".join(f"{name} {value!r}" for name, value in values.items())
                return ConflictError(f"{record.table} {what} exists already", field=names[-1], remedy="take another")
        return ConflictError(f"{record.table} {record.uid} is not unique")


async def execute(
    connection: AsyncConnection, query: sa.Executable, rows: list[dict[str, Any]] | None = None
) -> sa.CursorResult[Any]:
    """Run one statement to its end, also if the caller is cancelled meanwhile."""
    return await settled(connection.execute(query, rows))


def _conditions(source: Mapping[Any], where: dict[str, Where]) -> list[sa.ColumnElement[bool]]:
    return [_condition(source.column(name), value) for name, value in where.items()]


def _condition(column: sa.Column[Any], value: Where) -> sa.ColumnElement[bool]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return column.in_([plain_value(item) for item in value])
    if value is None:
        return column.is_(None)
    return column == plain_value(value)
