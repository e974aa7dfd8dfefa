"""The daemon at scale, on this machine: every role in processes of its own, on Apache Kafka, InfluxDB and PostgreSQL.

The engines come from the cache that ``make engines`` fills. All processes share one home, so they have one secret key.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from mcisd.demo.engines import EngineError, InfluxEngine, KafkaEngine, PostgresEngine, missing_engines
from mcisd.demo.ports import free_port
from mcisd.demo.process import RoleProcess, environment
from mcisd.demo.telling import StepFailedError

PROCESSES = {
    "writer-1": "writer", "writer-2": "writer", "alarms-1": "alarms", "alarms-2": "alarms",
    "collector-1": "collector", "collector-2": "collector", "controller-1": "controller", "controller-2": "controller",
    "api-1": "api",
}  # fmt: skip
AT_ONCE = max(2, os.cpu_count() or 2)


class Engines:
    """The three engines with fresh data. ``home`` keeps the token; the data lie in a folder that PostgreSQL's user may
    enter, and are removed at the end."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = Path(tempfile.mkdtemp(prefix="mcisd-engines-"))
        self._folder.chmod(0o755)
        self._stack = AsyncExitStack()
        self.kafka: KafkaEngine | None = None
        self.influx: InfluxEngine | None = None
        self.postgres: PostgresEngine | None = None

    async def start(self) -> None:
        """All three at once. EngineError names what is missing and the remedy."""
        if lacking := missing_engines():
            raise EngineError("; ".join(lacking))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_kafka())
            group.create_task(self._start_influx())
            group.create_task(self._start_postgres())

    async def _start_kafka(self) -> None:
        self.kafka = await KafkaEngine.start(self._folder / "kafka")
        self._stack.push_async_callback(self.kafka.stop)

    async def _start_influx(self) -> None:
        self.influx = await InfluxEngine.start(self._folder / "influxdb")
        self._stack.push_async_callback(self.influx.stop)

    async def _start_postgres(self) -> None:
        self.postgres = await PostgresEngine.start(self._folder / "postgresql")
        self._stack.push_async_callback(self.postgres.stop)

    def settings(self) -> dict[str, str]:
        """What makes a process use them."""
        if not (self.kafka and self.influx and self.postgres):
            raise EngineError("the engines do not run")
        token = self._home / "influx-token"
        token.touch(mode=0o600)
        token.write_text(self.influx.token)
        return {
            "BUS_URL": f"kafka://{self.kafka.servers}",
            "STORE_METADATA_URL": self.postgres.url,
            "STORE_SERIES_URL": self.influx.url,
            "STORE_SERIES_ORG": self.influx.org,
            "STORE_SERIES_BUCKET": self.influx.bucket,
            "STORE_SERIES_TOKEN_FILE": str(token),
        }

    async def stop(self) -> None:
        """End them; their data go."""
        await self._stack.aclose()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


class ScaledDaemon:
    """The same as ``DaemonProcess``, in nine processes."""

    def __init__(self, home: Path, processes: dict[str, str] | None = None) -> None:
        self.home = home
        self.cloud_home = home / "cloud"
        self.engines = Engines(home)
        self.processes: dict[str, RoleProcess] = {}
        self._roles = processes or PROCESSES
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def log(self) -> Path:
        return self.home / "api-1.log"

    @property
    def pid(self) -> int:
        return self.processes["api-1"].pid if self.processes else 0

    async def start(self) -> None:
        """The engines if they do not run yet, then every process that does not run."""
        if not self.processes:
            try:
                await self.engines.start()
            except* (EngineError, StepFailedError) as errors:
                words = "; ".join(str(error) for error in errors.exceptions)
                raise StepFailedError("Kafka, InfluxDB and PostgreSQL", words) from None
            self.processes = {name: self._process(name, role) for name, role in self._roles.items()}
            first, *_ = self.processes.values()
            await first.start()  # it makes topics, buckets, tables and the secret key; the others find them
        await self.start_all(self.processes)

    async def start_all(self, names: Iterable[str]) -> None:
        """Start those of these processes that do not run, a few at once: each start takes a second of a processor."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(process: RoleProcess) -> None:
            async with gate:
                if not process.running:
                    await process.start()

        await asyncio.gather(*(one(self.processes[name]) for name in names))

    async def kill(self) -> None:
        """``kill -9`` of every process, at the same moment."""
        await asyncio.gather(*(process.kill() for process in self.processes.values()))

    async def stop(self) -> None:
        """Processes, then engines."""
        await asyncio.gather(*(process.stop() for process in self.processes.values()))
        await self.engines.stop()

    def _process(self, name: str, role: str) -> RoleProcess:
        health = self._port if role == "api" else free_port()
        settings = self.engines.settings() | {
            "NODE_NAME": name,
            "NODE_ROLES": role,
            "NODE_PORT": str(health),
            "API_PORT": str(self._port),
            "COLLECTOR_PORT": str(free_port()),
        }
        return RoleProcess(self.home, name, environment(self.home, settings), ("127.0.0.1", health))
