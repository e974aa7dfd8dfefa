"""A database URL in, SQLAlchemy engines out: one connection that writes, some that only read."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from mcisd.model.errors import ConfigError

READERS = 4
CHECKOUT_S = 10.0
REMEDY = "use sqlite:///PATH of a file, or postgresql://USER@HOST:PORT/DATABASE"


@dataclass(frozen=True, slots=True)
class Engines:
    """``write`` has one connection and begins at once as the only writer of the database, waiting a bounded time for
    other processes; ``read`` sees one committed state, without waiting for a writer."""

    write: AsyncEngine
    read: AsyncEngine
    place: str
    """Where the database is, to be shown: no password in it."""
    version: str
    """A statement that tells the version of the engine."""
    dial: Callable[[], Awaitable[Any]] | None = None
    """Opens a connection of its own to hear notifications on; None: the engine has none, and one process only."""

    async def close(self) -> None:
        await self.read.dispose()
        await self.write.dispose()


def make_engines(url: str, password: str | None = None, *, patient: bool = False) -> Engines:
    """Engines for ``url``; nothing is opened yet, but the file of SQLite is made, for its owner alone.

    ``patient`` waits minutes, not seconds, for locks and answers: a change of the schema may take its time.
    ConfigError if the URL cannot be used; it never shows the URL, as that might have a password in it.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        from mcisd.store.metadata.engine_sqlite import sqlite_engines

        return sqlite_engines(parsed)
    try:
        from mcisd.store.metadata.engine_postgres import postgres_engines
    except ImportError:
        remedy = "pip install 'mcisd[postgres]'"
        raise ConfigError("the PostgreSQL client asyncpg is not installed", field="url", remedy=remedy) from None
    return postgres_engines(parsed, password, patient=patient)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError("the metadata URL cannot be read", field="url", remedy=REMEDY) from None
    name = parsed.get_backend_name()
    if name not in ("sqlite", "postgresql"):
        raise ConfigError(f"the metadata store does not speak {name!r}", field="url", remedy=REMEDY)
    return parsed


def pooled(url: URL, size: int, **options: Any) -> AsyncEngine:
    """An engine with ``size`` connections at most, the same in what concerns values on all databases."""
    return create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=CHECKOUT_S,
        hide_parameters=True,
        json_serializer=partial(json.dumps, allow_nan=False, ensure_ascii=False, separators=(",", ":")),
        **options,
    )
