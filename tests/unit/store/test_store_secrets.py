"""Secrets at rest: sealing, the key file's safety, rotation, and errors that tell nothing."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcisd.model.errors import ConfigError
from mcisd.store.secrets import SecretBox

PLAIN = b"AKIA-very-secret"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "secret.key"


@given(plain=st.binary(max_size=200), context=st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_round_trip(path: Path, plain: bytes, context: str) -> None:
    box = SecretBox.load(path)
    sealed = box.seal(plain, context)
    assert SecretBox.load(path).open(sealed, context) == plain
    assert sealed != box.seal(plain, context)


def test_the_key_file_is_private(path: Path) -> None:
    SecretBox.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    SecretBox.load(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="not private") as caught:
        SecretBox.load(path)
    assert "chmod 600" in str(caught.value.remedy)


def test_a_link_in_place_of_the_key_file_is_refused(path: Path, tmp_path: Path) -> None:
    SecretBox.load(tmp_path / "elsewhere")
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot read"):
        SecretBox.load(path)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"keys": []}', '{"keys": [{"id": "a", "key": "c2hvcnQ="}]}', '{"keys": 3}']
)
def test_what_is_no_key_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not a key file"):
        SecretBox.load(path)


def test_another_context_does_not_open(path: Path) -> None:
    box = SecretBox.load(path)
    sealed = box.seal(PLAIN, "credential:a")
    with pytest.raises(ConfigError, match="credential:b") as caught:
        box.open(sealed, "credential:b")
    assert "AKIA" not in repr(caught.value)


def test_any_changed_character_is_noticed(path: Path) -> None:
    box = SecretBox.load(path)
    sealed = box.seal(PLAIN, "c")
    head, _, text = sealed.rpartition(".")
    data = bytearray(base64.urlsafe_b64decode(text))
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(ConfigError):
            box.open(f"{head}.{base64.urlsafe_b64encode(changed).decode()}", "c")


@pytest.mark.parametrize("sealed", ["", "v1", "v1.x.y", "v2.k1.abc", "plain text", "v1..", "ü.é.ß"])
def test_what_was_never_sealed(path: Path, sealed: str) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        SecretBox.load(path).open(sealed, "c")


def test_cut_short(path: Path) -> None:
    box = SecretBox.load(path)
    sealed = box.seal(PLAIN, "c")
    for length in range(len(sealed)):
        with pytest.raises(ConfigError):
            box.open(sealed[:length], "c")


def test_rotation(path: Path) -> None:
    box = SecretBox.load(path)
    old = box.seal(PLAIN, "c")
    key_id = box.rotate()
    new = box.seal(PLAIN, "c")
    assert key_id in new
    assert (box.current(old), box.current(new)) == (False, True)
    for reader in (box, SecretBox.load(path)):
        assert reader.open(old, "c") == reader.open(new, "c") == PLAIN
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(path.read_text())["keys"]) == 2


def test_a_lost_key(path: Path, tmp_path: Path) -> None:
    sealed = SecretBox.load(path).seal(PLAIN, "c")
    with pytest.raises(ConfigError, match="key is not in the key file"):
        SecretBox.load(tmp_path / "other").open(sealed, "c")


def test_no_key_in_its_representation(path: Path) -> None:
    box = SecretBox.load(path)
    key = json.loads(path.read_text())["keys"][0]["key"]
    assert key not in repr(box)
    assert repr(base64.b64decode(key)) not in repr(box)
