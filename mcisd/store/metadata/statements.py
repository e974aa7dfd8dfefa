"""Tables and names of columns in, SQL statements with named parameters out; each is built once and then used again.

Building a statement takes longer than running it does, and all of that would pass while the write lock is held.
"""

from collections.abc import Mapping as Named
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from mcisd.store.base import Where
from mcisd.store.metadata.mapping import events, plain_value

Values = dict[str, Any]
Shape = tuple[tuple[str, str], ...]
"""Names to find by, each with how: "equal", "in" or "null"."""
POSTGRES = "postgresql"
CHANNEL = "mcisd"


def shape_of(where: Named[str, Where]) -> Shape:
    return tuple((name, _how(value)) for name, value in where.items())


def values_of(where: Named[str, Where]) -> Values:
    """The parameters of a statement that finds by ``where``."""
    return {name: _plain(value) for name, value in where.items() if value is not None}


def _how(value: Where) -> str:
    if value is None:
        return "null"
    return "in" if isinstance(value, Sequence) and not isinstance(value, str) else "equal"


def _plain(value: Where) -> object:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain_value(item) for item in value]
    return plain_value(value)


@lru_cache(maxsize=512)
def find_rows(
    table: sa.Table, dialect: str, shape: Shape, order: str, descending: bool, limited: bool
) -> sa.Select[Any]:
    """Rows by ``shape``, ordered by ``order`` and then by uid; parameter ``the_limit`` if ``limited``."""
    keys = [table.c[order], table.c.uid]
    query = sa.select(table).where(*_conditions(table, dialect, shape))
    query = query.order_by(*(key.desc() if descending else key for key in keys))
    return query.limit(sa.bindparam("the_limit", type_=sa.Integer())) if limited else query


@lru_cache(maxsize=512)
def count_rows(table: sa.Table, dialect: str, shape: Shape) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table).where(*_conditions(table, dialect, shape))


@cache
def insert_new(table: sa.Table, dialect: str) -> sa.Executable:
    """An INSERT that skips a row which would break uniqueness; both engines know it, each under its own class."""
    if dialect == POSTGRES:
        from sqlalchemy.dialects import postgresql  # takes a tenth of a second to import, and SQLite needs none of it

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table).on_conflict_do_nothing()


@cache
def insert_many(table: sa.Table, dialect: str) -> sa.Executable:
    """``insert_new`` for many rows; the answer is the uids that went in. Parameters as ``together`` makes them."""
    if dialect == POSTGRES:
        from sqlalchemy.dialects import postgresql

        names = [column.name for column in table.columns]
        rows = _unnested(table)
        source = sa.select(*(rows.c[name] for name in names))
        there = postgresql.insert(table).from_select(names, source).on_conflict_do_nothing()
        return there.returning(table.c.uid)
    from sqlalchemy.dialects import sqlite

    here = sqlite.insert(table).values(_given(table)).on_conflict_do_nothing()
    return here.returning(table.c.uid)


@cache
def update_many(table: sa.Table, dialect: str) -> sa.Update:
    """Replace rows, whatever their version. Parameters as ``together`` makes them."""
    given = _unnested(table).c if dialect == POSTGRES else _given(table)
    change = sa.update(table).where(table.c.uid == given["uid"])
    return change.values({column.name: given[column.name] for column in table.columns if column.name != "uid"})


def together(rows: list[Values], dialect: str) -> Values | list[Values]:
    """The parameters for many rows: one array a column on PostgreSQL, which takes them in a third of the time."""
    if dialect == POSTGRES:
        return {f"all_{name}": [row[name] for row in rows] for name in rows[0]}
    return [{f"all_{name}": value for name, value in row.items()} for row in rows]


def _given(table: sa.Table) -> dict[str, sa.BindParameter[Any]]:
    """A parameter for each column."""
    return {column.name: sa.bindparam(f"all_{column.name}", type_=column.type) for column in table.columns}


def _unnested(table: sa.Table) -> sa.TableValuedAlias:
    """Arrays, one a column, as rows."""
    types = {
        column.name: sa.String() if isinstance(column.type, sa.String) else column.type for column in table.columns
    }
    arrays = (sa.bindparam(f"all_{name}", type_=sa.ARRAY(kind)) for name, kind in types.items())
    rows = sa.func.unnest(*arrays).table_valued(*(sa.column(name, kind) for name, kind in types.items()), name="new")
    return rows.render_derived()


@cache
def update_row(table: sa.Table) -> sa.Update:
    """Replace the row ``this_uid`` if it is at ``this_version``. See ``changes``."""
    here = (table.c.uid == sa.bindparam("this_uid"), table.c.version == sa.bindparam("this_version"))
    change = sa.update(table).where(*here)
    names = [column.name for column in table.columns if column.name != "uid"]
    return change.values({name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names})


def changes(row: Values) -> Values:
    """The parameters of ``update_row`` that make it ``row``, now at the version before."""
    new = {f"new_{name}": value for name, value in row.items() if name != "uid"}
    return new | {"this_uid": row["uid"], "this_version": row["version"] - 1}


@cache
def versions(table: sa.Table, dialect: str) -> sa.Select[Any]:
    """Version of each row whose uid is in the parameter ``uid``."""
    return sa.select(table.c.uid, table.c.version).where(*_conditions(table, dialect, (("uid", "in"),)))


@cache
def delete_rows(table: sa.Table, dialect: str) -> sa.Delete:
    """All whose uid is in the parameter ``uid``."""
    return sa.delete(table).where(*_conditions(table, dialect, (("uid", "in"),)))


@cache
def drop_oldest(table: sa.Table) -> sa.Delete:
    """The ``most`` oldest rows of a kind of record."""
    oldest = sa.select(table.c.uid).order_by(table.c.created_at, table.c.uid).limit(_most())
    return sa.delete(table).where(table.c.uid.in_(oldest))


@cache
def prune_rows(table: sa.Table) -> sa.Delete:
    """At most ``most`` rows that are from before ``before``; of events none but those before number ``newest``."""
    key, time = (table.c.sequence, table.c.time) if table is events else (table.c.uid, table.c.created_at)
    old = [time < sa.bindparam("before", type_=sa.Double())]
    if table is events:
        old.append(table.c.sequence < sa.bindparam("newest", type_=table.c.sequence.type))
    return sa.delete(table).where(key.in_(sa.select(key).where(*old).limit(_most())))


def _most() -> sa.BindParameter[int]:
    return sa.bindparam("most", type_=sa.Integer())


@cache
def insert_event(dialect: str) -> sa.Executable:
    """One event; its sequence is the answer. On PostgreSQL the same statement notifies with the parameter ``text``."""
    return sa.insert(events).returning(events.c.sequence, *_notice(dialect))


INSERT_EVENTS = sa.insert(events)


@cache
def newest_event(dialect: str) -> sa.Select[Any]:
    """The newest sequence; notifies as ``insert_event`` does."""
    return sa.select(sa.func.max(events.c.sequence), *_notice(dialect))


def _notice(dialect: str) -> list[sa.ColumnElement[Any]]:
    """Equal notifications of one transaction are sent once, so each statement that writes events may ask for one."""
    return [notify(sa.bindparam("text", type_=sa.String()))] if dialect == POSTGRES else []


def notify(text: sa.ColumnElement[str]) -> sa.ColumnElement[Any]:
    """Have PostgreSQL tell all who listen, once the transaction is committed."""
    return sa.func.pg_notify(CHANNEL, text)


NOTIFY = sa.select(notify(sa.bindparam("text", type_=sa.String())))


def _conditions(table: sa.Table, dialect: str, shape: Shape) -> list[sa.ColumnElement[bool]]:
    return [_condition(table.c[name], dialect, how) for name, how in shape]


def _condition(column: sa.Column[Any], dialect: str, how: str) -> sa.ColumnElement[bool]:
    if how == "null":
        return column.is_(None)
    if how == "equal":
        return column == sa.bindparam(column.name, type_=column.type)
    if dialect == POSTGRES:  # one text for lists of any length, so that it is prepared once
        return column == sa.any_(sa.bindparam(column.name, type_=sa.ARRAY(sa.String())))
    return column.in_(sa.bindparam(column.name, expanding=True))
