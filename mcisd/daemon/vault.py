"""Secrets as the daemon uses them: sealed text in, plain text out, and the keys it makes."""

from typing import Protocol

from mcisd.daemon.fleet.keys import new_key_pair


class Box(Protocol):
    """What seals and opens (store/secrets.py). ``context`` binds a sealed value to its row."""

    def seal(self, plain: bytes, context: str) -> str: ...

    def open(self, sealed: str, context: str) -> bytes: ...


class Vault:
    """Text instead of bytes, and key pairs whose private half is sealed the moment it is made."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def seal(self, plain: str, context: str) -> str:
        return self._box.seal(plain.encode(), context)

    def open(self, sealed: str, context: str) -> str:
        return self._box.open(sealed, context).decode()

    def make_ssh_key(self, resource_uid: str, comment: str) -> tuple[str, str]:
        """``(public line, sealed private half)`` for an SSH key resource."""
        private, public = new_key_pair(comment)
        return public, self.seal(private, f"sshkey:{resource_uid}")

    def make_host_key(self, vm_uid: str, name: str) -> tuple[str, str]:
        """``(public line, sealed private half)`` for the SSH host key of a VM."""
        private, public = new_key_pair(name)
        return public, self.seal(private, f"hostkey:{vm_uid}")

    def ssh_key(self, resource_uid: str, sealed: str) -> str:
        return self.open(sealed, f"sshkey:{resource_uid}")

    def host_key(self, vm_uid: str, sealed: str) -> str:
        return self.open(sealed, f"hostkey:{vm_uid}")
