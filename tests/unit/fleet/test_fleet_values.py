"""Keys, targets, quoting and the payload: no network, no time."""

import io
import json
import shlex
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.daemon.fleet.commands import with_env
from mcisd.daemon.fleet.keys import fingerprint, new_key_pair
from mcisd.daemon.fleet.payload import AgentSpec, install_tar, remove_script
from mcisd.daemon.fleet.target import SshTarget
from mcisd.model.errors import InputError

SPEC = AgentSpec("vm-1", "s3cret", (("c", 7400),), "collector.mcisd", "PEM", 2000, b"zip", "0.1.0")


def test_key_pairs_are_ed25519_fresh_and_have_a_fingerprint() -> None:
    private, public = new_key_pair("vm-1 user")
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert public.startswith("ssh-ed25519 AAAA")
    assert public.endswith(" vm-1 user")
    assert fingerprint(public).startswith("SHA256:")
    assert fingerprint(public) != fingerprint(new_key_pair("vm-1 user")[1])


def test_bad_keys_and_comments_are_refused() -> None:
    with pytest.raises(InputError, match="one line"):
        new_key_pair("a\nb")
    with pytest.raises(InputError, match="not an OpenSSH public key"):
        fingerprint("nonsense")


def test_secrets_are_not_in_representations() -> None:
    target = SshTarget("vm", "127.0.0.1", 22, "u", "PRIVATE", "ssh-ed25519 X")
    assert "PRIVATE" not in repr(target)
    assert "s3cret" not in repr(SPEC)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_a_variable_reaches_the_command_unchanged(value: str) -> None:
    line = with_env("true", {"MCIS_VM": value})
    assert line.endswith("; true")
    assert shlex.split(line.removesuffix("; true"))[1:] == [f"MCIS_VM={value}"]


def test_a_real_shell_agrees_with_the_quoting() -> None:
    value = 'it\'s $HOME `id` \\ "x"\nnext'
    out = subprocess.run(["/bin/sh", "-c", with_env('printf %s "$V"', {"V": value})], capture_output=True, check=True)
    assert out.stdout.decode() == value


@pytest.mark.parametrize("name", ["", "1A", "A B", "A;id", "A=B", "Ä"])
def test_names_that_are_no_variables_are_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        with_env("true", {name: "x"})
    assert caught.value.field == "env"


def test_a_nul_byte_is_refused() -> None:
    with pytest.raises(InputError, match="NUL"):
        with_env("true", {"A": "\0"})


def test_the_same_spec_gives_the_same_tar_with_private_files() -> None:
    assert install_tar(SPEC) == install_tar(SPEC)
    with tarfile.open(fileobj=io.BytesIO(install_tar(SPEC))) as archive:
        members = {member.name: member for member in archive}
        settings = archive.extractfile("agent.json")
        assert settings is not None
        body = json.load(settings)
    assert set(members) == {"agent.json", "agent.pyz", "ca.pem", "common.sh", "install.sh", "run.sh", "version"}
    assert {member.mode for member in members.values()} == {0o600}
    assert body["token"] == "s3cret"
    assert body["servers"] == [["c", 7400]]


def test_the_scripts_are_posix_shell() -> None:
    subprocess.run(["/bin/sh", "-n"], input=remove_script(), check=True)
    with tarfile.open(fileobj=io.BytesIO(install_tar(SPEC))) as archive:
        for name in ("common.sh", "install.sh", "run.sh"):
            file = archive.extractfile(name)
            assert file is not None
            subprocess.run(["/bin/sh", "-n"], input=file.read(), check=True)
