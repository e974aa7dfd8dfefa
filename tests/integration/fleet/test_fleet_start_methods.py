"""Which start method is chosen. systemd and cron are emulated by small programs in PATH; shell and agent are real."""

import os
import signal
from pathlib import Path

from mcisd.daemon.fleet.installer import install_agent, remove_agent
from mcisd.daemon.fleet.ssh import SshPool
from tests.integration.fleet.fleet_host import FleetHost
from tests.integration.fleet.fleet_spec import agents, loops, make_spec


def _program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def _kill_all(host: FleetHost) -> None:
    for pid in loops(host) + agents(host):
        os.kill(pid, signal.SIGKILL)


async def test_with_systemd_and_rights_it_is_a_system_unit(host: FleetHost, pool: SshPool, tmp_path: Path) -> None:
    root, bin_ = tmp_path / "root", tmp_path / "bin"
    (root / "run/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system").mkdir(parents=True)
    _program(bin_, "systemctl", f'echo "$@" >>{tmp_path}/calls')
    _program(bin_, "sudo", 'shift 2; exec "$@"')
    host.env |= {"MCISD_ROOT": str(root), "PATH": f"{bin_}:{host.env['PATH']}"}
    assert (await install_agent(pool, host.target(), make_spec(), timeout=30)).how == "systemd-system"
    unit = root / "etc/systemd/system/mcisd-agent.service"
    assert f'"{host.home}/.mcisd/agent/agent.pyz" --config' in unit.read_text()
    assert "RestartPreventExitStatus=64" in unit.read_text()
    assert "restart mcisd-agent.service" in (tmp_path / "calls").read_text()
    await remove_agent(pool, host.target(), timeout=30)
    assert not unit.exists()
    assert "disable mcisd-agent.service" in (tmp_path / "calls").read_text()


async def test_with_cron_only_it_is_a_reboot_line_once(host: FleetHost, pool: SshPool, tmp_path: Path) -> None:
    table, bin_ = tmp_path / "table", tmp_path / "bin"
    table.write_text("0 3 * * * mine\n")
    _program(bin_, "crontab", f"case $1 in -l) cat {table} ;; *) cat >{table}.new && mv {table}.new {table} ;; esac")
    host.env |= {"MCISD_ROOT": str(tmp_path / "none"), "PATH": f"{bin_}:{host.env['PATH']}"}
    try:
        for _ in range(2):
            assert (await install_agent(pool, host.target(), make_spec(), timeout=30)).how == "cron"
        assert table.read_text().count("@reboot") == 1
        assert len(agents(host)) == 1
        await remove_agent(pool, host.target(), timeout=30)
        assert table.read_text() == "0 3 * * * mine\n"
    finally:
        _kill_all(host)


async def test_with_nothing_it_is_a_loop(host: FleetHost, pool: SshPool, tmp_path: Path) -> None:
    host.env["MCISD_ROOT"] = str(tmp_path / "none")
    try:
        assert (await install_agent(pool, host.target(), make_spec(), timeout=30)).how == "loop"
        assert len(loops(host)) == len(agents(host)) == 1
    finally:
        _kill_all(host)
