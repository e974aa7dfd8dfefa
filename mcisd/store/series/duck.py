"""Time series in one DuckDB file: blocks of windows in, columns of steps out.

Two threads: one writes, one queries (DuckDB's snapshots keep them apart), so a long query never holds up a write.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np

from mcisd.model.errors import StoreError
from mcisd.store.series.base import SeriesQuery, SeriesResult, WindowBlock
from mcisd.store.series.dictionary import TABLES, Dictionary, insert
from mcisd.store.series.duck_query import results, statement
from mcisd.store.series.lane import Lane
from mcisd.store.series.newest import Newest
from mcisd.store.series.rows import Rows, check, to_rows

T = TypeVar("T")
LAST_SPAN_MS = 24 * 3600 * 1000
SAMPLES = """
CREATE TABLE IF NOT EXISTS sample (
    start_ms BIGINT NOT NULL, width_ms INTEGER NOT NULL, vm INTEGER NOT NULL, series INTEGER NOT NULL,
    "avg" DOUBLE NOT NULL, "min" DOUBLE NOT NULL, "max" DOUBLE NOT NULL, "last" DOUBLE NOT NULL,
    "count" BIGINT NOT NULL);
"""
REPLACED = """
DELETE FROM sample USING written WHERE sample.start_ms BETWEEN $low AND $high AND sample.start_ms = written.start_ms
    AND sample.vm = written.vm AND sample.series = written.series AND sample.width_ms = written.width_ms
"""
INSERT = "INSERT INTO sample SELECT * FROM written"
NEWEST = """
SELECT vm, series, max(start_ms) AS start_ms, arg_max("last", start_ms) AS "last"
FROM sample WHERE start_ms >= $low GROUP BY ALL ORDER BY start_ms
"""


class DuckSeriesStore:
    """Implements SeriesStore. Made by ``DuckSeriesStore.open``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take over an open connection; blocks while it reads what is there, so ``open`` calls it in a thread."""
        self._writer = connection
        self._reader = connection.cursor()
        self._writing = Lane("series-write")
        self._reading = Lane("series-read", self._reader.interrupt)
        self._known = Dictionary()
        self._newest = Newest()
        # A window that starts after all that its VM has written cannot replace one. After a restart the newest
        # start of all stands in for the VM's own: at worst a delete that finds nothing.
        self._floor = -(2**62)
        self._written: dict[int, int] = {}
        self._load()

    @classmethod
    async def open(cls, path: Path | None, *, memory_limit: str = "256MB", threads: int = 2) -> "DuckSeriesStore":
        """The store in the file at ``path``, made if it is not there; None keeps all in memory and forgets it at close.

        StoreError if the file is held by another process, is damaged, or cannot be made.
        """
        lane = Lane("series-open")
        try:
            return await lane.run(lambda: cls(_connect(path, memory_limit, threads)))
        finally:
            await lane.close()

    async def write(self, blocks: list[WindowBlock]) -> int:
        """Durable and queryable when it returns. The number of cells written (those with samples)."""
        for block in blocks:
            check(block)
        if not blocks:
            return 0
        return await self._call(self._writing, "write samples", lambda: self._write(blocks))

    async def query(self, query: SeriesQuery) -> list[SeriesResult]:
        """Ordered by VM and series. InputError for an unknown statistic or a negative step."""
        return await self._call(self._reading, "query samples", lambda: self._query(query))

    async def last(self, vms: list[str], measurement: str | None = None) -> list[SeriesResult]:
        """From memory. After a restart it knows what was written in the last day before the newest window."""
        known = self._known.numbers(vms)
        return [result for number, uid in known.items() for result in self._last(uid, number, measurement)]

    async def delete(self, vms: list[str]) -> None:
        await self._call(self._writing, "delete samples", lambda: self._delete(vms))

    async def prune(self, before_ms: int) -> int:
        return await self._call(self._writing, "prune samples", lambda: self._prune(before_ms))

    async def close(self) -> None:
        """End the query and the write under way, write all into the file and let it go. Twice does no harm."""
        await self._reading.close(self._reader.close)
        await self._writing.close(self._writer.close)

    async def _call(self, lane: Lane, doing: str, call: Callable[[], T]) -> T:
        try:
            return await lane.run(call)
        except duckdb.Error as error:
            raise StoreError(f"could not {doing}: {_words(error)}", remedy=_remedy(error)) from None

    def _load(self) -> None:
        self._writer.execute(TABLES)
        self._writer.execute(SAMPLES)
        self._known.load(self._writer)
        (newest,) = self._writer.execute("SELECT max(start_ms) FROM sample").fetchall()[0]
        if newest is not None:
            self._floor = newest
            found = self._writer.execute(NEWEST, {"low": newest - LAST_SPAN_MS}).fetchnumpy()
            count = len(found["vm"])
            nothing, unknown = np.zeros(count, dtype=np.int64), np.full(count, np.nan)
            vm, series = found["vm"].astype(np.int64), found["series"].astype(np.int64)
            last = np.asarray(found["last"], dtype=np.float64)
            start = np.asarray(found["start_ms"], dtype=np.int64)
            self._newest.update(Rows(start, nothing, vm, series, unknown, unknown, unknown, last, nothing))

    def _write(self, blocks: list[WindowBlock]) -> int:
        vms = self._known.new_vms(uid for block in blocks for uid in block.vms)
        series = self._known.new_series(column for block in blocks for column in block.columns)
        rows = to_rows(blocks, self._known.vms | vms, self._known.series | series)
        if not len(rows):
            return 0
        with self._transaction():
            insert(self._writer, vms, series)
            self._insert(rows)
        self._known.add_vms(vms)
        self._known.add_series(series)
        self._remember(rows)
        return len(rows)

    def _insert(self, rows: Rows) -> None:
        self._writer.register("written", rows.columns())
        try:
            if self._may_replace(rows):
                span = {"low": int(rows.start_ms[0]), "high": int(rows.start_ms[-1])}
                self._writer.execute(REPLACED, span)
            self._writer.execute(INSERT)
        finally:
            self._writer.unregister("written")

    def _may_replace(self, rows: Rows) -> bool:
        vms, first = np.unique(rows.vm, return_index=True)
        starts = rows.start_ms[first].tolist()
        return any(start <= self._written.get(vm, self._floor) for vm, start in zip(vms.tolist(), starts, strict=True))

    def _remember(self, rows: Rows) -> None:
        vms, first = np.unique(rows.vm[::-1], return_index=True)
        for vm, start in zip(vms.tolist(), rows.start_ms[::-1][first].tolist(), strict=True):
            self._written[vm] = max(start, self._written.get(vm, self._floor))
        self._newest.update(rows)

    def _query(self, query: SeriesQuery) -> list[SeriesResult]:
        vms = self._known.numbers(query.vms)
        series = self._known.matching(query.measurement, query.fields, query.tags)
        sql, parameters = statement(query, list(vms), series)
        if not vms or not series:
            return []
        return results(self._reader.execute(sql, parameters).fetchnumpy(), vms, self._known.columns)

    def _last(self, uid: str, number: int, measurement: str | None) -> list[SeriesResult]:
        columns = self._known.columns
        series, starts, values = self._newest.of(number)
        return [
            SeriesResult(uid, columns[item], starts[place : place + 1], values[place : place + 1])
            for place, item in enumerate(series.tolist())
            if measurement is None or columns[item].measurement == measurement
        ]

    def _delete(self, vms: list[str]) -> None:
        numbers = list(self._known.numbers(vms))
        if not numbers:
            return
        with self._transaction():
            self._writer.execute("DELETE FROM sample WHERE vm IN (SELECT unnest($vms))", {"vms": numbers})
            self._writer.execute("DELETE FROM vm WHERE id IN (SELECT unnest($vms))", {"vms": numbers})
        for uid in vms:
            self._written.pop(self._known.vms.pop(uid, 0), None)
        self._newest.forget(np.array(numbers, dtype=np.int64))

    def _prune(self, before_ms: int) -> int:
        with self._transaction():
            done = self._writer.execute("DELETE FROM sample WHERE start_ms < $before", {"before": before_ms}).fetchall()
        self._newest.forget_before(before_ms)
        return int(done[0][0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit (into the synced log) at the end of the block, or roll back."""
        self._writer.begin()
        try:
            yield
            self._writer.commit()
        except BaseException:
            # An error of the engine may have ended the transaction already; the first error is the one to tell.
            with contextlib.suppress(duckdb.Error):
                self._writer.rollback()
            raise


def _connect(path: Path | None, memory_limit: str, threads: int) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {"memory_limit": memory_limit, "threads": threads}
    try:
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return duckdb.connect(":memory:" if path is None else str(path), config=config)
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"cannot open the time series {path}: {_words(error)}", remedy=_remedy(error)) from None


def _words(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _remedy(error: Exception) -> str | None:
    words = str(error).lower()
    if "lock" in words:
        return "another process holds the file; stop it, or use another file"
    if "not a valid" in words or "corrupt" in words or "serialization" in words:
        return "the file is damaged; move it away or restore it from a backup"
    if "permission" in words or "no such file" in words:
        return "check that the directory exists and may be written"
    if "no space" in words or "could not write" in words:
        return "free some space on the disk"
    return None
