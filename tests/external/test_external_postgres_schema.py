"""The schema on PostgreSQL: as the mapping expects it, up and down with data in it, made once by many processes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncEngine

from mcisd.aio.clock import ManualClock
from mcisd.model.errors import StoreError
from mcisd.model.events import Event
from mcisd.model.records import Call, Lease, Namespace, Vm
from mcisd.store.metadata import open_store
from mcisd.store.metadata.engine import make_engines
from mcisd.store.metadata.mapping import metadata
from mcisd.store.metadata.upgrade import HEAD, migrate, revision, upgrade

pytestmark = pytest.mark.engines
START = """
import asyncio, sys
from mcisd.aio.clock import SystemClock
from mcisd.store.metadata import open_store

async def main():
    store = await open_store(sys.argv[1], SystemClock())
    print(await store.check())
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engines = make_engines(postgres_url)
    yield engines.write
    await engines.close()


def differences(connection: sa.Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))


def tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


async def test_migrated_schema_equals_the_mapping(postgres_url: str, engine: AsyncEngine) -> None:
    assert await upgrade(postgres_url) is None
    assert await upgrade(postgres_url) == HEAD
    async with engine.begin() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(tables) == {"alembic_version", *metadata.tables}


async def test_up_and_down_with_data(postgres_url: str, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(migrate, None, "0001")
        assert not {"node", "lease"} & await connection.run_sync(tables)
        await connection.exec_driver_sql(
            "INSERT INTO namespace (uid, version, created_at, name, doc) VALUES ('n', 3, 5, 'old', '{}')"
        )
    vm = Vm(uid="v", mcis="i", mcis_name="web", ns="n", name="a", connection="c", agent_node="node-1")
    store = await open_store(postgres_url, ManualClock())
    async with store.transaction() as tx:
        assert await tx.get(Namespace, "n") == Namespace(uid="n", version=3, created_at=5.0, name="old")
        await tx.insert(Lease(uid="relay", owner="node-1"))
        vm = await tx.insert(vm)
        sent = await tx.emit(Event("e", "t", "s", 1.0))
    await store.close()
    async with engine.begin() as connection:
        await connection.run_sync(migrate, HEAD, "0001")
        assert await connection.run_sync(revision) == "0001"
        assert not {"node", "lease"} & await connection.run_sync(tables)
    store = await open_store(postgres_url, ManualClock())
    async with store.reading() as tx:
        assert await tx.get(Vm, "v") == vm
        assert await tx.count(Lease) == 0
    assert await store.events_after(0, 10) == [sent]
    await store.close()
    async with engine.begin() as connection:
        await connection.run_sync(migrate, HEAD, "base")
        assert await connection.run_sync(tables) == {"alembic_version"}


async def test_requests_of_calls_up_and_down(postgres_url: str, engine: AsyncEngine) -> None:
    """A history written by the version before goes on; going back loses the new column alone."""
    facts = '{"provider": "p", "region": "r", "resource": "VM", "api": "start_vm", "elapsed_ms": 1.0, "attempt": 1}'
    old = f"INSERT INTO call (uid, version, created_at, connection, doc) VALUES ('old', 1, 5, 'c', '{facts}')"
    async with engine.begin() as connection:
        await connection.run_sync(migrate, None, "0002")
        await connection.execute(sa.text(old.replace(":", r"\:")))
        await connection.run_sync(migrate, "0002", "0003")
        await connection.execute(sa.text(old.replace(":", r"\:").replace("'old'", "'beside'")))
    store = await open_store(postgres_url, ManualClock())
    call = Call(
        uid="new", created_at=6.0, connection="c", provider="p", region="r", resource="VM", api="start_vm",
        elapsed_ms=1.0, attempt=1, requests=7,
    )  # fmt: skip
    await store.add_calls([call])
    async with store.reading() as tx:
        assert {row.uid: row.requests for row in await tx.find(Call)} == {"old": 0, "beside": 0, "new": 7}
    await store.close()
    async with engine.begin() as connection:
        await connection.run_sync(migrate, HEAD, "0002")
        assert (await connection.execute(sa.text("SELECT count(*) FROM call"))).scalar() == 3
        assert await connection.run_sync(lambda inner: "requests" not in inner_columns(inner))


def inner_columns(connection: sa.Connection) -> set[str]:
    return {column["name"] for column in sa.inspect(connection).get_columns("call")}


async def test_processes_that_start_at_once(postgres_url: str, engine: AsyncEngine) -> None:
    """One of them migrates; all of them serve."""
    command = [sys.executable, "-c", START, postgres_url]
    runs = [
        asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
        for _ in range(3)
    ]
    for run in await asyncio.gather(*runs):
        assert (run.returncode, run.stderr) == (0, "")
        assert f"schema {HEAD}" in run.stdout
    async with engine.begin() as connection:
        assert await connection.run_sync(differences) == []
        assert (await connection.exec_driver_sql("SELECT count(*) FROM alembic_version")).scalar() == 1


async def test_one_migrates_and_the_others_find_it_done(postgres_url: str) -> None:
    found = await asyncio.gather(*(upgrade(postgres_url) for _ in range(4)))
    assert sorted(found, key=str) == [HEAD, HEAD, HEAD, None]


async def test_a_newer_database_is_refused(postgres_url: str, engine: AsyncEngine) -> None:
    await upgrade(postgres_url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for auto in (True, False):
        with pytest.raises(StoreError, match="9999"):
            await open_store(postgres_url, ManualClock(), auto_upgrade=auto)


async def test_an_older_database_is_refused_without_auto_upgrade(postgres_url: str, engine: AsyncEngine) -> None:
    with pytest.raises(StoreError, match="empty"):
        await open_store(postgres_url, ManualClock(), auto_upgrade=False)
    async with engine.begin() as connection:
        await connection.run_sync(migrate, None, "0001")
    with pytest.raises(StoreError, match="at revision 0001") as caught:
        await open_store(postgres_url, ManualClock(), auto_upgrade=False)
    assert "db upgrade" in str(caught.value.remedy)


async def test_a_schema_that_went_away_underneath(postgres_url: str, engine: AsyncEngine) -> None:
    store = await open_store(postgres_url, ManualClock())
    async with engine.begin() as connection:
        await connection.run_sync(migrate, HEAD, "0001")
    with pytest.raises(StoreError, match="at revision 0001"):
        await store.check()
    await store.close()
