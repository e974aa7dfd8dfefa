"""deploy/: the compose file is whole, its settings are ours, and its two scripts do what they say.

No container is run here; where Docker's compose plugin is installed, it reads the file as well.
"""

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcisd.daemon.main import _flags, _parser
from mcisd.daemon.settings import ROLES, Settings, load_settings
from mcisd.demo import engines_influx, engines_kafka
from mcisd.store.secrets import SecretBox

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("mcisd")}
PROCESSES = {name: one for name, one in OURS.items() if one["command"][0] == "run"}


def settings(service: dict[str, Any]) -> Settings:
    """The settings as the process would load them."""
    environment = {name: value.replace("${PUBLIC_HOST:?run deploy/prepare.sh first}", "front.example")
                   for name, value in service["environment"].items()}  # fmt: skip
    environment["MCISD_HOME"] = "/nowhere"
    return load_settings(environment=environment, flags=_flags(_parser().parse_args(service["command"])))


def docker_says() -> str:
    """What Docker's compose plugin has against the file; nothing where there is no plugin."""
    command = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    if not shutil.which("docker") or subprocess.run([*command[:2], "version"], capture_output=True).returncode:
        return ""
    environment = {**os.environ, "PUBLIC_HOST": "front.example"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    return done.stderr or f"code {done.returncode}" * bool(done.returncode)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_whole(name: str) -> None:
    service = SERVICES[name]
    assert ":" in service["image"]
    assert not service["image"].endswith(":latest")
    assert service["restart"] in ("unless-stopped", "no")
    assert service["healthcheck"].get("test") or service["healthcheck"] == {"disable": True}
    assert (service["restart"] == "no") == (service["healthcheck"] == {"disable": True}) == (name == "migrate")
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    for mount in service["volumes"]:
        source = mount.split(":")[0]
        assert source in COMPOSE["volumes"] or (DEPLOY / source).is_dir(), mount
    for other, how in service.get("depends_on", {}).items():
        assert (how["condition"] == "service_completed_successfully") == (other == "migrate")
        assert other in SERVICES


def test_nothing_is_declared_that_no_service_uses() -> None:
    mounted = {mount.split(":")[0] for one in SERVICES.values() for mount in one["volumes"]}
    assert set(COMPOSE["volumes"]) <= mounted
    assert {secret for one in SERVICES.values() for secret in one.get("secrets", ())} == set(COMPOSE["secrets"])
    assert docker_says() == ""


def test_each_of_our_processes_has_a_volume_of_its_own() -> None:
    volumes = [one["volumes"] for one in OURS.values()]
    assert all(len(mounts) == 1 and mounts[0].endswith(":/var/lib/mcisd") for mounts in volumes)
    assert len({mounts[0] for mounts in volumes}) == len(OURS)


def test_one_service_builds_the_image_of_all() -> None:
    assert [name for name, one in SERVICES.items() if "build" in one] == ["migrate"]
    assert len({one["image"] for one in OURS.values()}) == 1
    build = OURS["migrate"]["build"]
    assert (DEPLOY / build["context"]).resolve() / build["dockerfile"] == DEPLOY / "Dockerfile"
    assert all("migrate" in one["depends_on"] for one in PROCESSES.values())


def test_ports_are_unique_and_only_agents_come_from_outside() -> None:
    ports = [port for one in SERVICES.values() for port in one.get("ports", ())]
    outside = [port.rpartition(":")[0] for port in ports]
    assert len(set(outside)) == len(ports)
    assert {name for name, one in SERVICES.items() for port in one.get("ports", ()) if port.count(":") == 1} == {
        "collector-1",
        "collector-2",
    }


def test_every_role_is_there_and_every_process_has_a_name_of_its_own() -> None:
    loaded = {name: settings(one) for name, one in PROCESSES.items()}
    assert {role for one in loaded.values() for role in one.node.roles} == set(ROLES)
    assert len({one.node.name for one in loaded.values()}) == len(loaded)


@pytest.mark.parametrize("name", OURS)
def test_settings_are_ours_and_point_to_the_engines_beside(name: str) -> None:
    service = OURS[name]
    found = settings(service)
    hosts = re.findall(r"(?:://|@)(?:\w+@)?([a-z]+):\d+", " ".join(service["environment"].values()))
    assert set(hosts) == {"kafka", "influxdb", "postgres"}
    assert not found.alone
    files = (found.store.metadata_password_file, found.store.series_token_file, found.store.secret_key_file)
    assert {path.name for path in files if path} == set(service["secrets"])
    assert all(path and path.parent == Path("/run/mcisd/secrets") for path in files)
    assert any(mount.startswith("/run/mcisd:uid=10001") for mount in service["tmpfs"])


@pytest.mark.parametrize("name", [name for name in PROCESSES if name.startswith("collector")])
def test_agents_are_told_the_port_that_is_published(name: str) -> None:
    found = settings(PROCESSES[name])
    (port,) = PROCESSES[name]["ports"]
    assert found.collector.host == "0.0.0.0"
    assert found.collector.advertise == f"front.example:{port.split(':')[0]}"
    assert str(found.collector.port) == port.split(":")[1]
    assert PROCESSES[name]["stop_grace_period"] == "2m"  # it hands its agents over for up to a minute


@pytest.mark.parametrize("name", PROCESSES)
def test_health_is_asked_where_the_process_answers(name: str) -> None:
    found = settings(PROCESSES[name])
    port = found.api.port if "api" in found.node.roles else found.node.port
    assert f"http://127.0.0.1:{port}/readyz" in PROCESSES[name]["healthcheck"]["test"][-1]


def test_the_engines_are_those_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{engines_kafka.VERSION}"
    assert SERVICES["influxdb"]["image"] == f"influxdb:{engines_influx.VERSION}"


def test_the_image_is_made_of_what_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    sources = [word for word in copied if not word.startswith("--")]
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert sources
    for source in sources:
        assert (DEPLOY.parent / source).exists(), source
        assert f"!{source}" in allowed, source
    assert re.search(r"^USER 10001", text, re.MULTILINE)
    pinned = (DEPLOY.parent / "constraints" / "base.txt").read_text()
    for client in ("aiokafka", "influxdb-client", "asyncpg", "orjson", "uvloop"):
        assert re.search(rf"^{client}==", pinned, re.MULTILINE), client


def prepare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script."""
    shutil.copy(DEPLOY / "prepare.sh", folder)
    command = ["sh", str(folder / "prepare.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_prepare_makes_secrets_once(tmp_path: Path) -> None:
    assert prepare(tmp_path, "front.example").returncode == 0
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert all(len(text.strip()) >= 24 for text in made.values())
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert (tmp_path / ".env").read_text() == "PUBLIC_HOST=front.example\n"
    assert prepare(tmp_path, "other.example").returncode == 0
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
    assert (tmp_path / ".env").read_text() == "PUBLIC_HOST=other.example\n"
    key = tmp_path / "secrets" / "secret.key"
    key.chmod(0o600)
    box = SecretBox.load(key)
    assert box.open(box.seal(b"x", "t"), "t") == b"x"


@pytest.mark.parametrize("host", [(), ("",), ("a b",), ("$(reboot)",)])
def test_prepare_wants_a_host(tmp_path: Path, host: tuple[str, ...]) -> None:
    done = prepare(tmp_path, *host)
    assert (done.returncode, done.stderr.startswith("usage:")) == (2, True)
    assert not (tmp_path / "secrets").exists()


def test_the_container_copies_its_secrets_and_becomes_the_daemon(tmp_path: Path) -> None:
    """The script as it is, but for the directory of its files; a program that tells its arguments is the daemon."""
    secrets, programs = tmp_path / "secrets", tmp_path / "bin"
    secrets.mkdir()
    programs.mkdir()
    (secrets / "secret.key").write_text("s3cret\n")
    (programs / "mcisd").write_text('#!/bin/sh\nprintf "%s\\n" "$$" "$@"\n')
    (programs / "mcisd").chmod(0o755)
    script = (DEPLOY / "entrypoint.sh").read_text().replace("/run/", f"{tmp_path}/")
    process = subprocess.Popen(["sh", "-c", script, "entrypoint", "run", "--roles", "api"], stdout=subprocess.PIPE,
                               text=True, env={"PATH": f"{programs}:{os.environ['PATH']}"})  # fmt: skip
    said, _ = process.communicate(timeout=20)
    assert said.split() == [str(process.pid), "run", "--roles", "api"]
    copy = tmp_path / "mcisd" / "secrets" / "secret.key"
    assert copy.read_text() == "s3cret\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_no_secret_stands_in_the_file() -> None:
    text = json.dumps(COMPOSE)
    assert not re.search(r"password(?!_file|__file|s)[^\"]*\": \"(?!/run)", text, re.IGNORECASE)
    assert all(one["file"].startswith("secrets/") for one in COMPOSE["secrets"].values())
    assert "secrets/" in (DEPLOY / ".gitignore").read_text()
