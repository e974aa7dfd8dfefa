"""A database URL in, SQLAlchemy engines out: one connection that writes, some that only read."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from mcisd.model.errors import ConfigError, StoreError

READERS = 4
BUSY_S = 5.0
CHECKOUT_S = 10.0
# A committed transaction must survive a kill -9 of this process (NORMAL would do) and a loss of power: a VM that is
# paid for at a cloud must not be forgotten here. FULL is one fsync a commit, and commits are tens a second.
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={int(BUSY_S * 1000)}", "journal_size_limit=16777216")


@dataclass(frozen=True, slots=True)
class Engines:
    """``write`` has one connection and begins at once as the writer; ``read`` sees the last committed state."""

    write: AsyncEngine
    read: AsyncEngine

    async def close(self) -> None:
        await self.read.dispose()
        await self.write.dispose()


def make_engines(url: str) -> Engines:
    """Engines for ``sqlite:///PATH``; nothing is opened yet except that the file is made, for its owner alone."""
    parsed = _parse(url)
    path = Path(str(parsed.database))
    _prepare(path)
    target = URL.create("sqlite+aiosqlite", database=str(path))
    return Engines(
        write=_engine(target, 1, "BEGIN IMMEDIATE", PRAGMAS),
        read=_engine(target, READERS, "BEGIN", (*PRAGMAS, "query_only=ON")),
    )


def _parse(url: str) -> URL:
    remedy = "use sqlite:///PATH of a file"
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError("the metadata URL cannot be read", field="url", remedy=remedy) from None
    if parsed.get_backend_name() != "sqlite":
        name = parsed.get_backend_name()
        raise ConfigError(f"the metadata store does not speak {name!r}", field="url", remedy=remedy)
    if parsed.database in (None, "", ":memory:"):
        raise ConfigError("the metadata store needs a file", field="url", remedy=remedy)
    return parsed


def _prepare(path: Path) -> None:
    """Make the file with mode 0600 (its side files get the same): it holds sealed secrets and token hashes."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        remedy = "check that the directory exists and may be written"
        raise StoreError(f"cannot open the database {path}: {error.strerror}", remedy=remedy) from None


def _engine(url: URL, size: int, begin: str, pragmas: tuple[str, ...]) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=CHECKOUT_S,
        connect_args={"timeout": BUSY_S},
        hide_parameters=True,
        json_serializer=partial(json.dumps, allow_nan=False, ensure_ascii=False, separators=(",", ":")),
    )
    sa.event.listen(engine.sync_engine, "connect", _on_connect(pragmas))
    sa.event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _on_connect(pragmas: tuple[str, ...]) -> Callable[[Any, object], None]:
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver's own would take no write lock
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return prepare
