"""How to reach a VM over SSH: address, user, the key we keep, and the host key we gave it."""

from mcisd.daemon.fleet.target import SshTarget
from mcisd.daemon.vault import Vault
from mcisd.model.errors import HostAuthError, HostUnreachableError
from mcisd.model.records import Resource, Vm
from mcisd.store.base import MetadataStore


class Targets:
    """Makes SSH targets from VM rows."""

    def __init__(self, store: MetadataStore, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def of(self, vms: list[Vm]) -> dict[str, SshTarget | HostAuthError | HostUnreachableError]:
        """VM name → its target, or why there is none."""
        async with self._store.reading() as tx:
            keys = {key.uid: key for key in await tx.find(Resource, uid=sorted({vm.ssh_key for vm in vms}))}
        return {vm.name: self._one(vm, keys.get(vm.ssh_key)) for vm in vms}

    async def one(self, vm: Vm) -> SshTarget:
        """The target of one VM; HostAuthError or HostUnreachableError if it has none."""
        target = (await self.of([vm]))[vm.name]
        if isinstance(target, SshTarget):
            return target
        raise target

    def _one(self, vm: Vm, key: Resource | None) -> SshTarget | HostAuthError | HostUnreachableError:
        address = vm.public_address or vm.private_address
        if not address:
            return HostUnreachableError(f"{vm.name} has no address yet")
        if key is None or not key.sealed:
            return HostAuthError(
                f"the private half of the SSH key of {vm.name} is not kept here", remedy="let the daemon make the key"
            )
        private = self._vault.ssh_key(key.uid, key.sealed)
        return SshTarget(vm.name, address, vm.ssh_port, vm.guest_user, private, vm.host_key)
