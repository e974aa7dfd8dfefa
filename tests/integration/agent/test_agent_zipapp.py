"""The shipped zipapp, run by every interpreter found, against a real TLS server on loopback."""

import compileall
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcisd.agent.bundle import build_bundle
from mcisd.demo.ports import free_port
from mcisd.model import wire
from tests.integration.agent.agent_server import (
    STARTED,
    AgentServer,
    end_all,
    make_certificates,
    start_agent,
    wait_for,
    write_config,
)


def interpreters() -> list[str]:
    """Every Python from 3.6 on: those of pyenv and those on PATH."""
    found = sorted(str(path) for path in Path.home().glob(".pyenv/versions/3.*/bin/python"))
    for name in ["python3", *(f"python3.{minor}" for minor in range(6, 15))]:
        path = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")
        if path and os.path.realpath(path) not in {os.path.realpath(other) for other in found}:
            found.append(path)
    return found


PYTHONS = interpreters()
OWN = sys.executable


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    make_certificates(tmp_path)
    (tmp_path / "agent.pyz").write_bytes(build_bundle())
    yield tmp_path
    end_all()


@pytest.fixture
def server(home: Path) -> Iterator[AgentServer]:
    server = AgentServer(home)
    yield server
    server.close()


def ended(agent: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and stderr of an agent that ends by itself."""
    _, said = agent.communicate(timeout=15)
    return agent.returncode, said


def first_words(agent: subprocess.Popen[str]) -> str:
    """The first line an agent says on stderr."""
    assert agent.stderr
    return agent.stderr.readline()


def test_zipapp_is_deterministic_and_holds_the_agent_alone(tmp_path: Path) -> None:
    assert build_bundle() == build_bundle()
    (tmp_path / "a.pyz").write_bytes(build_bundle())
    names = zipfile.ZipFile(tmp_path / "a.pyz").namelist()
    assert "mcisd/agent/bundle.py" not in names
    assert {name.split("/")[1] for name in names if name.startswith("mcisd/")} == {"__init__.py", "agent", "model"}


@pytest.mark.parametrize("python", PYTHONS)
def test_compiles(python: str, tmp_path: Path) -> None:
    (tmp_path / "a.pyz").write_bytes(build_bundle())
    zipfile.ZipFile(tmp_path / "a.pyz").extractall(tmp_path / "src")
    done = subprocess.run([python, "-ISm", "compileall", "-q", "-f", str(tmp_path / "src")], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")
    assert compileall.compile_dir(str(tmp_path / "src"), quiet=1, force=True)


@pytest.mark.parametrize("python", PYTHONS)
def test_whole_conversation(python: str, home: Path, server: AgentServer) -> None:
    config = write_config(home, server.port)
    agent = start_agent(python, home / "agent.pyz", config)
    wait_for(lambda: len(server.frames) >= 3, "frames")
    hello = server.hellos[0]
    assert (hello["protocol"], hello["vm"], hello["agent"]) == (wire.PROTOCOL, "vm-1", "0.1.0")
    assert isinstance(hello["session"], str)
    columns = server.schemas[server.frames[-1][0]]
    assert {column[0] for column in columns} >= {"system", "cpu", "mem", "swap", "processes", "kernel", "mcisd_agent"}
    values = struct.unpack(f"<{len(columns)}d", server.frames[-1][4])
    table = {(str(c[0]), str(c[1]), *dict(c[2]).values()): v for c, v in zip(columns, values, strict=True)}  # type: ignore[call-overload]  # columns are JSON
    assert table["mem", "total"] > 0
    assert 0 <= table["cpu", "usage_active", "cpu-total"] <= 100
    assert table["mcisd_agent", "gather_errors"] == 0

    server.command(id="m1", op="measure")
    wait_for(lambda: "m1" in server.replies, "reply to measure")
    reply = server.replies["m1"]
    assert reply["ok"] is True
    assert isinstance(reply["values"], list)
    assert isinstance(reply["schema"], int)
    assert len(reply["values"]) == len(server.schemas[reply["schema"]])
    server.command(id="i1", op="interval", interval_ms=100)
    server.command(id="x1", op="dance")
    server.command(id="s1", op="stop")
    code, said = ended(agent)
    assert (code, server.byes) == (64, 1)
    assert (server.replies["i1"]["ok"], server.replies["x1"]["ok"], server.replies["s1"]["ok"]) == (True, False, True)
    assert "token" not in said
    seqs = [frame[1] for frame in server.frames]
    assert seqs == sorted(set(seqs))


@pytest.mark.parametrize("python", PYTHONS)
def test_the_running_process_holds_neither_compiler_nor_archive(python: str, home: Path, server: AgentServer) -> None:
    agent = start_agent(python, home / "agent.pyz", write_config(home, server.port))
    wait_for(lambda: len(server.frames) >= 3, "frames")
    words = Path(f"/proc/{agent.pid}/cmdline").read_text().split("\0")
    assert words[1:3] == ["-ISB", "-c"], "it runs the compiled code, in the same process"
    assert words[-4:] == [str(home / "agent.pyz"), "--config", str(home / "agent.json"), ""]
    assert not Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    held = [str(path.readlink()) for path in Path(f"/proc/{agent.pid}/fd").iterdir()]
    assert not [target for target in held if target.endswith(".pyz")]
    columns = [tuple(column[:2]) for column in server.schemas[server.frames[-1][0]]]
    values = struct.unpack(f"<{len(columns)}d", server.frames[-1][4])
    assert values[columns.index(("mcisd_agent", "rss_bytes"))] < 17.5e6
    agent.terminate()
    assert ended(agent) == (0, "")


def test_an_archive_that_cannot_start_anew_runs_as_it_is(home: Path, server: AgentServer) -> None:
    text = "import sys; sys.executable = '/nowhere'; sys.argv = sys.argv[1:]; import runpy; runpy.run_path(sys.argv[0])"
    command = [OWN, "-ISB", "-c", text, str(home / "agent.pyz"), "--config", str(write_config(home, server.port))]
    agent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    STARTED.append(agent)
    wait_for(lambda: len(server.frames) >= 2, "frames")
    agent.terminate()
    assert ended(agent) == (0, "")


@pytest.mark.parametrize("python", PYTHONS)
def test_link_cut_spools_and_replays_without_loss_or_double(python: str, home: Path) -> None:
    first = AgentServer(home, auto_ack=False)
    config = write_config(home, first.port)
    agent = start_agent(python, home / "agent.pyz", config)
    wait_for(lambda: len(first.frames) >= 3, "frames")
    first.close()
    seen = [frame[1] for frame in first.frames]
    enough = len(seen) * (24 + 24 + len(first.frames[0][4]))  # head of the record, head of the frame, columns
    wait_for(lambda: sum(path.stat().st_size for path in (home / "spool").glob("*.seg")) >= enough, "frames on disk")
    agent.send_signal(signal.SIGKILL)  # what is on disk must survive the worst end
    agent.communicate()

    second = AgentServer(home)
    config = write_config(home, second.port)
    agent = start_agent(python, home / "agent.pyz", config)
    wait_for(lambda: len(second.frames) >= len(seen) + 3, "replay and live frames")
    wait_for(lambda: not list((home / "spool").glob("*.seg")), "a spool whose frames were all acknowledged")
    agent.send_signal(signal.SIGTERM)  # what was sent in this moment and is not acknowledged goes to disk again
    code, _ = ended(agent)
    second.close()
    assert (code, second.byes) == (0, 1)
    got = sorted(frame[1] for frame in second.frames)
    assert got[: len(seen)] == seen
    assert got == sorted(set(got))
    assert second.replay_done == 1
    assert second.frames[-1][3] == 0


@pytest.mark.parametrize("python", PYTHONS)
def test_the_public_tls_module_that_a_python_of_tomorrow_takes(python: str, home: Path, server: AgentServer) -> None:
    with zipfile.ZipFile(home / "agent.pyz") as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    for name, now in (("tls", "<= (3, 13)"), ("resolve", ">= (3, 14)")):
        path = f"mcisd/agent/{name}.py"
        assert now in texts[path]
        texts[path] = texts[path].replace(now, "<= (3, 5)" if name == "tls" else ">= (3, 6)")
    with zipfile.ZipFile(home / "agent.pyz", "w") as archive:
        for path, text in texts.items():
            archive.writestr(path, text)
    agent = start_agent(python, home / "agent.pyz", write_config(home, server.port))
    wait_for(lambda: len(server.frames) >= 2, "frames")
    agent.terminate()
    assert ended(agent) == (0, "")


def test_frames_not_acknowledged_are_on_disk_after_sigterm(home: Path) -> None:
    server = AgentServer(home, auto_ack=False)
    agent = start_agent(OWN, home / "agent.pyz", write_config(home, server.port, interval_ms=3600000))
    # The hour until WELCOME says otherwise keeps the first tick behind the link.
    wait_for(lambda: len(server.frames) >= 4, "frames")
    assert not list((home / "spool").glob("*.seg")), "while the link is up no disk is touched"
    agent.send_signal(signal.SIGTERM)
    assert ended(agent)[0] == 0
    server.close()
    assert len(list((home / "spool").glob("*.seg"))) == 1


@pytest.mark.parametrize("python", PYTHONS)
def test_wrong_authority_and_wrong_name_are_refused(
    python: str, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    make_certificates(other)
    wrong_ca = AgentServer(other)
    agent = start_agent(python, home / "agent.pyz", write_config(home, wrong_ca.port))
    assert "certificate" in first_words(agent).lower()
    agent.terminate()
    assert ended(agent)[0] == 0
    wrong_ca.close()
    assert (wrong_ca.hellos, wrong_ca.frames) == ([], [])

    server = AgentServer(home)
    agent = start_agent(python, home / "agent.pyz", write_config(home, server.port, server_name="else.mcisd"))
    said = first_words(agent)
    assert "else.mcisd" in said or "ostname" in said
    agent.terminate()
    assert ended(agent)[0] == 0
    server.close()
    assert (server.hellos, server.frames) == ([], [])


def test_a_refused_agent_keeps_measuring(home: Path) -> None:
    server = AgentServer(home, refuse="revoked")
    agent = start_agent(OWN, home / "agent.pyz", write_config(home, server.port))
    wait_for(lambda: len(list((home / "spool").glob("*.seg"))) == 1, "spool on disk")
    agent.terminate()
    code, said = ended(agent)
    server.close()
    assert code == 0
    assert "refused: revoked" in said
    assert len(server.hellos) == 1


def test_a_disk_that_takes_nothing_does_not_stop_measuring(home: Path) -> None:
    """The kernel refuses to let a file grow beyond 100 bytes, as a full disk would refuse; memory holds the frames."""
    port = free_port()
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    command = [OWN, "-c", limit + "os.execv(sys.argv[1], sys.argv[1:])", OWN, "-ISB", str(home / "agent.pyz")]
    config = write_config(home, port, interval_ms=100)
    agent = subprocess.Popen([*command, "--config", str(config)], stderr=subprocess.PIPE, text=True)
    STARTED.append(agent)
    assert "refused" in first_words(agent)
    time.sleep(1)  # about ten frames, with no link and no disk
    server = AgentServer(home, interval_ms=100, port=port)
    wait_for(lambda: len(server.frames) > 10, "what was kept and live frames")
    agent.terminate()
    assert ended(agent)[0] == 0
    server.close()
    seqs = sorted(frame[1] for frame in server.frames)
    assert len(seqs) == len(set(seqs))
    assert seqs[-1] - seqs[0] == len(seqs) - 1
    assert not list((home / "spool").glob("*.seg"))


def test_a_second_agent_on_the_same_spool_ends(home: Path, server: AgentServer) -> None:
    config = write_config(home, server.port)
    agent = start_agent(OWN, home / "agent.pyz", config)
    wait_for(lambda: server.frames, "frames")
    code, said = ended(start_agent(OWN, home / "agent.pyz", config))
    assert code == 1
    assert "another agent" in said
    agent.terminate()
    assert ended(agent)[0] == 0


def test_a_local_vm_is_measured_as_its_process_tree(home: Path, server: AgentServer) -> None:
    load = subprocess.Popen([OWN, "-c", "while True: pass"])
    vm = {"id": "vm-1", "name": "web-1", "init_pid": load.pid, "vcpus": 2, "memory_mib": 512, "disk_gib": 4}
    vm |= {"address": "127.1.2.3", "home": str(home), "booted_at": 1000.0}
    (home / "vm.json").write_text(json.dumps(vm))
    agent = start_agent(OWN, home / "agent.pyz", write_config(home, server.port), MCISD_LOCAL_VM=str(home / "vm.json"))
    try:
        wait_for(lambda: len(server.frames) >= 6, "frames")
    finally:
        load.kill()
        load.wait()
        agent.terminate()
        ended(agent)
    columns = server.schemas[server.frames[5][0]]
    values = struct.unpack(f"<{len(columns)}d", server.frames[5][4])
    table = {(str(column[0]), str(column[1])): value for column, value in zip(columns, values, strict=True)}
    assert table["mem", "total"] == 512 * 1048576
    assert table["system", "n_cpus"] == 2
    assert 1 <= table["cpu", "usage_active"] <= 75  # one busy loop on two virtual CPUs, whatever else this machine does
    assert table["processes", "total"] == 1
    assert not math.isnan(table["disk", "used_percent"])
