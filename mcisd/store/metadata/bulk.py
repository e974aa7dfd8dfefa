"""Many rows of one kind in, a few statements out. Used by the transaction, on its connection."""

from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from mcisd.model.errors import StaleError
from mcisd.store.metadata.statements import (
    INSERT_EVENTS,
    POSTGRES,
    Values,
    delete_rows,
    insert_event,
    insert_many,
    newest_event,
    together,
    update_many,
    versions,
)

CHUNK = 1000
"""Rows in one statement at most; SQLAlchemy makes fewer of them where an engine takes fewer parameters."""


class Run(Protocol):
    """Runs one statement, with many rows if a list is given; ``doing`` is for the error."""

    def __call__(self, doing: str, query: sa.Executable, values: Values | list[Values], /) -> Awaitable[Any]: ...


async def insert_rows(run: Run, table: sa.Table, dialect: str, rows: list[Values]) -> str | None:
    """Insert all; or none, and the answer is the uid of the first that is not unique. None if all went well."""
    query = insert_many(table, dialect)
    there: list[str] = []
    for chunk in chunks(rows):
        there += (await run(f"insert into {table.name}", query, together(chunk, dialect))).scalars().all()
    if len(there) == len(rows):
        return None
    for some in chunks(there):
        await run(f"take back {table.name}", delete_rows(table, dialect), {"uid": some})
    left = Counter(there)
    for row in rows:
        if not left[row["uid"]]:
            return str(row["uid"])
        left[row["uid"]] -= 1
    raise AssertionError("fewer rows came back than went in, and none is missing")


async def update_rows(run: Run, table: sa.Table, dialect: str, rows: list[Values]) -> None:
    """Replace all rows, each at one version before that in its row; StaleError, before any change, if one is not.

    What is read first stays true until the update: writing transactions run one after the other.
    """
    found: dict[str, int] = {}
    for chunk in chunks(rows):
        uids = {"uid": [row["uid"] for row in chunk]}
        found |= dict((await run(f"read {table.name}", versions(table, dialect), uids)).all())
    for row in rows:
        if found.pop(row["uid"], None) != row["version"] - 1:
            raise stale(table.name, row["uid"])
    for chunk in chunks(rows):
        await run(f"update {table.name}", update_many(table, dialect), together(chunk, dialect))


async def insert_events(run: Run, dialect: str, rows: list[Values], notice: str) -> list[int]:
    """Append to the outbox, in this order; the sequences given. Other processes get ``notice`` with the commit."""
    text = {"text": notice} if dialect == POSTGRES else {}
    if len(rows) == 1:
        return [int((await run("write an event", insert_event(dialect), rows[0] | text)).scalar_one())]
    for chunk in chunks(rows):
        await run("write events", INSERT_EVENTS, chunk)
    # One transaction writes at a time, and what it writes is numbered in one row.
    last = int((await run("read events", newest_event(dialect), text)).scalars().one())
    return list(range(last - len(rows) + 1, last + 1))


def stale(table: str, uid: str) -> StaleError:
    return StaleError(f"{table} {uid} was changed or deleted meanwhile", remedy="load it again")


def chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), CHUNK):
        yield list(items[start : start + CHUNK])
