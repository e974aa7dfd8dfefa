"""Record classes in, SQL tables out; and each record to its row and back.

A table has uid, version, created_at, the kind's ``columns`` and ``plain`` as typed columns, and one JSON document with
the rest.
"""

import types
import typing
from enum import Enum
from functools import cached_property
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from sqlalchemy.sql.type_api import TypeEngine

from mcisd.model.records import Record
from mcisd.store.metadata.kinds import KINDS

R = TypeVar("R", bound=Record)
COMMON = ("uid", "version", "created_at")
# Ordered by code point on both databases, whatever the locale.
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
metadata = sa.MetaData()

events = sa.Table(
    "event",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index("ix_event_time", "time"),
    # A number that was given once is never given again, also after the newest events were pruned.
    sqlite_autoincrement=True,
)


class Mapping(Generic[R]):
    """One kind of record and its table."""

    def __init__(self, kind: type[R], table: sa.Table) -> None:
        self.kind = kind
        self.table = table
        self.names = frozenset(kind.columns) | {"uid", "created_at"}
        self._own = tuple(column.name for column in table.columns if column.name != "doc")

    @cached_property
    def _adapter(self) -> TypeAdapter[R]:
        return TypeAdapter(self.kind)

    def to_row(self, record: R) -> dict[str, Any]:
        """The row of ``record``; TypeError if a field holds what its type does not allow."""
        try:
            doc = self._adapter.dump_python(record, mode="json", warnings="error")
        except PydanticSerializationError:
            # The cause would show the values of fields, and some are secret.
            raise TypeError(f"a field of {self.kind.__name__} {record.uid!r} has a value of a wrong type") from None
        row: dict[str, Any] = {name: doc.pop(name) for name in self._own}
        row["doc"] = doc
        return row

    def to_record(self, row: sa.RowMapping) -> R:
        """The record of a row; fields unknown to this program are left out, missing ones get their defaults."""
        values = dict(row)
        values.update(values.pop("doc"))
        return self._adapter.validate_python(values)

    def column(self, name: str) -> sa.Column[Any]:
        """The column to find or order by; TypeError for a name that is not one."""
        if name not in self.names:
            raise TypeError(f"{self.kind.__name__} has no column {name!r}; it has {', '.join(sorted(self.names))}")
        return self.table.c[name]


def mapping(kind: type[R]) -> Mapping[R]:
    """The mapping of ``kind``; TypeError if it is not in KINDS."""
    try:
        return typing.cast(Mapping[R], _MAPPINGS[kind])
    except KeyError:
        raise TypeError(f"{kind.__name__} is not a kind of record this store keeps") from None


def _table(kind: type[Record]) -> sa.Table:
    hints = typing.get_type_hints(kind)
    own = [name for name in (*kind.columns, *kind.plain) if name not in COMMON]
    columns: list[sa.Column[Any]] = [
        sa.Column("uid", TEXT, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        *(_column(name, hints[name]) for name in own),
        sa.Column("doc", sa.JSON, nullable=False),
    ]
    unique = [sa.UniqueConstraint(*names, name=f"uq_{kind.table}_{'_'.join(names)}") for names in kind.unique]
    led = {names[0] for names in kind.unique}  # the index of a unique combination serves its first column too
    indexes = [sa.Index(f"ix_{kind.table}_{name}", name) for name in kind.columns if name not in led]
    return sa.Table(kind.table, metadata, *columns, *unique, *indexes)


def _column(name: str, hint: object) -> sa.Column[Any]:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    nullable = type(None) in options
    (plain,) = (option for option in options if option is not type(None))
    return sa.Column(name, _sql_type(plain), nullable=nullable)


def _sql_type(plain: object) -> TypeEngine[Any]:
    if isinstance(plain, type) and issubclass(plain, str):
        return TEXT
    simple: dict[object, TypeEngine[Any]] = {bool: sa.Boolean(), int: sa.BigInteger(), float: sa.Double()}
    return simple[plain]


def plain_value(value: object) -> object:
    """A value as the database takes it: enums by their value."""
    return value.value if isinstance(value, Enum) else value


_MAPPINGS: dict[type[Record], Mapping[Any]] = {kind: Mapping(kind, _table(kind)) for kind in KINDS}
