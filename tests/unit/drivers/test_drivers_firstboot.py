"""First-boot data: it parses, it holds user, key and host key, and the script may run at every boot.

The script runs for real, by the system's shell, with its absolute paths moved into a scratch directory. Programs that
would change this machine (useradd, chown, systemctl, getent) are stand-ins that note that they were called.
"""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from mcisd.drivers.firstboot import cloud_config, host_public_key, shell_script
from mcisd.model.cloud import VmRequest
from mcisd.model.errors import CloudInvalidError

HOST = asyncssh.generate_private_key("ssh-ed25519")
USER_KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip() + " it's a key"
REQUEST = VmRequest(
    "tok", "web-1", "i", "s", "n", "sn", (), "k", "ubuntu", HOST.export_private_key().decode(), USER_KEY
)
PUBLIC = " ".join(HOST.export_public_key().decode().split()[:2])
STAND_INS = {
    "getent": 'test -e "$ROOT/made-$2" && echo "$2:x:1:1::$ROOT/home/$2:/bin/sh"',
    "useradd": 'for last; do :; done; mkdir -p "$ROOT/home/$last"; : >"$ROOT/made-$last"',
    "chown": ":",
    "systemctl": ":",
}


def test_the_public_half_of_the_host_key() -> None:
    assert host_public_key(REQUEST.host_key) == PUBLIC


@pytest.mark.parametrize(
    "text", ["", "pem", asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_private_key().decode()]
)
def test_other_host_keys_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        host_public_key(text)
    assert caught.value.field == "host_key"
    assert len(caught.value.message) < 60


def config(request: VmRequest) -> dict[str, object]:
    head, _, body = cloud_config(request).partition("\n")
    assert head == "#cloud-config"
    parsed = json.loads(body)  # JSON is YAML
    assert isinstance(parsed, dict)
    return parsed


def test_cloud_config_holds_user_key_and_host_key() -> None:
    found = config(REQUEST)
    assert found["ssh_keys"] == {"ed25519_private": REQUEST.host_key, "ed25519_public": PUBLIC}
    assert found["ssh_pwauth"] is False
    assert found["hostname"] == "web-1"
    assert found["users"] == [
        {
            "name": "ubuntu", "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL", "lock_passwd": True,
            "ssh_authorized_keys": [USER_KEY],
        }
    ]  # fmt: skip
    assert "disable_root" not in found


def test_cloud_config_lets_root_in_only_if_asked() -> None:
    found = config(replace(REQUEST, guest_user="root"))
    assert found["disable_root"] is False
    assert found["users"] == [{"name": "root", "ssh_authorized_keys": [USER_KEY]}]


def run(request: VmRequest, root: Path) -> str:
    """Run the script as a boot does; the programs it called, in order."""
    tools, calls = root / "tools", root / "calls"
    tools.mkdir(exist_ok=True)
    for name, body in STAND_INS.items():
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >>"$ROOT/calls"\n{body}\n')
        (tools / name).chmod(0o755)
    for folder in ("etc/ssh", "etc/sudoers.d"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    calls.write_text("")
    script = shell_script(request).replace("/etc/", f"{root}/etc/")
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "ROOT": str(root)}
    done = subprocess.run(["/bin/sh"], input=script, env=environment, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return calls.read_text()


def contents(root: Path) -> dict[str, tuple[str, int]]:
    """Every file under ``root`` that a VM would have: text and mode."""
    return {
        str(path.relative_to(root)): (path.read_text(), path.stat().st_mode & 0o777)
        for part in ("etc", "home")
        for path in sorted((root / part).rglob("*"))
        if path.is_file()
    }


def test_the_script_is_valid_shell_whatever_the_names() -> None:
    odd = replace(REQUEST, guest_user="o'brien; reboot", public_key="ssh-ed25519 AAAA $(reboot) `reboot` \"'")
    done = subprocess.run(["/bin/sh", "-n"], input=shell_script(odd), capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("user", ["ubuntu", "root"])
def test_the_script_makes_the_user_once_and_the_second_boot_changes_nothing(tmp_path: Path, user: str) -> None:
    request = replace(REQUEST, guest_user=user)
    if user == "root":
        (tmp_path / "made-root").touch()
    for kind in ("rsa", "ed25519"):
        (tmp_path / "etc" / "ssh").mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc" / "ssh" / f"ssh_host_{kind}_key").write_text("of the image")
    first = run(request, tmp_path)
    files = contents(tmp_path)
    host = "etc/ssh/ssh_host_ed25519_key"
    expected = {
        host: (request.host_key, 0o600),
        f"{host}.pub": (PUBLIC + "\n", 0o644),
        f"home/{user}/.ssh/authorized_keys": (USER_KEY + "\n", 0o600),
    }
    if user != "root":
        expected["etc/sudoers.d/90-mcisd"] = ("ubuntu ALL=(ALL) NOPASSWD:ALL\n", 0o440)
    assert files == expected
    assert ("useradd" in first) == (user != "root")
    assert first.count("systemctl") == 1
    second = run(request, tmp_path)
    assert contents(tmp_path) == files
    assert "useradd" not in second
    assert "systemctl" not in second


def test_the_script_keeps_keys_that_others_added(tmp_path: Path) -> None:
    run(REQUEST, tmp_path)
    keys = tmp_path / "home/ubuntu/.ssh/authorized_keys"
    keys.write_text("ssh-ed25519 BBBB theirs\n" + keys.read_text())
    run(REQUEST, tmp_path)
    assert keys.read_text().splitlines() == ["ssh-ed25519 BBBB theirs", USER_KEY]


def test_a_boot_that_was_cut_off_is_mended_by_the_next(tmp_path: Path) -> None:
    run(REQUEST, tmp_path)
    whole = contents(tmp_path)
    (tmp_path / "etc/ssh/ssh_host_ed25519_key.pub").unlink()
    (tmp_path / "etc/ssh/ssh_host_ed25519_key").write_text("")
    run(REQUEST, tmp_path)
    assert contents(tmp_path) == whole
