"""The system under test: real engines and real daemon processes. In: which processes, how many brokers. Out: things to
kill, stop, freeze and start again; settings to reach the stores with.
"""

from pathlib import Path

from mcisd.daemon.settings import Settings, load_settings
from mcisd.demo.engines import InfluxEngine, KafkaEngine, PostgresEngine
from mcisd.demo.ports import free_ports
from mcisd.demo.process import RoleProcess, environment
from mcisd.demo.scaled import PROCESSES, Engines, ScaledDaemon

ALL = dict(PROCESSES)
"""Two of each role that can be many, nine processes."""
FEW = {
    "writer-1": "writer",
    "alarms-1": "alarms",
    "collector-1": "collector",
    "collector-2": "collector",
    "controller-1": "controller,api",
}


class LabEngines(Engines):
    """``brokers`` 3 means replication 3 and at least two copies for a write to count."""

    def __init__(self, home: Path, brokers: int) -> None:
        super().__init__(home)
        self._brokers = brokers

    async def _start_kafka(self) -> None:
        self.kafka = await KafkaEngine.start(self._folder / "kafka", self._brokers)
        self._stack.push_async_callback(self.kafka.stop)

    @property
    def all(self) -> tuple[KafkaEngine, InfluxEngine, PostgresEngine]:
        assert self.kafka is not None
        assert self.influx is not None
        assert self.postgres is not None
        return self.kafka, self.influx, self.postgres


class LabDaemon(ScaledDaemon):
    """The daemon's processes. Collectors keep their ports over restarts and listen on ``host``. Nobody installs agents:
    the swarm's are there already."""

    def __init__(self, home: Path, processes: dict[str, str], *, brokers: int, host: str, interval_s: float) -> None:
        super().__init__(home, processes)
        self.engines._folder.rmdir()  # ours take the place of these, which have not begun
        self.lab_engines = LabEngines(home, brokers)
        self.engines = self.lab_engines
        self.roles = processes
        self._host = host
        self._interval_s = interval_s
        self._ports = dict(zip(processes, free_ports(len(processes)), strict=True))
        self._health = dict(zip(processes, free_ports(len(processes)), strict=True))

    @property
    def collectors(self) -> list[tuple[str, int]]:
        """Where the agents may call."""
        return [(self._host, self._ports[name]) for name, role in self._roles.items() if "collector" in role]

    @property
    def settings(self) -> Settings:
        """Those of an api process: they name the stores and the secret key."""
        return load_settings(environment=self._environment("lab", "api"))

    def certificate(self) -> Path:
        """The authority that the agents trust; it is there once the first collector runs."""
        return min((self.home / "tls").rglob("ca.pem"))

    def _process(self, name: str, role: str) -> RoleProcess:
        return RoleProcess(self.home, name, self._environment(name, role), ("127.0.0.1", self._health[name]))

    def _environment(self, name: str, role: str) -> dict[str, str]:
        health = str(self._health.get(name, 0))
        settings = self.engines.settings() | {
            "NODE_NAME": name,
            "NODE_ROLES": role,
            "NODE_PORT": health,
            "API_PORT": health if "api" in role else "0",
            "COLLECTOR_HOST": self._host,
            "COLLECTOR_PORT": str(self._ports.get(name, 0)),
            "AGENTS_ENABLED": "false",
            "AGENTS_INTERVAL_S": str(self._interval_s),
        }
        return environment(self.home, settings)
