"""SSH keys: a comment in, an ed25519 pair out; a public line in, its fingerprint out. Serves users and hosts alike."""

import asyncssh

from mcisd.model.errors import InputError


def new_key_pair(comment: str) -> tuple[str, str]:
    """A fresh ed25519 pair: the private key as OpenSSH PEM without passphrase, and the public key as one line."""
    if any(character in comment for character in "\r\n\0"):
        raise InputError("comment: must be one line; remove the line breaks", field="comment")
    key = asyncssh.generate_private_key("ssh-ed25519", comment=comment)
    return key.export_private_key().decode(), key.export_public_key().decode().strip()


def fingerprint(public_line: str) -> str:
    """``SHA256:…`` of an OpenSSH public line, as ``ssh-keygen -l`` shows it. Raises InputError if it is no key."""
    try:
        return asyncssh.import_public_key(public_line).get_fingerprint()
    except asyncssh.KeyImportError:
        raise InputError("public key: not an OpenSSH public key; give one line like 'ssh-ed25519 AAAA…'") from None
