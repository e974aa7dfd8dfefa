"""VM uids and columns in, small numbers out: the dictionary tables and their image in memory.

New numbers are staged inside the transaction and become known only after its commit. The number of a VM is never given
to another one, so what the files of hours still hold of a forgotten VM is nobody's.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import duckdb

from mcisd.model.samples import Column

TABLES = """
CREATE TABLE IF NOT EXISTS vm (id INTEGER NOT NULL, uid VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER NOT NULL, measurement VARCHAR NOT NULL, field VARCHAR NOT NULL, tags VARCHAR NOT NULL,
    kind VARCHAR NOT NULL);
"""
FORGOTTEN = ""


@dataclass(slots=True)
class Dictionary:
    """Numbers of VMs and series, and the series of each measurement."""

    vms: dict[str, int] = field(default_factory=dict)
    series: dict[Column, int] = field(default_factory=dict)
    columns: dict[int, Column] = field(default_factory=dict)
    next_vm: int = 1
    next_series: int = 1

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.add_vms(dict(connection.execute("SELECT uid, id FROM vm").fetchall()))
        self.vms.pop(FORGOTTEN, None)
        rows = connection.execute("SELECT id, measurement, field, tags, kind FROM series").fetchall()
        self.add_series({_column(*row[1:]): row[0] for row in rows})

    def numbers(self, uids: Iterable[str]) -> dict[int, str]:
        """The VMs that are known, by number. One look each: another thread may forget a VM at any moment."""
        found = ((self.vms.get(uid), uid) for uid in uids)
        return {number: uid for number, uid in found if number is not None}

    def new_vms(self, uids: Iterable[str]) -> dict[str, int]:
        """Numbers for those that have none yet."""
        unknown = dict.fromkeys(uid for uid in uids if uid not in self.vms)
        return {uid: self.next_vm + place for place, uid in enumerate(unknown)}

    def new_series(self, columns: Iterable[Column]) -> dict[Column, int]:
        unknown = dict.fromkeys(column for column in columns if column not in self.series)
        return {column: self.next_series + place for place, column in enumerate(unknown)}

    def add_vms(self, vms: dict[str, int]) -> None:
        self.vms.update(vms)
        self.next_vm = max([self.next_vm, *(number + 1 for number in vms.values())])

    def add_series(self, series: dict[Column, int]) -> None:
        self.series.update(series)
        self.columns.update({number: column for column, number in series.items()})
        self.next_series = max([self.next_series, *(number + 1 for number in series.values())])

    def of_measurement(self, measurement: str) -> list[int]:
        """Numbers of all series of ``measurement``."""
        return [number for number, column in list(self.columns.items()) if column.measurement == measurement]

    def matching(self, measurement: str, fields: list[str], tags: dict[str, str]) -> list[int]:
        """Numbers of the series of ``measurement`` with one of ``fields`` (empty: any) and all of ``tags``."""
        return [
            number
            for number, column in list(self.columns.items())
            if column.measurement == measurement
            and (not fields or column.field in fields)
            and tags.items() <= dict(column.tags).items()
        ]


def insert(connection: duckdb.DuckDBPyConnection, vms: dict[str, int], series: dict[Column, int]) -> None:
    """Write new numbers, inside the transaction that first uses them."""
    if vms:
        connection.executemany("INSERT INTO vm VALUES (?, ?)", [(number, uid) for uid, number in vms.items()])
    if series:
        rows = [(number, c.measurement, c.field, json.dumps(c.tags), c.kind) for c, number in series.items()]
        connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?)", rows)


def forget(connection: duckdb.DuckDBPyConnection, vms: list[int]) -> None:
    """Take the names off these numbers; of all numbers that bear none the greatest stays, as it must not be reused."""
    connection.execute("UPDATE vm SET uid = $name WHERE id IN (SELECT unnest($vms))", {"name": FORGOTTEN, "vms": vms})
    connection.execute("DELETE FROM vm WHERE uid = $name AND id < (SELECT max(id) FROM vm)", {"name": FORGOTTEN})


def _column(measurement: str, name: str, tags: str, kind: str) -> Column:
    return Column(measurement, name, tuple((key, value) for key, value in json.loads(tags)), kind)
