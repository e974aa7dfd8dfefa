"""Who may send samples: the tokens of agents. Only their hashes are kept."""

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from mcisd.model.identity import Identity
from mcisd.model.records import Vm
from mcisd.store.base import MetadataStore


def new_token() -> tuple[str, str]:
    """A fresh token of 256 bits, and its hash to keep."""
    token = secrets.token_urlsafe(32)
    return token, token_hash(token)


def token_hash(token: str) -> str:
    """The token has full entropy, so one round of SHA-256 is enough to keep it unguessable."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(slots=True)
class _Batch:
    """VMs asked for together, and their rows once they were read."""

    vms: set[str] = field(default_factory=set)
    rows: dict[str, Vm] | None = None


class Doorkeeper:
    """Answers the receiver's question about an agent that says hello, and remembers where its VM is.

    A thousand agents may say hello at once: those that come while one look is under way share the next.
    """

    def __init__(self, store: MetadataStore) -> None:
        self._store = store
        self._regions: dict[str, str] = {}
        self._batch = _Batch()
        self._looking = asyncio.Lock()

    async def authenticate(self, vm: str, token: str) -> Identity | str:
        """Whose frames these will be; or the refusal: "unknown", "revoked" or "forged"."""
        row = await self._row(vm)
        if row is None:
            return "unknown"
        if not row.agent_token_hash:
            return "revoked"
        if not hmac.compare_digest(token_hash(token), row.agent_token_hash):
            return "forged"
        self._regions[vm] = row.region
        return identity_of(row)

    async def _row(self, vm: str) -> Vm | None:
        batch = self._batch
        batch.vms.add(vm)
        async with self._looking:
            if batch.rows is None:
                if self._batch is batch:
                    self._batch = _Batch()
                async with self._store.reading() as tx:
                    batch.rows = {row.uid: row for row in await tx.find(Vm, uid=sorted(batch.vms))}
        return batch.rows.get(vm)

    def region(self, vm: str) -> str:
        """The region of a VM that was here; empty if it is not known."""
        return self._regions.get(vm, "")

    def forget(self, vm: str) -> None:
        """The VM is gone for good."""
        self._regions.pop(vm, None)


def identity_of(vm: Vm) -> Identity:
    """What tags the series of this VM."""
    return Identity(
        vm=vm.uid,
        host=vm.name,
        ns=vm.ns,
        infra=vm.mcis_name,
        provider=vm.provider,
        region=vm.region,
        connection=vm.connection,
    )
