"""The schema: migrations give what the mapping expects, go back, and refuse what they do not know."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mcisd.aio.clock import ManualClock
from mcisd.model import alarms, records
from mcisd.model.errors import ConfigError, StoreError
from mcisd.model.events import Event
from mcisd.store.metadata import KINDS, open_store
from mcisd.store.metadata.mapping import metadata
from mcisd.store.metadata.upgrade import HEAD, alembic_config, migrate, revision, upgrade


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


def set_revision(path: Path, value: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (value,))
    connection.close()


def test_every_record_class_has_a_table() -> None:
    found = {
        item
        for module in (records, alarms)
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, records.Record) and item is not records.Record
    }
    assert found == set(KINDS)
    assert len({kind.table for kind in KINDS}) == len(KINDS)


async def test_migrated_schema_equals_the_mapping(path: Path) -> None:
    assert await upgrade(f"sqlite:///{path}") is None
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    assert await upgrade(f"sqlite:///{path}") == HEAD


def test_head_is_the_newest_migration_and_all_go_back(path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        assert ScriptDirectory.from_config(alembic_config(connection)).get_current_head() == HEAD
        migrate(connection, None)
        assert revision(connection) == HEAD
        migrate(connection, HEAD, "base")
        assert revision(connection) is None
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
        migrate(connection, None)
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version", *metadata.tables}
    engine.dispose()


async def test_up_and_down_with_data(path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection, None, "0001")
        assert not {"node", "lease"} & set(sa.inspect(connection).get_table_names())
        connection.exec_driver_sql(
            "INSERT INTO namespace (uid, version, created_at, name, doc) VALUES ('n', 3, 5, 'old', '{}')"
        )
    store = await open_store(f"sqlite:///{path}", ManualClock())
    async with store.transaction() as tx:
        old = await tx.get(records.Namespace, "n")
        assert old == records.Namespace(uid="n", version=3, created_at=5.0, name="old")
        await tx.insert(records.Lease(uid="relay", owner="node-1"))
        sent = await tx.emit(Event("e", "t", "s", 1.0))
    await store.close()
    with engine.begin() as connection:
        migrate(connection, HEAD, "0001")
        assert revision(connection) == "0001"
        assert not {"node", "lease"} & set(sa.inspect(connection).get_table_names())
    engine.dispose()
    store = await open_store(f"sqlite:///{path}", ManualClock())
    async with store.reading() as tx:
        assert await tx.find(records.Namespace) == [old]
        assert await tx.count(records.Lease) == 0
    assert await store.events_after(0, 10) == [sent]
    await store.close()


async def test_requests_of_calls_up_and_down(path: Path) -> None:
    """A history written by the version before goes on; going back loses the new column alone."""
    old = "INSERT INTO call (uid, version, created_at, connection, doc) VALUES ('old', 1, 5, 'c', ?)"
    facts = '{"provider": "p", "region": "r", "resource": "VM", "api": "start_vm", "elapsed_ms": 1.0, "attempt": 1}'
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection, None, "0002")
        connection.exec_driver_sql(old, (facts,))
        migrate(connection, "0002", "0003")
        connection.exec_driver_sql(old.replace("'old'", "'beside'"), (facts,))
    store = await open_store(f"sqlite:///{path}", ManualClock())
    call = records.Call(
        uid="new", created_at=6.0, connection="c", provider="p", region="r", resource="VM", api="start_vm",
        elapsed_ms=1.0, attempt=1, requests=7,
    )  # fmt: skip
    await store.add_calls([call])
    async with store.reading() as tx:
        assert {row.uid: row.requests for row in await tx.find(records.Call)} == {"old": 0, "beside": 0, "new": 7}
    await store.close()
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT sum(requests) FROM call").scalar() == 7
        migrate(connection, HEAD, "0002")
        assert "requests" not in {column["name"] for column in sa.inspect(connection).get_columns("call")}
        assert connection.exec_driver_sql("SELECT count(*) FROM call").scalar() == 3
    engine.dispose()


async def test_a_newer_database_is_refused(path: Path) -> None:
    await upgrade(f"sqlite:///{path}")
    set_revision(path, "9999")
    with pytest.raises(StoreError, match="newer mcisd") as caught:
        await open_store(f"sqlite:///{path}", ManualClock())
    assert "backup" in str(caught.value.remedy)


async def test_an_empty_database_is_refused_without_auto_upgrade(path: Path) -> None:
    with pytest.raises(StoreError, match="empty") as caught:
        await open_store(f"sqlite:///{path}", ManualClock(), auto_upgrade=False)
    assert caught.value.remedy == "run `mcisd db upgrade`"
    await upgrade(f"sqlite:///{path}")
    store = await open_store(f"sqlite:///{path}", ManualClock(), auto_upgrade=False)
    await store.close()


async def test_the_file_is_private(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}", ManualClock())
    await store.last_sequence()
    modes = {item.name: item.stat().st_mode & 0o777 for item in path.parent.iterdir()}
    await store.close()
    assert modes == dict.fromkeys(("metadata.db", "metadata.db-wal", "metadata.db-shm"), 0o600)


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "oracle://u:pass-word@h/d"])
async def test_urls_that_are_not_for_us(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await open_store(url, ManualClock())
    assert caught.value.field == "url"
    assert "pass-word" not in str(caught.value)


async def test_a_damaged_file(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="not a database") as caught:
        await open_store(f"sqlite:///{path}", ManualClock())
    assert "backup" in str(caught.value.remedy)


async def test_a_directory_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot open"):
        await open_store(f"sqlite:///{tmp_path}", ManualClock())
