"""systemd/: the units are ones that systemd knows, and the example settings are ours."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mcisd.daemon.settings import ROLES, Settings, load_settings

SYSTEMD = Path(__file__).resolve().parents[3] / "systemd"
EXAMPLES = sorted(path.stem for path in (SYSTEMD / "examples").glob("*.env") if path.stem != "common")
ANALYZE = shutil.which("systemd-analyze")


def variables(name: str) -> dict[str, str]:
    """An environment file."""
    lines = (SYSTEMD / "examples" / f"{name}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def loaded(name: str) -> Settings:
    """The settings of a process, as its unit gives them."""
    unit = {"MCISD_HOME": f"/var/lib/mcisd/{name}", "MCISD_NODE_NAME": name}
    return load_settings(environment=unit | variables("common") | variables(name))


def test_there_is_an_example_for_every_role() -> None:
    assert {role for name in EXAMPLES for role in loaded(name).node.roles} == set(ROLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_settings_are_ours(name: str) -> None:
    settings = loaded(name)
    assert not settings.alone
    assert settings.node.name == name
    assert settings.node.roles[0] == name.rpartition("-")[0]


def test_processes_of_one_machine_listen_on_ports_of_their_own() -> None:
    ports = []
    for name in EXAMPLES:
        settings = loaded(name)
        ports.append(settings.api.port if "api" in settings.node.roles else settings.node.port)
        ports += [settings.collector.port] if "collector" in settings.node.roles else []
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("unit", ["mcisd.service", "mcisd-agent.service", "mcisd@collector-1.service", "mcisd.target"])
def test_systemd_has_nothing_to_say_against_a_unit(unit: str, tmp_path: Path) -> None:
    """Where systemd is; it says on standard error what it does not know. Programs that are not here are replaced."""
    for path in SYSTEMD.glob("mcisd*"):
        text = path.read_text().replace("/opt/mcisd/bin/mcisd", "/bin/true").replace("/usr/bin/python3", "/bin/true")
        (tmp_path / path.name.replace("@.", "@collector-1.")).write_text(text)
    assert (tmp_path / unit).read_text().startswith("#")
    if ANALYZE:
        command = [ANALYZE, "verify", "--man=no", str(tmp_path / unit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        said = [line for line in (done.stdout + done.stderr).splitlines() if str(tmp_path) in line or unit in line]
        assert (done.returncode, said) == (0, [])  # it speaks of this machine's other units, too


def test_the_template_is_hardened_like_the_daemon() -> None:
    def hardening(name: str) -> list[str]:
        return (SYSTEMD / name).read_text().partition("and may do nothing else.\n")[2].partition("[Install]")[0].split()

    assert hardening("mcisd@.service") == hardening("mcisd.service")
    assert len(hardening("mcisd.service")) > 20
