"""Connections that PostgreSQL refuses: each is one line that says where, why and what to do, and shows no password."""

import logging
import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest

from mcisd.aio.clock import SystemClock
from mcisd.demo.engines import PostgresEngine
from mcisd.model.errors import StoreError
from mcisd.model.events import Event
from mcisd.store.metadata import open_store

pytestmark = pytest.mark.engines


async def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(StoreError, match=f"cannot connect to PostgreSQL at 127.0.0.1:{port}/m") as caught:
            await open_store(f"postgresql://mcisd@127.0.0.1:{port}/m", SystemClock(), password="hush")
    assert "server runs" in str(caught.value.remedy)
    assert "hush" not in str(caught.value)


async def test_a_host_that_is_not_known() -> None:
    with pytest.raises(StoreError, match=r"cannot connect to PostgreSQL at nowhere\.invalid/m") as caught:
        await open_store("postgresql://mcisd@nowhere.invalid/m", SystemClock())
    assert caught.value.remedy


async def test_a_database_that_is_not_there(postgres_engine: PostgresEngine) -> None:
    with pytest.raises(StoreError, match='"nothing" does not exist') as caught:
        await open_store(postgres_engine.url_of("nothing"), SystemClock())
    assert "createdb" in str(caught.value.remedy)


async def test_an_encoding_that_will_not_do(postgres_engine: PostgresEngine) -> None:
    await postgres_engine.execute("CREATE DATABASE old ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(StoreError, match="encoding is SQL_ASCII") as caught:
        await open_store(postgres_engine.url_of("old"), SystemClock())
    await postgres_engine.execute("DROP DATABASE old")
    assert "UTF8" in str(caught.value.remedy)


async def test_tls_that_the_server_does_not_have(postgres_url: str) -> None:
    with pytest.raises(StoreError, match="SSL") as caught:
        await open_store(f"{postgres_url}?ssl=require", SystemClock())
    assert "TLS" in str(caught.value.remedy)


@pytest.fixture
async def guarded_url(postgres_engine: PostgresEngine, postgres_url: str) -> AsyncIterator[str]:
    """The URL of a user with the password ``open-sesame``."""
    rules = postgres_engine.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
    await postgres_engine.execute("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'open-sesame'")
    await postgres_engine.execute("SELECT pg_reload_conf()")
    yield postgres_url.replace("postgres@", "guarded@")
    rules.write_text(before)
    await postgres_engine.execute("SELECT pg_reload_conf()")
    connection = await asyncpg.connect(postgres_url, timeout=10)
    await connection.execute("REASSIGN OWNED BY guarded TO postgres; DROP OWNED BY guarded; DROP ROLE guarded")
    await connection.close()


async def test_passwords(guarded_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for wrong in ("wrong-one", None):
        with pytest.raises(StoreError, match="cannot connect") as caught:
            await open_store(guarded_url, SystemClock(), password=wrong)
        assert "password_file" in str(caught.value.remedy)
        assert "wrong-one" not in str(caught.value)
    store = await open_store(guarded_url, SystemClock(), password="open-sesame")
    async with store.transaction() as tx:
        await tx.emit(Event("e", "t", "s", 1.0))
    assert "open-sesame" not in repr(store._engines) + await store.check()
    await store.close()
    assert "open-sesame" not in caplog.text
    assert "wrong-one" not in caplog.text
