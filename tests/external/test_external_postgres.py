"""The metadata store and a PostgreSQL that fails: restarts under load, locks held, answers that do not come."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from mcisd.aio.clock import SystemClock
from mcisd.aio.signal import Signal
from mcisd.demo.engines import PostgresEngine
from mcisd.model.errors import ConflictError, StoreError
from mcisd.model.events import Event
from mcisd.model.records import Namespace
from mcisd.store.metadata import SqlStore, open_store
from mcisd.store.metadata.engine_postgres import LOCK, Patience

pytestmark = pytest.mark.engines
BACK_S = 30.0


def event(name: str) -> Event:
    return Event(name, "t", "s", 1.0)


@pytest.fixture
async def stores(postgres_url: str) -> AsyncIterator[list[SqlStore]]:
    """Two processes' stores on one database."""
    stores = [await open_store(postgres_url, SystemClock()) for _ in range(2)]
    yield stores
    for store in stores:
        await store.close()


class Load:
    """Writes a row and its event in each transaction until told to stop; knows what was confirmed."""

    def __init__(self, store: SqlStore, name: str) -> None:
        self.confirmed: list[str] = []
        self.errors: list[StoreError] = []
        self.done = asyncio.Event()
        self._news = Signal()
        self._store = store
        self._name = name

    async def run(self) -> None:
        number = 0
        while not self.done.is_set():
            number += 1
            uid = f"{self._name}-{number}"
            try:
                async with self._store.transaction() as tx:
                    await tx.insert(Namespace(uid=uid, name=uid))
                    await tx.emit(event(uid))
            except StoreError as error:
                self.errors.append(error)
                await asyncio.sleep(0.05)
            else:
                self.confirmed.append(uid)
                self._news.set()

    async def more(self, count: int) -> None:
        """Wait until about ``count`` more have been confirmed."""
        for _ in range(count):
            assert await self._news.wait(BACK_S)


@pytest.mark.parametrize("kill", [False, True], ids=["restart", "kill"])
async def test_a_restart_under_load(stores: list[SqlStore], postgres_engine: PostgresEngine, kill: bool) -> None:
    loads = [Load(stores[number % 2], str(number)) for number in range(4)]
    async with asyncio.TaskGroup() as group:
        for load in loads:
            group.create_task(load.run())
        for _ in range(2):
            await asyncio.gather(*(load.more(10) for load in loads))
            await postgres_engine.restart(kill=kill)
            await asyncio.gather(*(load.more(10) for load in loads))
        for load in loads:
            load.done.set()
    async with stores[0].reading() as tx:
        rows = {row.uid for row in await tx.find(Namespace)}
    events = [item.id for item in await stores[1].events_after(0, 10**6)]
    assert {uid for load in loads for uid in load.confirmed} <= rows
    assert len(events) == len(rows)
    assert set(events) == rows
    errors = [error for load in loads for error in load.errors]
    assert errors
    assert all(error.retriable and error.remedy for error in errors), [(str(item), item.remedy) for item in errors]


async def test_idle_connections_do_not_fail_after_a_restart(
    stores: list[SqlStore], postgres_engine: PostgresEngine
) -> None:
    await stores[0].last_sequence()
    async with stores[0].transaction() as tx:
        await tx.emit(event("before"))
    await postgres_engine.restart()
    assert await stores[0].last_sequence() == 1
    async with stores[0].transaction() as tx:
        await tx.emit(event("after"))


async def test_a_restart_in_the_middle_of_a_transaction(
    stores: list[SqlStore], postgres_engine: PostgresEngine
) -> None:
    async def half() -> None:
        async with stores[0].transaction() as tx:
            await tx.insert(Namespace(uid="n", name="n"))
            await postgres_engine.restart()
            await tx.emit(event("n"))

    with pytest.raises(StoreError, match="could not write an event") as caught:
        await half()
    assert caught.value.retriable
    async with stores[0].transaction() as tx:
        assert await tx.count(Namespace) == 0
        await tx.insert(Namespace(uid="n", name="n"))


async def test_a_server_that_is_away(stores: list[SqlStore], postgres_engine: PostgresEngine) -> None:
    await postgres_engine.stop()
    try:
        for _ in range(2):
            with pytest.raises(StoreError, match=r"cannot connect to PostgreSQL at 127\.0\.0\.1:\d+/db_") as caught:
                await stores[0].last_sequence()
            assert caught.value.remedy
    finally:
        await postgres_engine.start_again()
    assert await stores[0].last_sequence() == 0


async def test_closing_while_the_server_is_away(postgres_url: str, postgres_engine: PostgresEngine) -> None:
    store = await open_store(postgres_url, SystemClock())
    await store.last_sequence()
    async with store.transaction() as tx:
        await tx.emit(event("a"))
    await postgres_engine.stop(kill=True)
    try:
        async with asyncio.timeout(10):
            await store.close()
    finally:
        await postgres_engine.start_again()


@pytest.mark.parametrize("writing", [False, True], ids=["read", "write"])
async def test_a_server_that_answers_no_more(postgres_url: str, monkeypatch: pytest.MonkeyPatch, writing: bool) -> None:
    """A frozen backend, as behind a broken network: given up in time, and the next call has another connection."""
    monkeypatch.setattr("mcisd.store.metadata.engine_postgres.WRITER", Patience(answer=0.3))
    monkeypatch.setattr("mcisd.store.metadata.engine_postgres.READER", Patience(answer=0.3))
    store = await open_store(postgres_url, SystemClock())
    engines = store._engines

    async def use() -> None:
        if writing:
            async with store.transaction() as tx:
                await tx.emit(event("a"))
        else:
            await store.last_sequence()

    async with (engines.write if writing else engines.read).connect() as connection:
        pid = (await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(BACK_S):
            with pytest.raises(StoreError, match="no answer in time") as caught:
                await use()
            await use()
    finally:
        os.kill(pid, signal.SIGCONT)
    await store.close()
    assert caught.value.retriable
    assert caught.value.remedy


async def test_others_are_heard_again_after_a_restart(stores: list[SqlStore], postgres_engine: PostgresEngine) -> None:
    """The connection that listens comes back by itself, and says once that something may have been missed."""
    woken, hinted = Signal(), Signal()
    stores[1].on_commit(woken.set)
    stores[1].on_hint(lambda _name: hinted.set())
    await postgres_engine.restart()
    assert await woken.wait(BACK_S)
    assert "does not hear" not in await stores[1].check()
    await stores[0].hint("x")
    assert await hinted.wait(BACK_S)
    async with stores[0].transaction() as tx:
        await tx.emit(event("a"))
    assert await woken.wait(BACK_S)


async def test_a_lock_that_is_held(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcisd.store.metadata.engine_postgres.WRITER", Patience(lock=0.1))
    store = await open_store(postgres_url, SystemClock())
    other = await asyncpg.connect(postgres_url, timeout=10)
    async with other.transaction():
        await other.execute(LOCK)
        with pytest.raises(StoreError, match="lock timeout") as caught:
            async with store.transaction():
                raise AssertionError("not reached")
        assert await store.last_sequence() == 0
    await other.close()
    assert "another process" in str(caught.value.remedy)
    async with store.transaction() as tx:
        await tx.emit(event("a"))
    await store.close()


async def test_a_process_that_hangs_in_a_transaction(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends it, so that the others go on; nothing of it is written."""
    monkeypatch.setattr("mcisd.store.metadata.engine_postgres.WRITER", Patience(idle=0.3))
    hanging, other = [await open_store(postgres_url, SystemClock()) for _ in range(2)]

    async def hang() -> None:
        async with hanging.transaction() as tx:
            await tx.insert(Namespace(uid="n", name="n"))
            async with other.transaction() as theirs:
                await theirs.insert(Namespace(uid="n", name="theirs"))
            await tx.emit(event("n"))

    with pytest.raises(StoreError):
        await hang()
    async with hanging.transaction() as tx:
        assert [row.name for row in await tx.find(Namespace)] == ["theirs"]
    await hanging.close()
    await other.close()


async def test_a_collision_shows_no_values(stores: list[SqlStore]) -> None:
    async with stores[0].transaction() as tx:
        rows = await tx.insert_all([Namespace(uid=uid, name=f"hush-{uid}") for uid in ("a", "b")])
    with pytest.raises(ConflictError, match="uq_namespace_name") as caught:
        async with stores[0].transaction() as tx:
            await tx.update(Namespace(uid="a", name=rows[1].name, version=1))
    assert "hush" not in str(caught.value)


async def test_what_the_database_cannot_hold(stores: list[SqlStore]) -> None:
    with pytest.raises(StoreError, match="cannot be stored") as caught:
        async with stores[0].transaction() as tx:
            await tx.insert(Namespace(uid="a", name="hush\0"))
    assert "hush" not in str(caught.value)
