"""A path in, engines on an SQLite file out. Made for one process; others may write too, but are not heard."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from mcisd.model.errors import ConfigError, StoreError
from mcisd.store.metadata.engine import READERS, Engines, pooled

BUSY_S = 5.0
# A committed transaction must survive a kill -9 of this process (NORMAL would do) and a loss of power: a VM that is
# paid for at a cloud must not be forgotten here. FULL is one fsync a commit, and commits are tens a second.
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={int(BUSY_S * 1000)}", "journal_size_limit=16777216")


def sqlite_engines(parsed: URL) -> Engines:
    """Engines for ``sqlite:///PATH``; nothing is opened yet except that the file is made, for its owner alone.

    A writer begins with the write lock of the file, so writing transactions run one after the other; a reader has a
    snapshot of the write-ahead log.
    """
    if parsed.database in (None, "", ":memory:"):
        raise ConfigError("the metadata store needs a file", field="url", remedy="use sqlite:///PATH of a file")
    path = Path(str(parsed.database))
    _prepare(path)
    target = URL.create("sqlite+aiosqlite", database=str(path))
    return Engines(
        write=_engine(target, 1, "BEGIN IMMEDIATE", PRAGMAS),
        read=_engine(target, READERS, "BEGIN", (*PRAGMAS, "query_only=ON")),
        place=f"SQLite at {path}",
        version="SELECT sqlite_version()",
    )


def _prepare(path: Path) -> None:
    """Make the file with mode 0600 (its side files get the same): it holds sealed secrets and token hashes."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        remedy = "check that the directory exists and may be written"
        raise StoreError(f"cannot open the database {path}: {error.strerror}", remedy=remedy) from None


def _engine(url: URL, size: int, begin: str, pragmas: tuple[str, ...]) -> AsyncEngine:
    engine = pooled(url, size, connect_args={"timeout": BUSY_S})
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
