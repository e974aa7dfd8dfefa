"""What only the SQL store has: misuse told early, secrets kept out of errors, durability of the file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.model.errors import StoreError
from mcisd.model.events import Event
from mcisd.model.records import Credential, Namespace, Record
from mcisd.store.metadata import SqlStore, open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = await open_store(f"sqlite:///{tmp_path}/m.db", ManualClock(1000.0))
    yield store
    await store.close()


async def test_created_at_comes_from_the_clock(store: SqlStore) -> None:
    async with store.transaction() as tx:
        assert (await tx.insert(Namespace(uid="a", name="a"))).created_at == 1000.0


async def test_a_transaction_inside_a_transaction_is_told(store: SqlStore) -> None:
    async with store.transaction():
        with pytest.raises(RuntimeError, match="inside a transaction"):
            async with store.transaction():
                raise AssertionError("not reached")


async def test_a_kind_that_is_not_kept(store: SqlStore) -> None:
    async with store.reading() as tx:
        with pytest.raises(TypeError, match="not a kind"):
            await tx.get(Record, "x")


async def test_a_wrong_value_is_refused_and_not_shown(store: SqlStore) -> None:
    wrong = Credential(uid="c", name="c", provider="mock", keys=("a",), sealed=("hush",))  # type: ignore[arg-type]  # meant
    with pytest.raises(TypeError, match="Credential 'c'") as caught:
        async with store.transaction() as tx:
            await tx.insert(wrong)
    assert "hush" not in str(caught.value)


async def test_what_json_cannot_hold(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        async with store.transaction() as tx:
            await tx.emit(Event("i", "t", "s", 1.0, {"value": float("nan")}))
    assert await store.last_sequence() == 0


async def test_a_database_held_by_another_process_too_long(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcisd.store.metadata.engine_sqlite.PRAGMAS", ("busy_timeout=10",))
    monkeypatch.setattr("mcisd.store.metadata.engine_sqlite.BUSY_S", 0.01)
    impatient = await open_store(f"sqlite:///{tmp_path}/m.db", ManualClock())
    other = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as caught:
        async with impatient.transaction():
            raise AssertionError("not reached")
    other.rollback()
    other.close()
    assert "another process" in str(caught.value.remedy)
    async with impatient.transaction() as tx:
        await tx.insert(Namespace(uid="a", name="a"))
    await impatient.close()


async def test_close_waits_for_what_is_under_way_and_refuses_the_rest(store: SqlStore) -> None:
    async with store.reading() as reader, store.transaction() as tx:
        closing = asyncio.get_running_loop().create_task(store.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        with pytest.raises(StoreError, match="closed"):
            await store.last_sequence()
        await tx.insert(Namespace(uid="a", name="a"))
        assert await reader.count(Namespace) == 0
    await closing
    with pytest.raises(StoreError, match="closed"):
        async with store.transaction():
            raise AssertionError("not reached")


async def test_commits_are_synced(store: SqlStore, tmp_path: Path) -> None:
    async with store._connect() as connection:
        mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
        synchronous = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar()
    assert (mode, synchronous) == ("wal", 2)
