"""The metadata store on SQL: transactions for callers, the event outbox for the relay, the bounded call history."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from mcisd.aio.clock import Clock
from mcisd.model.errors import StoreError
from mcisd.model.events import Event
from mcisd.model.records import Call
from mcisd.store.base import Transaction
from mcisd.store.metadata.engine import Engines, make_engines
from mcisd.store.metadata.errors import translated
from mcisd.store.metadata.mapping import events, insert_new, mapping
from mcisd.store.metadata.transaction import SqlTransaction, execute
from mcisd.store.metadata.upgrade import ensure_current
from mcisd.store.settle import settled

KEEP_CALLS = 10_000


class SqlStore:
    """Implements MetadataStore. One writer at a time; readers never wait for it. Made by ``open_store``."""

    def __init__(self, engines: Engines, clock: Clock, *, keep_calls: int = KEEP_CALLS) -> None:
        self._engines = engines
        self._clock = clock
        self._keep_calls = keep_calls
        self._writer = asyncio.Lock()
        self._closed = False
        self._readers = 0
        self._unread = asyncio.Event()
        self._unread.set()
        self._owner: asyncio.Task[Any] | None = None
        self._callbacks: list[Callable[[], None]] = []

    def on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after each commit that wrote events; the answer takes it off again.

        It runs in the event loop, must be quick (set an asyncio.Event) and must not raise.
        """
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reading()

    async def events_after(self, sequence: int, limit: int) -> list[Event]:
        query = sa.select(events).where(events.c.sequence > sequence).order_by(events.c.sequence).limit(limit)
        async with self._connect() as connection:
            rows = (await execute(connection, query)).mappings().all()
        return [Event(**row) for row in rows]

    async def last_sequence(self) -> int:
        """The number of the newest event, 0 if there never was one."""
        async with self._connect() as connection:
            return int((await execute(connection, sa.select(sa.func.max(events.c.sequence)))).scalar() or 0)

    async def add_calls(self, calls: Sequence[Call]) -> None:
        if not calls:
            return
        source = mapping(Call)
        now = self._clock.now()
        rows = [source.to_row(replace(call, version=1, created_at=call.created_at or now)) for call in calls]
        async with self._write() as connection:
            await execute(connection, insert_new(source.table, connection.dialect.name), rows)
            await self._trim(connection, source.table)

    async def prune(self, events_before: float, calls_before: float) -> int:
        """Drop what is older; the newest event stays, so that ``last_sequence`` never goes back."""
        call = mapping(Call).table
        newest = sa.select(sa.func.max(events.c.sequence)).scalar_subquery()
        async with self._write() as connection:
            old = events.c.time < events_before
            done = await execute(connection, sa.delete(events).where(old, events.c.sequence < newest))
            calls = await execute(connection, sa.delete(call).where(call.c.created_at < calls_before))
            return done.rowcount + calls.rowcount

    async def close(self) -> None:
        """Refuse new work, wait for what is under way, close all connections. Twice does no harm."""
        self._closed = True
        await self._unread.wait()
        async with self._writer:
            await settled(self._engines.close())

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        emitted = 0
        try:
            async with self._write() as connection:
                transaction = SqlTransaction(connection, self._clock, writable=True)
                yield transaction
                emitted = transaction.emitted
        finally:
            # Also after an error of the commit itself: it may have taken effect, and a call too many does no harm.
            if emitted:
                for callback in list(self._callbacks):
                    callback()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Transaction]:
        async with self._connect() as connection:
            yield SqlTransaction(connection, self._clock, writable=False)

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        task = asyncio.current_task()
        if self._owner is not None and self._owner is task:
            raise RuntimeError("a transaction inside a transaction of the same task would wait for itself for ever")
        async with self._writer:
            self._check_open()
            self._owner = task
            try:
                async with _begun(self._engines.write, "write to the database") as connection:
                    yield connection
            finally:
                self._owner = None

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        self._check_open()
        self._readers += 1
        self._unread.clear()
        try:
            async with _begun(self._engines.read, "read the database") as connection:
                yield connection
        finally:
            self._readers -= 1
            if not self._readers:
                self._unread.set()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the metadata store is closed")

    async def _trim(self, connection: AsyncConnection, table: sa.Table) -> None:
        count = int((await execute(connection, sa.select(sa.func.count()).select_from(table))).scalar_one())
        if count > self._keep_calls:
            oldest = sa.select(table.c.uid).order_by(table.c.created_at, table.c.uid).limit(count - self._keep_calls)
            await execute(connection, sa.delete(table).where(table.c.uid.in_(oldest)))


@asynccontextmanager
async def _begun(engine: AsyncEngine, doing: str) -> AsyncIterator[AsyncConnection]:
    """A connection with a transaction, committed at the end or rolled back; no step of it is ever torn by a cancel."""
    connection = engine.connect()
    with translated(doing):
        try:
            await settled(connection.start())
            await settled(connection.begin().start())
            try:
                yield connection
            except BaseException:
                await settled(connection.rollback())
                raise
            await settled(connection.commit())
        finally:
            if connection.sync_connection is not None:
                await settled(connection.close())


async def open_store(url: str, clock: Clock, *, auto_upgrade: bool = True, keep_calls: int = KEEP_CALLS) -> SqlStore:
    """Open (and make) the database at ``url``, such as ``sqlite:////var/lib/mcisd/metadata.db``.

    With ``auto_upgrade`` an older schema is brought up to date first. ``keep_calls`` bounds the call history in rows.
    Raises ConfigError for a URL it does not understand, StoreError if the database cannot be used: not writable,
    damaged, made by a newer program, or older with ``auto_upgrade`` off.
    """
    engines = make_engines(url)
    try:
        await settled(ensure_current(engines.write, auto_upgrade=auto_upgrade))
    except BaseException:
        await engines.close()
        raise
    return SqlStore(engines, clock, keep_calls=keep_calls)
