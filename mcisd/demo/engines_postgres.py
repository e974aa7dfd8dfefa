"""PostgreSQL on this machine: one server with its data in a folder. Out: addresses of databases, faults on demand."""

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from mcisd.demo.engines_process import POLL, EngineError, ServerProcess, run_once
from mcisd.demo.ports import free_ports

LIBRARY = Path("/usr/lib/postgresql")
START_TIMEOUT = 30.0
USER = "postgres"


def missing_postgres() -> str:
    """What PostgreSQL lacks on this machine, in one line; empty if nothing."""
    if _binaries() is None:
        return "PostgreSQL is missing (Debian package postgresql)"
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return f"user {USER} is missing, and PostgreSQL does not run as root" if os.geteuid() == 0 else ""
    return ""


def _binaries() -> Path | None:
    """The programs of the newest version."""
    found = [path.parent for path in LIBRARY.glob("*/bin/initdb") if (path.parent / "psql").exists()]
    return max(found, key=lambda path: int(path.parent.name.partition(".")[0]), default=None)


class PostgresEngine:
    """One server, without passwords, for this host alone. Use ``start``. It refuses to run as root, so where we are
    root it is user ``postgres`` that must be able to reach the folder."""

    def __init__(self, folder: Path, binaries: Path, settings: Mapping[str, str]) -> None:
        (self.port,) = free_ports(1)
        self.folder = folder
        self._user = USER if os.geteuid() == 0 else None
        self._binaries = binaries
        options = {"port": str(self.port), "listen_addresses": "127.0.0.1", **settings}
        options["unix_socket_directories"] = ""
        command = [str(binaries / "postgres"), "-D", str(folder / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        log = folder / "postgres.log"
        self._process = ServerProcess(
            "PostgreSQL", command, log, end_signal=signal.SIGINT, death_signal=signal.SIGQUIT, user=self._user
        )

    @classmethod
    async def start(
        cls, folder: Path, *, fsync: bool = False, settings: Mapping[str, str] | None = None
    ) -> "PostgresEngine":
        """A server with fresh data in ``folder``, ready. Without ``fsync`` it is faster, and loses data only if the
        machine itself fails; figures want it on."""
        binaries = _binaries()
        if binaries is None or missing_postgres():
            raise EngineError(missing_postgres())
        engine = cls(folder, binaries, {"fsync": "on" if fsync else "off", **(settings or {})})
        engine._make_folder()
        initdb = [str(binaries / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", USER, "-E", "UTF8"]
        await run_once("initdb", [*initdb, "--locale=C", "--no-sync"], engine._user)
        await engine.start_again()
        return engine

    @property
    def url(self) -> str:
        """The database that is always there."""
        return self.url_of("postgres")

    @property
    def pid(self) -> int:
        return self._process.pid

    def url_of(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    async def database(self, name: str = "") -> str:
        """Make an empty database (of any name if none is given); returns its URL."""
        name = name or f"db_{secrets.token_hex(6)}"
        await self.execute(f'CREATE DATABASE "{name}" STRATEGY file_copy')
        return self.url_of(name)

    async def execute(self, statement: str) -> None:
        """Run one statement as the superuser."""
        command = [str(self._binaries / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", statement]
        await run_once("psql", command)

    async def start_again(self) -> None:
        """Start the stopped server on its port and data; returns when it serves."""
        check = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]

        async def ready() -> bool:
            try:
                await run_once("pg_isready", check)
            except EngineError:
                return False
            return True

        async with asyncio.timeout(START_TIMEOUT):
            # Workers of a server that was killed soon notice, and hold its memory until then.
            while self._workers():  # noqa: ASYNC110 - another program's processes tell nobody of their end
                await asyncio.sleep(POLL)
        await self._process.start(ready, START_TIMEOUT)

    def _workers(self) -> bool:
        """Whether processes of the server live: each works in the directory of its data."""
        data = self.folder.resolve() / "data"
        for place in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):  # it ended in this moment, or is somebody else's
                if place.readlink() == data:
                    return True
        return False

    async def stop(self, kill: bool = False) -> None:
        """End it; ``kill`` gives no chance to tidy up. The data stays."""
        if kill:
            self.kill()
        await self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    async def restart(self, kill: bool = False) -> None:
        """Stop and start again; connections are lost."""
        await self.stop(kill)
        await self.start_again()

    async def wipe(self) -> None:
        """End it and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._user is None:
            return
        owner = pwd.getpwnam(USER)
        closed = [path for path in self.folder.absolute().parents if not path.stat().st_mode & 0o001]
        if closed:
            raise EngineError(f"user {USER} cannot enter {closed[-1]}; remedy: another folder, such as below /tmp")
        os.chown(self.folder, owner.pw_uid, owner.pw_gid)
