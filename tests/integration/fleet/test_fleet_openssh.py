"""The same pool and installer against OpenSSH's own server, run unprivileged on a high port with a home of its own."""

import asyncio
import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcisd.daemon.fleet.installer import install_agent, remove_agent
from mcisd.daemon.fleet.keys import new_key_pair
from mcisd.daemon.fleet.ssh import SshPool, SshTarget
from mcisd.demo.ports import free_port
from mcisd.model.errors import HostAuthError, HostKeyError
from tests.integration.fleet.fleet_spec import make_spec, pids_with, zipapp

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(SSHD is None, reason="OpenSSH's sshd is missing (Debian package openssh-server)")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[SshTarget]:
    (host_private, host_public), (user_private, user_public) = new_key_pair("host"), new_key_pair("user")
    home = tmp_path / "home"
    home.mkdir()
    for name, text in (("host_key", host_private), ("authorized", user_public + "\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # a root sshd wants its empty folder even if it does not use it
    port = free_port()
    config = f"""Port {port}
ListenAddress 127.0.0.1
HostKey {tmp_path}/host_key
AuthorizedKeysFile {tmp_path}/authorized
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
SetEnv HOME={home} MCISD_LOCAL_VM={home}/meta.json
"""
    (tmp_path / "config").write_text(config)
    server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(tmp_path / "config")], stderr=subprocess.DEVNULL)
    yield SshTarget("sshd", "127.0.0.1", port, getpass.getuser(), user_private, host_public)
    for pid in pids_with(f"{home}/.mcisd/agent/"):
        os.kill(pid, signal.SIGKILL)
    server.terminate()
    server.wait(10)


async def test_commands_share_a_connection_within_its_session_limit(target: SshTarget, pool: SshPool) -> None:
    await pool.wait_ready(target, 10.0)
    results = await asyncio.gather(*(pool.run(target, f"echo {n}; exit 3", timeout=30) for n in range(30)))
    assert [(result.stdout, result.exit_status) for result in results] == [(f"{n}\n", 3) for n in range(30)]
    assert len(pool) == 1


async def test_wrong_keys_are_told_apart(target: SshTarget, pool: SshPool) -> None:
    await pool.wait_ready(target, 10.0)
    other_private, other_public = new_key_pair("other")
    keys = target.private_key, target.host_key
    cases = (((keys[0], other_public), HostKeyError), ((other_private, keys[1]), HostAuthError))
    for (private, public), error in cases:
        wrong = SshTarget("wrong", target.address, target.port, target.user, private, public)
        with pytest.raises(error):
            await pool.run(wrong, "true", timeout=10)


async def test_install_and_remove(target: SshTarget, pool: SshPool, tmp_path: Path) -> None:
    await pool.wait_ready(target, 10.0)
    # Plain code in place of the agent: the scope of the local cloud's VM is not what is tested here.
    spec = make_spec(zipapp("import time; time.sleep(600)"))
    assert (await install_agent(pool, target, spec, timeout=40)).how == "rc.local"
    assert len(pids_with(f"{tmp_path}/home/.mcisd/agent/agent.pyz\0--config")) == 1
    await remove_agent(pool, target, timeout=30)
    assert list((tmp_path / "home").glob(".[mr]*")) == []
