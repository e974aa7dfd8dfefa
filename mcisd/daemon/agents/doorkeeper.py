"""Who may send samples: the tokens of agents. Only their hashes are kept."""

import hashlib
import hmac
import secrets

from mcisd.model.records import Vm
from mcisd.store.base import MetadataStore


def new_token() -> tuple[str, str]:
    """A fresh token of 256 bits, and its hash to keep."""
    token = secrets.token_urlsafe(32)
    return token, token_hash(token)


def token_hash(token: str) -> str:
    """The token has full entropy, so one round of SHA-256 is enough to keep it unguessable."""
    return hashlib.sha256(token.encode()).hexdigest()


class Doorkeeper:
    """Answers the receiver's question about an agent that says hello."""

    def __init__(self, store: MetadataStore) -> None:
        self._store = store

    async def authenticate(self, vm: str, token: str) -> str | None:
        """None if the agent may come in, else the refusal: "unknown", "revoked" or "forged"."""
        async with self._store.reading() as tx:
            row = await tx.get(Vm, vm)
        if row is None:
            return "unknown"
        if not row.agent_token_hash:
            return "revoked"
        return None if hmac.compare_digest(token_hash(token), row.agent_token_hash) else "forged"
