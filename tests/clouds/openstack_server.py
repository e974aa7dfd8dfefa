"""The real control plane of OpenStack from Debian's packages, in a folder. In: that folder. Out: services.

No service of the system is touched: MariaDB, RabbitMQ and the services are children of this process, on free ports of
loopback, and all their files are in the folder. What the first start has made of an empty database is kept in the
cache, so that later starts begin there.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mcisd.demo.ports import free_ports
from tests.clouds.openstack_config import COMPUTE_HOST, DATABASES, REGION, SECRET, Plan, Ports, catalogue, files

PYTHON = "/usr/bin/python3"
"""Debian's: the packages are for it alone."""
PACKAGES = (
    "keystone", "glance-api", "placement-api", "nova-api", "nova-scheduler", "nova-conductor", "neutron-server",
    "rabbitmq-server", "mariadb-server",
)  # fmt: skip
CACHE = Path(os.environ.get("MCISD_OPENSTACK_DIR") or Path.home() / ".cache/mcisd/openstack")
PATIENCE = 180.0
WSGI = Path(__file__).with_name("openstack_wsgi.py")
COMPUTE = "from nova.cmd.compute import main; main()"
"""The package nova-compute would bring a hypervisor; the service itself is in nova's library."""


def missing_packages() -> list[str]:
    """Names of the packages that are not installed."""
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Status}\\n", *PACKAGES], capture_output=True, text=True, check=False
    )
    there = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith("install ok installed")}
    return [name for name in PACKAGES if name not in there]


class ControlPlane:
    """Starts and stops it all; ``plan`` says where the services are."""

    def __init__(self, folder: Path, shm: Path) -> None:
        self.plan = Plan(folder, shm / "db.sock", Ports(*free_ports(8)))
        self._shm = shm
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self) -> None:
        """Everything, until each service answers; stopped again if that fails."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process that was started here, in the order in which they depend on each other."""
        for name, child in reversed(self._children):
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGTERM if name in ("mariadb", "epmd") else signal.SIGKILL)
        for _, child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self._children.clear()

    def compute(self) -> None:
        """Look for compute hosts: without it nova schedules nothing onto a new one."""
        self._run("nova-manage", *self._config("nova"), "cell_v2", "discover_hosts")

    def keep(self) -> None:
        """Keep what is in the databases now, for later starts."""
        CACHE.mkdir(parents=True, exist_ok=True)
        new = CACHE / f"{os.getpid()}.new"
        with new.open("wb") as file:
            command = ["mariadb-dump", f"--socket={self.plan.socket}", "-uroot", "--databases", *DATABASES]
            subprocess.run(command, stdout=file, check=True)
        shutil.rmtree(self._seed_keys(), ignore_errors=True)
        for name in ("fernet", "credential", "images"):
            shutil.copytree(self.plan.folder / name, self._seed_keys() / name)
        new.replace(self._seed())

    @property
    def seeded(self) -> bool:
        """Whether an earlier start has left a database to begin with."""
        return self._seed().exists()

    def sql(self, text: str) -> None:
        command = ["mariadb", f"--socket={self.plan.socket}", "-uroot"]
        subprocess.run(command, input=text.encode(), check=True, capture_output=True)

    def _start(self) -> None:
        folder, ports = self.plan.folder, self.plan.ports
        for name, text in files(self.plan).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        shutil.copy("/etc/nova/api-paste.ini", folder / "etc/nova")
        for name in ("logs", "locks", "images", "nova/instances", "neutron", "home"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._mariadb()
        self._rabbitmq()
        if self.seeded:
            self._restore()
        else:
            self._make_schemas()
        self._wsgi("keystone", ports.keystone, OS_KEYSTONE_CONFIG_FILES=str(folder / "etc/keystone/keystone.conf"))
        self._wsgi("placement", ports.placement, OS_PLACEMENT_CONFIG_DIR=str(folder / "etc/placement"))
        self._wsgi("nova", ports.nova, OS_NOVA_CONFIG_DIR=str(folder / "etc/nova"))
        self._serve("glance", "glance-api", *self._config("glance"))
        ml2 = ("--config-file", str(folder / "etc/neutron/ml2.ini"))
        # The mechanism driver for tests asserts what only its own tests fulfil: -O leaves assertions out.
        pyc = {"PYTHONPYCACHEPREFIX": str(CACHE / "pyc"), "PYTHONDONTWRITEBYTECODE": ""}
        self._serve("neutron", PYTHON, "-O", "/usr/bin/neutron-server", *self._config("neutron"), *ml2, **pyc)
        self._wait("RabbitMQ", lambda: _listens(ports.rabbit))
        self._serve("conductor", "nova-conductor", *self._config("nova"))
        for service in ("keystone", "placement"):  # the scheduler asks both as it starts
            self._wait(service, partial(_answers, self.plan.url(service)))
        self._serve("scheduler", "nova-scheduler", *self._config("nova"))
        for service in ("keystone", "placement", "nova", "glance", "neutron"):
            self._wait(service, partial(_answers, self.plan.url(service)))
        self._serve("compute", PYTHON, "-c", COMPUTE, *self._config("nova"))

    def _mariadb(self) -> None:
        data = self._shm / "db"
        options = ["--no-defaults", f"--datadir={data}", "--user=root"]
        command = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"]
        self._run(*command)
        tuned = [
            "--skip-networking", f"--socket={self.plan.socket}", "--skip-log-bin", "--performance-schema=off",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--max-connections=500",
            f"--pid-file={self._shm}/db.pid", "--character-set-server=utf8mb3",
        ]  # fmt: skip
        self._serve("mariadb", "mariadbd", *options, *tuned)
        self._wait("MariaDB", self.plan.socket.exists)

    def _rabbitmq(self) -> None:
        folder, ports = self.plan.folder, self.plan.ports
        self._serve("epmd", "epmd", "-address", "127.0.0.1", "-port", str(ports.epmd))
        (folder / "rabbit.plugins").write_text("[].\n")
        self._serve(
            "rabbitmq", "/usr/lib/rabbitmq/bin/rabbitmq-server",
            RABBITMQ_NODENAME=f"mcisd{ports.rabbit}@localhost", RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
            RABBITMQ_NODE_PORT=str(ports.rabbit), RABBITMQ_DIST_PORT=str(ports.rabbit_cluster),
            RABBITMQ_MNESIA_BASE=str(folder / "rabbit"), RABBITMQ_LOG_BASE=str(folder / "logs"),
            RABBITMQ_PID_FILE=str(folder / "rabbit.pid"), RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "rabbit.plugins"),
            RABBITMQ_CONFIG_FILE=str(folder / "none"), RABBITMQ_CONF_ENV_FILE=str(folder / "none"),
            ERL_EPMD_PORT=str(ports.epmd), HOME=str(folder / "home"), RABBITMQ_HOME=str(folder / "home"),
        )  # fmt: skip

    def _make_schemas(self) -> None:
        """Empty databases and the first user: some twenty-five seconds."""
        plan = self.plan
        self.sql("".join(f"CREATE DATABASE {name};" for name in DATABASES))
        for name in ("fernet", "credential"):
            (plan.folder / name).mkdir(mode=0o700)
            self._run("keystone-manage", *self._config("keystone"), f"{name}_setup",
                      "--keystone-user", "root", "--keystone-group", "root")  # fmt: skip
        self._run("keystone-manage", *self._config("keystone"), "db_sync")
        url = f"{plan.url('keystone')}/v3"
        self._run(
            "keystone-manage", *self._config("keystone"), "bootstrap", "--bootstrap-password", SECRET,
            "--bootstrap-region-id", REGION, "--bootstrap-public-url", url, "--bootstrap-internal-url", url,
        )  # fmt: skip
        self.sql(
            "".join(
                f"INSERT INTO keystone.service (id, type, enabled, extra) VALUES ('{kind}', '{kind}', 1, '{{}}');"
                f"INSERT INTO keystone.endpoint (id, interface, service_id, url, extra, enabled, region_id)"
                f" VALUES ('{kind}', 'public', '{kind}', '{url}', '{{}}', 1, '{REGION}'),"
                f" ('{kind}-in', 'internal', '{kind}', '{url}', '{{}}', 1, '{REGION}');"
                for kind, url in catalogue(plan).items()
                if kind != "identity"
            )
        )
        self._run("placement-manage", *self._config("placement"), "db", "sync")
        self._run("glance-manage", *self._config("glance"), "db_sync")
        nova = ("nova-manage", *self._config("nova"))
        self._run(*nova, "api_db", "sync")
        self._run(*nova, "cell_v2", "map_cell0", "--database_connection", plan.database("nova_cell0"))
        self._run(*nova, "cell_v2", "create_cell", "--name=cell1")
        self._run(*nova, "db", "sync")
        ml2 = ("--config-file", str(plan.folder / "etc/neutron/ml2.ini"))
        self._run("neutron-db-manage", *self._config("neutron"), *ml2, "upgrade", "head")

    def _restore(self) -> None:
        """The databases of an earlier start, with the addresses of this one."""
        plan = self.plan
        self.sql(self._seed().read_text())
        for name in ("fernet", "credential", "images"):
            shutil.copytree(self._seed_keys() / name, plan.folder / name, dirs_exist_ok=True)
        self.sql(
            "".join(
                f"UPDATE keystone.endpoint e JOIN keystone.service s ON e.service_id=s.id SET e.url='{url}'"
                f" WHERE s.type='{kind}';"
                for kind, url in catalogue(plan).items()
            )
            + f"UPDATE nova_api.cell_mappings SET transport_url='{plan.transport}',"
            f" database_connection='{plan.database('nova')}' WHERE name='cell1';"
            f"UPDATE nova_api.cell_mappings SET database_connection='{plan.database('nova_cell0')}' WHERE name='cell0';"
            f"UPDATE glance.image_locations SET value=CONCAT('file://{plan.folder}/images/', image_id);"
            # a host that nothing was heard of for long is taken for dead
            f"UPDATE nova.services SET updated_at=NULL, created_at=UTC_TIMESTAMP() WHERE host='{COMPUTE_HOST}';"
        )

    def _config(self, service: str) -> tuple[str, str]:
        name = {"glance": "glance-api"}.get(service, service)
        return "--config-file", str(self.plan.folder / f"etc/{service}/{name}.conf")

    def _wsgi(self, name: str, port: int, **environment: str) -> None:
        self._serve(name, PYTHON, "-P", str(WSGI), name, str(port), **environment)

    def _serve(self, name: str, *command: str, **environment: str) -> None:
        """Start a child of ours with its own process group; its words go to a log."""
        with (self.plan.folder / f"logs/{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**_environment(), **environment}, cwd=self.plan.folder,
            )  # fmt: skip
        self._children.append((name, child))

    def _run(self, *command: str) -> None:
        """Run a command to its end; its words go to a log, and into the error."""
        with (self.plan.folder / "logs/manage.log").open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            done = subprocess.run(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=_environment(), timeout=300, check=False
            )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed; see {self.plan.folder}/logs/manage.log")

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not ready():
            dead = [who for who, child in self._children if child.poll() is not None]
            if dead or time.monotonic() > end:
                why = f"{', '.join(dead)} ended" if dead else f"it did not come up within {PATIENCE:.0f} s"
                raise RuntimeError(f"{name}: {why}; logs are in {self.plan.folder}/logs")
            time.sleep(0.05)

    def _seed(self) -> Path:
        return CACHE / f"{_versions()}.sql"

    def _seed_keys(self) -> Path:
        return CACHE / _versions()


def _versions() -> str:
    """The installed versions, so that an upgrade of the packages begins with empty databases."""
    told = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package}=${Version} ", *PACKAGES], capture_output=True, text=True, check=True
    ).stdout
    return "seed-" + hashlib.sha256(f"2 {told}".encode()).hexdigest()[:16]


def _environment() -> dict[str, str]:
    """Ours without what would lead Debian's Python astray."""
    path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    keep = {k: v for k, v in os.environ.items() if k in ("LANG", "TZ", "HOME", "MCISD_CI_RUN")}
    return {**keep, "PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "OS_LOG_LEVEL": "WARNING"}


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
