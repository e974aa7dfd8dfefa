"""Who may use the cloud: an account is opened by its first use and known by its secret from then on.

In: account and secret of a request. Out: nothing, or CloudAuthError. On disk: salted scrypt hashes, never secrets.
"""

import hashlib
import hmac
import re
import secrets

from mcisd.drivers.local.disk import Disk, Item
from mcisd.model.errors import CloudAuthError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MAX_SECRET = 4096


class Accounts:
    """All accounts of one cloud."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._proved: dict[str, bytes] = {}

    def prove(self, account: str, secret: str) -> None:
        """CloudAuthError unless the secret is this account's; a new account is opened with it."""
        if not _NAME.fullmatch(account):
            raise CloudAuthError("account is not valid", field="account", remedy="use letters, digits and . _ @ -")
        if not 0 < len(secret) <= _MAX_SECRET:
            raise CloudAuthError("secret is missing or too long", field="secret", remedy="give the account's secret")
        quick = hashlib.sha256(secret.encode()).digest()
        if account in self._proved and hmac.compare_digest(self._proved[account], quick):
            return
        item = self._disk.get("account", account) or self._open(account, secret)
        if not hmac.compare_digest(_hash(secret, item.inner["salt"]), item.inner["hash"]):
            raise CloudAuthError("secret does not fit the account", field="secret", remedy="give the account's secret")
        self._proved[account] = quick

    def _open(self, account: str, secret: str) -> Item:
        salt = secrets.token_hex(16)
        item = Item("account", account, account, "", "", {}, {"salt": salt, "hash": _hash(secret, salt)})
        self._disk.put(item)
        return item


def _hash(secret: str, salt: str) -> str:
    return hashlib.scrypt(secret.encode(), salt=bytes.fromhex(salt), n=2**12, r=8, p=1).hex()
