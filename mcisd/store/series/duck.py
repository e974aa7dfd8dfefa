"""Time series on one machine: blocks of windows in, columns of steps out.

Beside the DuckDB file, which knows VMs and series by number, lies a directory with the files of each hour: logs of what
is written (``hot``), and once the hour is over and ``compact`` was called, one file of packed chunks (``cold``).
Three threads: one writes, one queries, one packs. Only the one that writes changes which files there are.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np

from mcisd.model.errors import StoreError
from mcisd.model.identity import NOBODY, Identity
from mcisd.model.samples import Column
from mcisd.store.series import steps
from mcisd.store.series.ask import ask, newest_of
from mcisd.store.series.base import I64, SeriesQuery, SeriesResult, WindowBlock
from mcisd.store.series.dictionary import TABLES, Dictionary, forget, insert
from mcisd.store.series.files import open_files, remedy, transaction, words
from mcisd.store.series.hours import Hour, Hours
from mcisd.store.series.lane import Lane
from mcisd.store.series.merge import ALWAYS, cells, merge
from mcisd.store.series.newest import Newest
from mcisd.store.series.rows import HOUR_MS, by_hour, check, to_rows
from mcisd.store.series.rows import cells as cells_of_rows

T = TypeVar("T")
LAST_SPAN_MS = 24 * HOUR_MS
GRACE_MS = 5 * 60_000
PACK_S = 20.0


class DuckSeriesStore:
    """Implements SeriesStore. Made by ``DuckSeriesStore.open``."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, hours: Hours, aside: tempfile.TemporaryDirectory[str] | None
    ) -> None:
        """Take over an open connection and the hours beside it; ``aside`` is removed at close."""
        self._names = connection
        self._hours = hours
        self._aside = aside
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._writing = Lane("series-write")
        self._reading = Lane("series-read", self._stop.set)
        self._packing = Lane("series-pack", self._closing.set)
        self._tidying = asyncio.Lock()
        self._known = Dictionary()
        self._newest = Newest()
        self._written: set[int] = set()  # hours, since the last look for hours to pack
        connection.execute(TABLES)
        self._known.load(connection)
        self._unread = set(self._known.vms.values())  # VMs whose newest values from before the start are not loaded

    @classmethod
    async def open(cls, path: Path | None, *, memory_limit: str = "64MB", threads: int = 1) -> "DuckSeriesStore":
        """The store at ``path``, made if it is not there; None keeps all in a directory that is removed at close.

        ``memory_limit`` and ``threads`` are DuckDB's. StoreError if the file is held by another process, is damaged,
        or cannot be made.
        """
        lane = Lane("series-open")
        try:
            return await lane.run(lambda: cls(*open_files(path, memory_limit, threads)))
        finally:
            await lane.close()

    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        """Durable and queryable when it returns. The number of cells written (those with samples).

        Identities are left aside: who the VMs are is in the metadata beside this file.
        """
        for block in blocks:
            check(block)
        if not blocks:
            return 0
        return await self._call(self._writing, "write samples", lambda: self._write(blocks))

    async def query(self, query: SeriesQuery) -> list[SeriesResult]:
        """Ordered by VM and series. InputError for an unknown statistic or a negative step."""
        steps.check(query)
        return await self._call(self._reading, "query samples", lambda: self._query(query))

    async def last(self, vms: list[str], measurement: str | None = None) -> list[SeriesResult]:
        """From memory. After a restart it looks once, at the last day before the newest window: for each measurement
        of a VM it takes the newest hour that has it.
        """
        known = self._known.numbers(vms)
        if not self._unread.isdisjoint(known):
            await self._call(self._reading, "read the newest values", lambda: self._load_newest(set(known)))
        wanted = (
            None if measurement is None else np.array(sorted(self._known.of_measurement(measurement)), dtype=np.int64)
        )
        return [result for number, uid in known.items() for result in self._last(uid, number, wanted)]

    async def delete(self, vms: list[str]) -> None:
        """Forget these VMs at once; the space they take is given back as their hours are packed or dropped."""
        await self._call(self._writing, "delete samples", lambda: self._delete(vms))

    async def prune(self, before_ms: int) -> int:
        """Drop windows that start before; the files of whole hours are removed.

        An hour that is cut in the middle must be packed anew: what need not be exact should end with a full hour.
        """
        count = 0
        async with self._tidying:
            for hour in self._hours.between(ALWAYS, before_ms):
                count += await self._prune(hour, before_ms)
        self._newest.forget_before(before_ms)
        return count

    async def compact(self, now_ms: int) -> int:
        """Pack hours that are over, the oldest first; how many windows the new files hold. Best called once a minute.

        An hour is packed when it has been over for five minutes and nothing was written to it since the last call.
        No hour is begun later than PACK_S seconds after the call. Writes and queries go on meanwhile. Late windows of
        a packed hour go to a new log, until it is packed again.
        """
        async with self._tidying:
            written, self._written = self._written, set()
            until, count = time.monotonic() + PACK_S, 0
            for hour in self._hours.between(ALWAYS, now_ms - HOUR_MS - GRACE_MS + 1):
                if hour.logs and hour.number not in written and time.monotonic() < until:
                    count += await self._replace(await self._seal(hour.number))
            return count

    def rejected(self) -> Mapping[str, int]:
        """Nothing: it takes every value there is."""
        return {}

    async def check(self) -> str:
        """One line on the files; StoreError if they cannot be read."""
        hours = self._hours.all()
        size = await self._call(self._reading, "read the time series", lambda: sum(hour.size for hour in hours))
        packed = sum(hour.cold is not None for hour in hours)
        return f"DuckDB {duckdb.__version__}, {len(hours)} hours ({packed} packed), {size} bytes"

    async def close(self) -> None:
        """End the query, the packing and the write under way and let the files go. Twice does no harm."""
        self._stop.set()
        self._closing.set()
        await self._packing.close()
        await self._reading.close()
        await self._writing.close(self._close)

    async def _call(self, lane: Lane, doing: str, call: Callable[[], T]) -> T:
        try:
            return await lane.run(call)
        except (duckdb.Error, OSError) as error:
            raise StoreError(f"could not {doing}: {words(error)}", remedy=remedy(error)) from None

    def _write(self, blocks: list[WindowBlock]) -> int:
        vms = self._known.new_vms(uid for block in blocks for uid in block.vms)
        series = self._known.new_series(column for block in blocks for column in block.columns)
        parts = to_rows(blocks, self._known.vms | vms, self._known.series | series)
        if not parts:
            return 0
        self._name(vms, series)
        for hour, rows in by_hour(parts).items():
            self._written.add(hour)
            self._hours.append(hour, rows)
        for part in parts:
            self._newest.update(part)
        return cells_of_rows(parts)

    def _name(self, vms: dict[str, int], series: dict[Column, int]) -> None:
        """Durable before anything refers to it; what nothing comes to refer to does no harm."""
        if vms or series:
            with transaction(self._names):
                insert(self._names, vms, series)
            self._known.add_vms(vms)
            self._known.add_series(series)

    def _query(self, query: SeriesQuery) -> list[SeriesResult]:
        self._stop.clear()
        vms = self._known.numbers(query.vms)
        wanted = self._known.matching(query.measurement, query.fields, query.tags)
        if not vms or not wanted:
            return []
        hours = self._hours.between(query.start_ms, query.end_ms)
        mates = self._known.of_measurement(query.measurement)
        return ask(query, hours, vms, wanted, mates, self._known.columns, self._stopped)

    def _stopped(self) -> bool:
        return self._stop.is_set() or self._closing.is_set()

    def _load_newest(self, vms: set[int]) -> None:
        unread = self._unread & vms
        hours = self._hours.all()
        recent = [hour for hour in hours if hour.start_ms > hours[-1].start_ms - LAST_SPAN_MS]
        found = Newest()
        for rows in newest_of(recent, unread, self._known.columns.copy()):
            found.update(rows)
        self._newest.fill(found)
        self._unread -= unread

    def _last(self, uid: str, number: int, wanted: I64 | None) -> list[SeriesResult]:
        columns = self._known.columns
        series, starts, values = self._newest.of(number, wanted)
        return [
            SeriesResult(uid, columns[item], starts[place : place + 1], values[place : place + 1])
            for place, item in enumerate(series.tolist())
        ]

    def _delete(self, vms: list[str]) -> None:
        numbers = list(self._known.numbers(vms))
        if not numbers:
            return
        with transaction(self._names):
            forget(self._names, numbers)
        for uid in vms:
            self._known.vms.pop(uid, None)
        self._newest.forget(numbers)

    async def _prune(self, hour: Hour, before_ms: int) -> int:
        hour = await self._seal(hour.number)
        vms = set(self._known.vms.values())
        count = await self._call(self._packing, "count windows", lambda: cells(hour, vms))
        if hour.start_ms + HOUR_MS <= before_ms:
            await self._call(self._writing, "remove an hour", lambda: self._hours.drop(hour))
            return count
        return count - await self._replace(hour, before_ms)

    async def _seal(self, number: int) -> Hour:
        return await self._call(self._writing, "seal an hour", lambda: self._hours.seal(number))

    async def _replace(self, hour: Hour, from_ms: int = ALWAYS) -> int:
        """Pack a sealed hour, from ``from_ms`` on, into one new file; how many cells it has."""
        path, vms, columns = self._hours.unfinished(hour.number), set(self._known.vms.values()), self._known.columns
        try:
            count = await self._call(
                self._packing, "pack an hour", lambda: merge(hour, path, vms, columns, self._closing.is_set, from_ms)
            )
            change = self._hours.replace if count else self._hours.drop
            await self._call(self._writing, "replace an hour", lambda: change(hour))
        finally:
            path.unlink(missing_ok=True)
        return count

    def _close(self) -> None:
        self._hours.close()
        self._names.close()
        if self._aside is not None:
            self._aside.cleanup()
