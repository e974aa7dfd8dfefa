"""The private cloud's demonstration without a hypervisor: what is missing, what was left behind, recipes."""

import fcntl
import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from mcisd.demo import hypervisor, hypervisor_image, hypervisor_mirror, hypervisor_show
from mcisd.demo.hypervisor_image import Told
from mcisd.demo.main import FAILED, Options, _parse, main


def test_arguments() -> None:
    assert _parse(["--exit", "--libvirt"]) == Options(leave=True, libvirt=True)
    with pytest.raises(SystemExit):
        _parse(["--libvirt", "--scale"])


def test_what_is_missing_is_one_line_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hypervisor, "which", lambda program: None if program in ("libvirtd", "virsh") else "/bin/x")
    monkeypatch.setattr(hypervisor, "FILES", {"no-such-*": "libvirt-daemon-driver-qemu"})
    monkeypatch.setattr(hypervisor, "find_spec", lambda name: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert main(["--exit", "--libvirt"]) == FAILED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "run it with sudo" in said
    packages = "libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu"
    assert f"apt-get install --no-install-recommends {packages};" in said
    assert "run tools/libvirt.sh" in said


def test_nothing_is_missing_where_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisor, "which", lambda program: "/bin/x")
    monkeypatch.setattr(hypervisor, "FILES", {})
    monkeypatch.setattr(hypervisor, "find_spec", lambda name: object())
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert hypervisor_show.missing() == ""
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert "x86_64 only" in hypervisor_show.missing()


def test_only_folders_that_nobody_holds_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders = {name: tmp_path / f"{hypervisor.PREFIX}{name}" for name in ("held", "left", "new", "old")}
    for folder in folders.values():
        folder.mkdir()
    for name in ("held", "left"):
        (folders[name] / "lock").touch()
    os.utime(folders["old"], (0, 0))
    with (folders["held"] / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sorted(hypervisor.remove_leftovers()) == [folders["left"], folders["old"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mcisd-hypervisor-held", "mcisd-hypervisor-new"]


def test_an_image_counts_when_its_description_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCISD_IMAGES_DIR", str(tmp_path))
    folder = tmp_path / hypervisor_image.recipe_key()
    folder.mkdir()
    for name in ("disk.qcow2", "vmlinuz", "initrd"):
        (folder / name).touch()
    assert hypervisor_image.cached_image() is None
    hypervisor_image._describe(folder)
    assert hypervisor_image.cached_image() == folder
    facts = json.loads((folder / "debian-12.json").read_text())
    assert (facts["guest_user"], facts["seed"]) == ("debian", "cloud-init")
    assert all((folder / facts[key]).is_file() for key in ("kernel", "initrd"))
    assert (folder / "debian-12.qcow2").is_file()


def test_another_recipe_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hypervisor_image.recipe_key()
    monkeypatch.setattr(hypervisor_image, "CMDLINE", "quiet")
    assert hypervisor_image.recipe_key() != before
    assert before.isalnum()


def test_progress_is_told_by_stage_and_package(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    said: list[str] = []
    told = Told(said.append)
    for moment, line in enumerate(("== disk", "I: Unpacking libc6...", "I: Unpacking tar...", "I: Base system", "x")):
        now[0] = moment * 0.3
        told.line(line)
    assert said == ["disk", "unpacking package 1"]
    now[0] = 9.0
    told.line("I: Unpacking dpkg...")
    assert said[-1] == "unpacking package 3"


@pytest.mark.parametrize("script", [hypervisor.SCRIPT, hypervisor_image.SCRIPT], ids=["ground", "image"])
def test_the_scripts_are_well_formed(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_the_mirror_is_the_one_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCISD_DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "debian"})
    places = tmp_path / "sources.list.d"
    places.mkdir()
    (places / "a.list").write_text("# deb http://old/debian x\ndeb [arch=amd64] https://else.example/apt stable main\n")
    assert hypervisor_mirror.mirror(tmp_path) == hypervisor_mirror.PUBLIC
    (places / "b.sources").write_text("Types: deb\nURIs: http://near.example/debian/\nSuites: bookworm\n")
    assert hypervisor_mirror.mirror(tmp_path) == "http://near.example/debian"
    (tmp_path / "sources.list").write_text("deb http://nearer.example/debian bookworm main\n")
    assert hypervisor_mirror.mirror(tmp_path) == "http://nearer.example/debian"
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "ubuntu"})
    assert hypervisor_mirror.mirror(tmp_path) == hypervisor_mirror.PUBLIC
    monkeypatch.setenv("MCISD_DEBIAN_MIRROR", "http://mine")
    assert hypervisor_mirror.mirror(tmp_path) == "http://mine"
