"""The metadata store on SQL: transactions for callers, the event outbox for the relay, the bounded call history."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
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
from mcisd.store.metadata.bulk import chunks
from mcisd.store.metadata.engine import Engines, make_engines
from mcisd.store.metadata.errors import translated
from mcisd.store.metadata.listen import Listener
from mcisd.store.metadata.mapping import events, mapping
from mcisd.store.metadata.signals import Signals, check_hint
from mcisd.store.metadata.statements import NOTIFY, count_rows, drop_oldest, insert_many, prune_rows, together
from mcisd.store.metadata.transaction import SqlTransaction, execute
from mcisd.store.metadata.upgrade import check_revision, ensure_current, revision
from mcisd.store.settle import settled

log = logging.getLogger(__name__)
KEEP_CALLS = 10_000
PRUNE = 5_000
"""Rows that one transaction of ``prune`` drops at most."""


class SqlStore:
    """Implements MetadataStore. One writer at a time; readers never wait for it. Made by ``open_store``.

    On PostgreSQL a writing transaction holds one advisory lock of the database from its begin to its commit, so those
    of all processes run one after the other; each statement in it (READ COMMITTED) sees all that was committed before.
    A reading one is REPEATABLE READ, READ ONLY: its first statement takes the snapshot.
    """

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
        self._signals = Signals()
        self._listener: Listener | None = None
        if engines.dial is not None:
            self._listener = Listener(engines.dial, self._signals.hear, lambda: self._signals.tell(True), clock)

    async def start(self) -> None:
        """Hear of other processes from now on."""
        if self._listener is not None:
            await self._listener.start()

    def on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` after each commit that wrote events, by any process; the answer takes it off again.

        It runs in the event loop, must be quick (set an asyncio.Event) and must not raise. Commits of other processes
        are heard of on PostgreSQL only; after that connection was lost and is back, it is called once too.
        """
        return self._signals.on_commit(callback)

    def on_hint(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback`` with each name hinted, as with ``on_commit``; hints are lost while the connection is."""
        return self._signals.on_hint(callback)

    async def hint(self, *names: str) -> None:
        """Tell all processes. StoreError if the others could not be told; those of this process are in any case."""
        self._check_open()
        for name in names:
            check_hint(name)
        try:
            if self._listener is not None and names:
                async with self._connect() as connection:
                    await self._announce(connection, names)
        finally:
            self._signals.tell(False, names)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reading()

    async def events_after(self, sequence: int, limit: int) -> list[Event]:
        query = sa.select(events).where(events.c.sequence > sequence).order_by(events.c.sequence).limit(limit)
        async with self._connect() as connection:
            rows = (await execute(connection, "read events", query)).mappings().all()
        return [Event(**row) for row in rows]

    async def last_sequence(self) -> int:
        """The number of the newest event, 0 if there never was one."""
        async with self._connect() as connection:
            query = sa.select(sa.func.max(events.c.sequence))
            return int((await execute(connection, "read events", query)).scalar() or 0)

    async def add_calls(self, calls: Sequence[Call]) -> None:
        if not calls:
            return
        source = mapping(Call)
        now = self._clock.now()
        rows = [source.to_row(replace(call, version=1, created_at=call.created_at or now)) for call in calls]
        async with self._write() as connection:
            dialect = connection.dialect.name
            for chunk in chunks(rows):
                await execute(connection, "write calls", insert_many(source.table, dialect), together(chunk, dialect))
            await self._trim(connection, source.table)

    async def prune(self, events_before: float, calls_before: float) -> int:
        """Drop what is older; the newest event stays, so that ``last_sequence`` never goes back.

        Many rows go in several transactions, so that other writers do not wait for all of it.
        """
        newest = await self.last_sequence()
        pruned = 0
        for table, before in ((events, events_before), (mapping(Call).table, calls_before)):
            gone = PRUNE
            while gone == PRUNE:
                async with self._write() as connection:
                    values = {"before": before, "newest": newest, "most": PRUNE}
                    gone = (await execute(connection, f"prune {table.name}", prune_rows(table), values)).rowcount
                pruned += gone
        return pruned

    async def check(self) -> str:
        """Engine, version, place and schema revision in one line. StoreError if it cannot be used."""
        async with self._connect() as connection:
            version = (await execute(connection, "read the version", sa.text(self._engines.version))).scalar_one()
            with translated("read the schema"):
                found = await settled(connection.run_sync(revision))
        check_revision(found)
        heard = self._listener.error if self._listener is not None else None
        deaf = f"; does not hear of other processes: {heard}" if heard else ""
        return f"{self._engines.place}, version {version}, schema {found}{deaf}"

    async def close(self) -> None:
        """Refuse new work, wait for what is under way, close all connections. Twice does no harm."""
        self._closed = True
        await self._unread.wait()
        async with self._writer:
            if self._listener is not None:
                await settled(self._listener.stop())
            await settled(self._engines.close())

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        emitted, hints = 0, dict[str, None]()
        try:
            async with self._write() as connection:
                transaction = SqlTransaction(connection, self._clock, writable=True, notice=self._signals.commit)
                yield transaction
                if transaction.failed:
                    raise StoreError("could not commit: a statement of the transaction has failed; nothing is written")
                emitted, hints = transaction.emitted, transaction.hints
                await self._announce(connection, hints)
        finally:
            # Also after an error of the commit itself: it may have taken effect, and a call too many does no harm.
            self._signals.tell(bool(emitted), hints)

    async def _announce(self, connection: AsyncConnection, names: Iterable[str]) -> None:
        """Have the database tell other processes once the transaction is committed."""
        if self._listener is not None:
            for text in self._signals.texts(names):
                await execute(connection, "notify", NOTIFY, {"text": text})

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
        query = count_rows(table, connection.dialect.name, ())
        count = int((await execute(connection, "count calls", query)).scalar_one())
        if count > self._keep_calls:
            await execute(connection, "drop old calls", drop_oldest(table), {"most": count - self._keep_calls})


@asynccontextmanager
async def _begun(engine: AsyncEngine, doing: str) -> AsyncIterator[AsyncConnection]:
    """A connection with a transaction, committed at the end or rolled back; no step of it is ever torn by a cancel."""
    connection = engine.connect()
    try:
        with translated(doing):
            await settled(connection.start())
            await settled(connection.begin().start())
        try:
            yield connection
        except BaseException:
            await _roll_back(connection)
            raise
        with translated("be sure of a commit (it may have taken effect or not)"):
            await settled(connection.commit())
    finally:
        if connection.sync_connection is not None:
            await settled(connection.close())


async def _roll_back(connection: AsyncConnection) -> None:
    """Roll back; a connection that cannot do so is dropped, and the database rolls back by itself."""
    try:
        with translated("roll back"):
            await settled(connection.rollback())
    except StoreError as error:
        log.info("%s; the connection is dropped", error)
        await settled(connection.invalidate())


async def open_store(
    url: str,
    clock: Clock,
    *,
    password: str | None = None,
    auto_upgrade: bool = True,
    keep_calls: int = KEEP_CALLS,
) -> SqlStore:
    """Open the database at ``url``: ``sqlite:////var/lib/mcisd/metadata.db`` (made if it is not there) or
    ``postgresql://USER@HOST:PORT/DATABASE`` (a database that is there and ours alone), its password given by itself.

    With ``auto_upgrade`` an older schema is brought up to date first; of several processes that start at once one does
    it and the others wait. ``keep_calls`` bounds the call history in rows. Raises ConfigError for a URL it does not
    understand, StoreError if the database cannot be used: away, not writable, damaged, made by a newer program, or
    older with ``auto_upgrade`` off.
    """
    await settled(ensure_current(url, password, auto_upgrade=auto_upgrade))
    engines = make_engines(url, password)
    store = SqlStore(engines, clock, keep_calls=keep_calls)
    try:
        await settled(store.start())
    except BaseException:
        await store.close()
        raise
    return store
