"""Secrets at rest: plain bytes and a context in, sealed text out, and back.

AES-256-GCM. The context ("credential:NAME") is authenticated with the value, so a sealed value cannot be moved to
another row. The key file is JSON, mode 0600: a list of keys with ids; the last one seals, all of them open.
Sealed text is ``v1.KEYID.BASE64(nonce + ciphertext)``.
"""

import base64
import binascii
import contextlib
import json
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mcisd.model.errors import ConfigError

FORMAT = "v1"
KEY_BYTES = 32
NONCE_BYTES = 12


class SecretBox:
    """Seals and opens secrets with the keys of one file. Made by ``load``."""

    def __init__(self, path: Path, keys: dict[str, bytes]) -> None:
        self._path = path
        self._keys = keys

    def __repr__(self) -> str:
        return f"SecretBox({str(self._path)!r}, {len(self._keys)} keys)"

    @classmethod
    def load(cls, path: Path) -> "SecretBox":
        """The box of the key file at ``path``, which is made if it is not there.

        Raises ConfigError if others may read the file, or if it is not a key file.
        """
        if not path.exists():
            _create(path, {_new_id({}): secrets.token_bytes(KEY_BYTES)})
        return cls(path, _read(path))

    def seal(self, plain: bytes, context: str) -> str:
        """``plain`` encrypted with the newest key; only ``open`` with the same context gives it back."""
        key_id, key = list(self._keys.items())[-1]
        nonce = secrets.token_bytes(NONCE_BYTES)
        hidden = AESGCM(key).encrypt(nonce, plain, _associated(key_id, context))
        return f"{FORMAT}.{key_id}.{base64.urlsafe_b64encode(nonce + hidden).decode()}"

    def open(self, sealed: str, context: str) -> bytes:
        """The plain bytes. ConfigError if they were changed, moved to another context, or sealed with a lost key."""
        version, _, rest = sealed.partition(".")
        key_id, _, text = rest.partition(".")
        key = self._keys.get(key_id)
        if version != FORMAT or key is None:
            raise _unreadable(context, "its key is not in the key file")
        try:
            data = base64.b64decode(text, altchars=b"-_", validate=True)
            return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _associated(key_id, context))
        except (InvalidTag, ValueError):
            raise _unreadable(context, "it was changed, or belongs elsewhere") from None

    def rotate(self) -> str:
        """Add a new key, which seals from now on; returns its id. What older keys have sealed still opens."""
        key_id = _new_id(self._keys)
        keys = self._keys | {key_id: secrets.token_bytes(KEY_BYTES)}
        temporary = _write_temporary(self._path, keys)
        temporary.replace(self._path)
        _sync_directory(self._path.parent)
        self._keys = keys
        return key_id

    def current(self, sealed: str) -> bool:
        """Whether the newest key has sealed this; if not, open it and seal it again after a rotation."""
        return sealed.startswith(f"{FORMAT}.{list(self._keys)[-1]}.")


def _associated(key_id: str, context: str) -> bytes:
    return json.dumps([FORMAT, key_id, context]).encode()


def _unreadable(context: str, why: str) -> ConfigError:
    return ConfigError(f"the secret {context!r} cannot be opened: {why}", remedy="restore the key file, or set it anew")


def _new_id(keys: dict[str, bytes]) -> str:
    return f"k{len(keys) + 1}-{secrets.token_hex(4)}"


def _read(path: Path) -> dict[str, bytes]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}", remedy="check its owner") from None
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or state.st_mode & 0o077 or state.st_uid not in (os.geteuid(), 0):
            remedy = f"chmod 600 {path}, owned by the user of the daemon; if others have read it, rotate the keys"
            raise ConfigError(f"the key file {path} is not private", remedy=remedy)
        return _parse(path, file.read(1 << 20))


def _parse(path: Path, text: bytes) -> dict[str, bytes]:
    try:
        keys = {str(item["id"]): base64.b64decode(item["key"], validate=True) for item in json.loads(text)["keys"]}
        if not keys or any(len(key) != KEY_BYTES or "." in key_id for key_id, key in keys.items()):
            raise ValueError
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ConfigError(f"{path} is not a key file", remedy="restore it from a backup") from None
    return keys


def _create(path: Path, keys: dict[str, bytes]) -> None:
    """Write the file whole or not at all; if another process was faster, its file stays."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = _write_temporary(path, keys)
    except OSError as error:
        raise ConfigError(f"cannot write the key file {path}: {error.strerror}", remedy="check the directory") from None
    try:
        with contextlib.suppress(FileExistsError):  # the other process's key is as good as ours
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    _sync_directory(path.parent)


def _write_temporary(path: Path, keys: dict[str, bytes]) -> Path:
    items = [{"id": key_id, "key": base64.b64encode(key).decode()} for key_id, key in keys.items()]
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(json.dumps({"keys": items}, indent=1).encode() + b"\n")
        file.flush()
        os.fsync(handle)
    return temporary


def _sync_directory(path: Path) -> None:
    """Make the name durable, not only the content."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
