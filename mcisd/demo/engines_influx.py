"""InfluxDB on this machine: one server with its data in a folder. Out: its address, organisation, bucket and token."""

import os
import secrets
import shutil
from pathlib import Path

import aiohttp

from mcisd.demo.engines_process import REMEDY, EngineError, ServerProcess, cache_folder
from mcisd.demo.ports import free_ports

VERSION = "2.7.12"
START_TIMEOUT = 30.0
CALL = aiohttp.ClientTimeout(total=10.0)


def missing_influx() -> str:
    """What InfluxDB lacks on this machine, in one line; empty if nothing."""
    program = _program()
    return "" if os.access(program, os.X_OK) else f"InfluxDB {VERSION} is missing from {program}; {REMEDY}"


def _program() -> Path:
    return cache_folder() / f"influxdb-{VERSION}" / "influxd"


class InfluxEngine:
    """One server. Use ``start``, which also sets it up: ``token`` may do everything, ``bucket`` is empty."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.org = "mcisd"
        self.bucket = "mcisd"
        self.token = secrets.token_urlsafe(24)
        paths = [f"--{name}-path={folder / file}" for name, file in
                 (("engine", "engine"), ("bolt", "influxd.bolt"), ("sqlite", "influxd.sqlite"))]  # fmt: skip
        command = [str(_program()), f"--http-bind-address=127.0.0.1:{port}", *paths]
        command += ["--reporting-disabled", "--log-level=error"]
        self._process = ServerProcess("InfluxDB", command, folder / "influxd.log")

    @classmethod
    async def start(cls, folder: Path) -> "InfluxEngine":
        """A server with fresh data in ``folder``, set up and ready."""
        if lack := missing_influx():
            raise EngineError(lack)
        engine = cls(folder)
        await engine.start_again()
        try:
            await engine._set_up()
        except BaseException:
            engine.kill()
            raise
        return engine

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start_again(self) -> None:
        """Start the stopped server on its port and data; returns when it serves."""
        await self._process.start(self._healthy, START_TIMEOUT)

    async def stop(self, kill: bool = False) -> None:
        """End it; ``kill`` gives no chance to tidy up. The data stays."""
        if kill:
            self.kill()
        await self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    async def wipe(self) -> None:
        """End it and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def new_bucket(self, name: str, retention_s: int = 0) -> None:
        """Make a bucket; ``retention_s`` 0 keeps for ever."""
        headers = {"Authorization": f"Token {self.token}"}
        async with aiohttp.ClientSession(timeout=CALL, headers=headers) as session:
            async with session.get(f"{self.url}/api/v2/orgs", params={"org": self.org}) as answer:
                org = (await answer.json())["orgs"][0]["id"]
            rules = [{"type": "expire", "everySeconds": retention_s}]
            content = {"orgID": org, "name": name, "retentionRules": rules}
            async with session.post(f"{self.url}/api/v2/buckets", json=content) as answer:
                if answer.status != 201:
                    raise EngineError(f"InfluxDB made no bucket {name}: {answer.status} {await answer.text()}")

    async def _healthy(self) -> bool:
        try:
            async with aiohttp.ClientSession(timeout=CALL) as session, session.get(f"{self.url}/health") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _set_up(self) -> None:
        content = {"username": "admin", "password": secrets.token_urlsafe(18), "org": self.org, "bucket": self.bucket,
                   "token": self.token, "retentionPeriodSeconds": 0}  # fmt: skip
        async with (
            aiohttp.ClientSession(timeout=CALL) as session,
            session.post(f"{self.url}/api/v2/setup", json=content) as answer,
        ):
            if answer.status != 201:
                raise self._process.error(f"refused to be set up ({answer.status})")
