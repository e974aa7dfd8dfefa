"""A PostgreSQL URL and its password in, engines out. The only module that knows asyncpg."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from mcisd.model.errors import ConfigError, StoreError
from mcisd.store.metadata.engine import READERS, REMEDY, Engines, pooled

OLDEST = 13
CONNECT_S = 10.0
LOCK = "SELECT pg_advisory_xact_lock(7162113, 1)"
"""Taken by every writing transaction of every process; any two numbers would do, as the database is ours alone."""
OPTIONS = frozenset(
    ("host", "port", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_min_protocol_version")
)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to wait for a lock; for a statement; for any answer, if the server does not keep to these; and, for the
    server, for a transaction in which nothing comes.

    A writer that hangs would hold up all others, so the server ends it soon after those have begun to give up.
    """

    lock: float = 10.0
    statement: float = 30.0
    answer: float = 35.0
    idle: float = 15.0


WRITER = Patience()
PATIENT = Patience(lock=120.0, statement=600.0, answer=605.0, idle=60.0)
READER = Patience(idle=120.0)


@dataclass(frozen=True, slots=True)
class Door:
    """How to connect. What shows it does not show the password."""

    target: str
    place: str
    password: str | None = field(repr=False)

    def dial(self, patience: Patience) -> Callable[[], Awaitable[Any]]:
        return partial(_connect, self, patience)


def postgres_engines(parsed: URL, password: str | None, *, patient: bool) -> Engines:
    """Engines for ``postgresql://USER@HOST:PORT/DATABASE?sslmode=…``; nothing is opened yet.

    ``ssl`` is another name for ``sslmode`` (disable, prefer, require, verify-ca, verify-full). ConfigError for a URL
    with a password in it: URLs are shown, the password must not be.
    """
    place = f"PostgreSQL at {parsed.host or parsed.query.get('host') or 'the local socket'}"
    place += f"{f':{parsed.port}' if parsed.port else ''}/{parsed.database}"
    door = Door(_target(parsed), place, password)
    write = _engine(door.dial(PATIENT if patient else WRITER), 1)
    sa.event.listen(write.sync_engine, "begin", lambda connection: connection.exec_driver_sql(LOCK))
    read = _engine(door.dial(READER), READERS, isolation_level="REPEATABLE READ")
    return Engines(
        write=write,
        read=read.execution_options(postgresql_readonly=True),
        place=place,
        version="SHOW server_version",
        dial=door.dial(READER),
    )


def _target(parsed: URL) -> str:
    if parsed.password is not None:
        remedy = "put the password into a file and name it in store.metadata_password_file"
        raise ConfigError("the metadata URL has a password in it", field="url", remedy=remedy)
    if not parsed.database:
        raise ConfigError("the metadata URL names no database", field="url", remedy=REMEDY)
    query = {("sslmode" if name == "ssl" else name): value for name, value in parsed.query.items()}
    if unknown := sorted(query.keys() - OPTIONS):
        remedy = f"leave it out; known are ssl, {', '.join(sorted(OPTIONS))}"
        raise ConfigError(f"the metadata URL has an unknown option {unknown[0]!r}", field="url", remedy=remedy)
    target = URL.create("postgresql", parsed.username, None, parsed.host, parsed.port, parsed.database, query)
    return target.render_as_string()


def _engine(dial: Callable[[], Awaitable[Any]], size: int, **options: Any) -> AsyncEngine:
    engine = pooled(URL.create("postgresql+asyncpg"), size, async_creator=dial, **options)
    sa.event.listen(engine.sync_engine, "checkout", _check_alive)
    return engine


def _check_alive(connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool replace connections that a restart of the server has closed; costs no round trip."""
    if connection.driver_connection.is_closed():
        raise sa.exc.InvalidatePoolError


async def _connect(door: Door, patience: Patience) -> Any:
    """A connection, checked to be of use. StoreError says what is wrong, without the password."""
    settings = {
        "application_name": "mcisd",
        "lock_timeout": f"{int(patience.lock * 1000)}",
        "statement_timeout": f"{int(patience.statement * 1000)}",
        "idle_in_transaction_session_timeout": f"{int(patience.idle * 1000)}",
        "jit": "off",  # it pays for long queries only, and ours are short
    }
    try:
        connection = await asyncpg.connect(
            door.target,
            password=door.password,
            timeout=CONNECT_S,
            command_timeout=patience.answer,
            server_settings=settings,
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        raise _explained(error, door.place) from None
    problem = _unfit(connection)
    if problem is not None:
        await connection.close(timeout=CONNECT_S)
        raise StoreError(f"{door.place}: {problem[0]}", remedy=problem[1])
    return connection


def _unfit(connection: Any) -> tuple[str, str] | None:
    """What is wrong with the server or the database, and the remedy."""
    version, settings = connection.get_server_version(), connection.get_settings()
    encoding = settings.server_encoding
    if version.major < OLDEST:
        return f"version {version.major} is too old", f"use PostgreSQL {OLDEST} or newer"
    if getattr(settings, "in_hot_standby", "off") == "on":  # told by version 14 and newer
        return "this server is a copy that cannot be written", "give the address of the primary server"
    if encoding != "UTF8":
        return f"the database's encoding is {encoding}", "make the database with ENCODING 'UTF8' TEMPLATE template0"
    return None


def _explained(error: Exception, place: str) -> StoreError:
    words = next(iter(str(error).splitlines()), "")
    reason, remedy = words, "see whether the server runs and may be reached"
    if isinstance(error, TimeoutError):
        reason = f"no answer within {CONNECT_S:.0f} s"
    elif isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        remedy = "check the user in store.metadata_url, store.metadata_password_file and the server's pg_hba.conf"
    elif isinstance(error, asyncpg.InvalidCatalogNameError):
        remedy = "make it with `createdb`, owned by the user of the URL"
    elif isinstance(error, asyncpg.TooManyConnectionsError):
        remedy = "raise max_connections of the server; each process of mcisd takes up to 6"
    elif isinstance(error, asyncpg.CannotConnectNowError):
        remedy = "wait until the server has started"
    elif isinstance(error, (asyncpg.InterfaceError, ValueError)):
        remedy = "check store.metadata_url and its options"
    elif isinstance(error, OSError) and "SSL" in words:
        remedy = "set up TLS on the server, or leave sslmode out of store.metadata_url"
    return StoreError(f"cannot connect to {place}: {reason}", remedy=remedy)
