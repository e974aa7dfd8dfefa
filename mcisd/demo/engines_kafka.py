"""Kafka on this machine: one or more brokers (KRaft, no ZooKeeper) in a folder. Out: addresses, faults on demand."""

import asyncio
import base64
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcisd.demo.engines_process import REMEDY, EngineError, ServerProcess, cache_folder, run_once
from mcisd.demo.ports import free_ports

VERSION = "4.1.0"
START_TIMEOUT = 120.0
STARTED = "Kafka Server started"
QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""For a Java program that does not live long: no time spent on making it faster."""
QUIET = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


def missing_kafka() -> str:
    """What Kafka lacks on this machine, in one line; empty if nothing."""
    if not shutil.which("java"):
        return "Java is missing (Debian package default-jre-headless)"
    return "" if (_jars() / ".complete").is_file() else f"Kafka {VERSION} is missing from {_jars()}; {REMEDY}"


def _jars() -> Path:
    return cache_folder() / f"kafka-{VERSION}"


class KafkaEngine:
    """Brokers numbered from 0; each is a controller too, so of three one may be lost. Use ``start``."""

    def __init__(self, folder: Path, ports: list[int], listeners: Mapping[str, str]) -> None:
        self.folder = folder
        self._ports = ports
        self._listeners = listeners
        self._brokers: list[ServerProcess] = []

    @classmethod
    async def start(
        cls,
        folder: Path,
        brokers: int = 1,
        *,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        format_with: Sequence[str] = (),
        heap: str = "512m",
        quick: bool = False,
    ) -> "KafkaEngine":
        """Brokers with fresh data below ``folder``, ready to serve. ``properties`` are added to (or stand in for)
        those in server.properties, ``listeners`` are further ones (name → protocol, such as SASL_SSL), and
        ``format_with`` are further arguments of the storage tool, such as ``--add-scram``. ``quick`` starts sooner
        and costs less, but is slower at its best: for tests, not for figures."""
        if lack := missing_kafka():
            raise EngineError(lack)
        further = dict(listeners or {})
        engine = cls(folder, free_ports(brokers * (2 + len(further))), further)
        cluster = _cluster_id()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(brokers):
                    group.create_task(engine._format(number, brokers, cluster, properties or {}, format_with))
            engine._brokers = [engine._process(number, heap, quick) for number in range(brokers)]
            async with asyncio.TaskGroup() as group:
                for number in range(brokers):
                    group.create_task(engine.start_again(number))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return engine

    @property
    def servers(self) -> str:
        """``HOST:PORT,…`` of all brokers, plain text."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports[: self._count])

    def listener(self, name: str) -> str:
        """``HOST:PORT,…`` of all brokers at a further listener."""
        first = (2 + list(self._listeners).index(name)) * self._count
        return ",".join(f"127.0.0.1:{port}" for port in self._ports[first : first + self._count])

    def pid(self, broker: int = 0) -> int:
        """Process id of a broker; 0 if it was never started."""
        return self._brokers[broker].pid

    def running(self, broker: int = 0) -> bool:
        """Whether a broker's process is there."""
        return self._brokers[broker].running

    async def stop(self, broker: int | None = None, kill: bool = False) -> None:
        """End one broker, or all; ``kill`` gives no chance to tidy up. The data stays."""
        chosen = self._brokers if broker is None else [self._brokers[broker]]
        if kill:
            for process in chosen:
                process.kill()
        await asyncio.gather(*(process.stop() for process in chosen))

    async def start_again(self, broker: int = 0) -> None:
        """Start a stopped broker on its port and data; returns when it serves."""
        process = self._brokers[broker]

        async def ready() -> bool:
            return STARTED in process.said()

        await process.start(ready, START_TIMEOUT)

    async def wipe(self) -> None:
        """End all brokers and remove their data."""
        await self.stop(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _count(self) -> int:
        return len(self._ports) // (2 + len(self._listeners))

    def _home(self, number: int) -> Path:
        return self.folder / f"broker-{number}"

    def _process(self, number: int, heap: str, quick: bool) -> ServerProcess:
        arguments = (
            f"-Xmx{heap}",
            *(QUICK if quick else ("-XX:+UseG1GC",)),
            *QUIET,
            "-cp",
            f"{_jars()}/*",
            "kafka.Kafka",
        )
        home = self._home(number)
        return ServerProcess(f"Kafka broker {number}", ["java", *arguments, "server.properties"], home / "broker.log")

    async def _format(
        self, number: int, count: int, cluster: str, more: Mapping[str, str], arguments: Sequence[str]
    ) -> None:
        home = self._home(number)
        home.mkdir(parents=True)
        values = self._properties(number, count) | dict(more)
        file = home / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        file.chmod(0o600)
        tool = ("java", *QUICK, *QUIET, "-cp", f"{_jars()}/*", "kafka.tools.StorageTool")
        await run_once("Kafka's storage tool", [*tool, "format", "-t", cluster, "-c", str(file), *arguments])

    def _properties(self, number: int, count: int) -> dict[str, str]:
        plain, control = self._ports[number], self._ports[count : 2 * count]
        further = {name: self._ports[(2 + i) * count + number] for i, name in enumerate(self._listeners)}
        public = [f"{name}://127.0.0.1:{port}" for name, port in {"PLAINTEXT": plain, **further}.items()]
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **self._listeners}
        copies = str(min(3, count))
        return {
            "process.roles": "broker,controller",
            "node.id": str(number + 1),
            "controller.quorum.voters": ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(control)),
            "listeners": ",".join([*public, f"CONTROLLER://127.0.0.1:{control[number]}"]),
            "advertised.listeners": ",".join(public),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            "log.dirs": str(self._home(number) / "data"),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "6",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "1",
            "min.insync.replicas": str(max(1, min(3, count) - 1)),
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            "controlled.shutdown.enable": "true" if count > 1 else "false",
            "broker.session.timeout.ms": "6000",  # so long a killed broker must wait before it may come back
            "broker.heartbeat.interval.ms": "1000",
        }


def _cluster_id() -> str:
    """Sixteen random bytes as Kafka writes them; never with a dash in front, which its tool takes for an option."""
    while (made := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")).startswith("-"):
        continue
    return made
