"""What the driver suite needs to know about one cloud. In: a driver and valid names. Out: furnished connections."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import asyncssh

from mcisd.drivers.base import (
    CloudConnection,
    CloudDriver,
    KeyPairHandler,
    NetworkHandler,
    SecurityGroupHandler,
    VmHandler,
)
from mcisd.drivers.gated import handler
from mcisd.model.cloud import (
    CloudVmState,
    ConnectionSpec,
    FirewallRule,
    KeyPairInfo,
    KeyPairRequest,
    NetworkInfo,
    NetworkRequest,
    SecurityGroupInfo,
    SecurityGroupRequest,
    VmInfo,
    VmRequest,
)
from mcisd.model.errors import CloudError, CloudNotFoundError

T = TypeVar("T")
TAG = "mcisd-installation"
SSH = FirewallRule("inbound", "tcp", 22, 22, "0.0.0.0/0")
ENDED = (CloudVmState.TERMINATING, CloudVmState.TERMINATED)


def fresh(prefix: str) -> str:
    """A token or name nobody has used."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def make_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@dataclass
class Furniture:
    """What a VM stands in."""

    network: NetworkInfo
    group: SecurityGroupInfo
    key: KeyPairInfo


@dataclass
class DriverBench:
    """One cloud under test; subclass it where ``open`` or ``settle`` need more.

    ``spec`` is a connection that works, ``bad_credential`` one that the cloud refuses, ``image_id`` and ``spec_id``
    exist. ``patience`` is how many times ``settle`` is called before a state is given up, ``lag`` how many times
    until lists are sure to show what was just made.
    """

    driver: CloudDriver
    spec: ConnectionSpec
    bad_credential: dict[str, str]
    image_id: str
    spec_id: str
    patience: int = 400
    lag: int = 0
    installation: str = field(default_factory=lambda: fresh("inst"))
    opened: list[CloudConnection] = field(default_factory=list)

    async def settle(self) -> None:
        """Let the cloud's time pass a little: real time here, a clock's time in a subclass."""
        await asyncio.sleep(0.05)

    async def connect(self, spec: ConnectionSpec, installation: str) -> CloudConnection:
        """Open a connection; a subclass may put the gate in between."""
        return await self.driver.connect(spec, installation)

    async def open(self, installation: str = "") -> CloudConnection:
        """A working connection that the suite closes."""
        connection = await self.connect(self.spec, installation or self.installation)
        self.opened.append(connection)
        return connection

    async def eventually(self, look: Callable[[], Awaitable[T]], good: Callable[[T], bool], what: str) -> T:
        """What ``look`` returns as soon as it is good."""
        seen: T = await look()
        for _ in range(self.patience):
            if good(seen):
                return seen
            await self.settle()
            seen = await look()
        raise AssertionError(f"never saw {what}; last: {seen}")

    async def reach(self, connection: CloudConnection, vm_id: str, *states: CloudVmState) -> VmInfo:
        """The VM once it is in one of these states."""
        vms = handler(connection, VmHandler)
        return await self.eventually(lambda: vms.get_vm(vm_id), lambda vm: vm.state in states, " or ".join(states))

    async def ended(self, connection: CloudConnection, vm_id: str) -> None:
        """Wait until the VM is terminated or unknown."""
        vms = handler(connection, VmHandler)

        async def state() -> CloudVmState:
            try:
                return (await vms.get_vm(vm_id)).state
            except CloudNotFoundError:
                return CloudVmState.TERMINATED

        await self.eventually(state, lambda seen: seen is CloudVmState.TERMINATED, "the end of the VM")

    async def network(self, connection: CloudConnection, token: str = "", name: str = "net") -> NetworkInfo:
        request = NetworkRequest(token or fresh("tok"), name, "10.20.0.0/16", ("10.20.1.0/24",), {"purpose": "suite"})
        return await handler(connection, NetworkHandler).create_network(request)

    async def group(self, connection: CloudConnection, network_id: str, token: str = "") -> SecurityGroupInfo:
        request = SecurityGroupRequest(token or fresh("tok"), "sg", network_id, (SSH,), {"purpose": "suite"})
        return await handler(connection, SecurityGroupHandler).create_security_group(request)

    async def key(self, connection: CloudConnection, token: str = "", public_key: str = "") -> KeyPairInfo:
        line = public_key or make_key().export_public_key().decode().strip()
        request = KeyPairRequest(token or fresh("tok"), "key", line, {"purpose": "suite"})
        return await handler(connection, KeyPairHandler).create_key_pair(request)

    async def furnish(self, connection: CloudConnection) -> Furniture:
        network = await self.network(connection)
        return Furniture(network, await self.group(connection, network.id), await self.key(connection))

    def vm_request(self, furniture: Furniture, token: str = "") -> VmRequest:
        return VmRequest(
            token=token or fresh("tok"),
            name="suite-vm",
            image_id=self.image_id,
            spec_id=self.spec_id,
            network_id=furniture.network.id,
            subnet_id=furniture.network.subnet_ids[0],
            security_group_ids=(furniture.group.id,),
            key_pair_id=furniture.key.id,
            guest_user="suite",
            host_key=make_key().export_private_key().decode(),
            tags={"purpose": "suite"},
        )

    async def start(self, connection: CloudConnection, token: str = "") -> VmInfo:
        """A VM in furniture of its own, just asked for."""
        request = self.vm_request(await self.furnish(connection), token)
        return await handler(connection, VmHandler).start_vm(request)

    async def running(self, connection: CloudConnection) -> VmInfo:
        """A VM in furniture of its own, running."""
        return await self.reach(connection, (await self.start(connection)).id, CloudVmState.RUNNING)

    def misfit(self) -> ConnectionSpec:
        """The connection with a credential the cloud refuses."""
        return replace(self.spec, credential={**self.spec.credential, **self.bad_credential})

    async def clean(self) -> None:
        """Delete all this installation has, as on a cloud that costs money, and close every connection."""
        for _ in range(self.lag):
            await self.settle()
        try:
            await self._sweep(await self.open())
        finally:
            for connection in self.opened:
                await connection.close()

    async def _sweep(self, connection: CloudConnection) -> None:
        if isinstance(connection, VmHandler):
            vms = [vm.id for vm in await connection.list_vm_status() if vm.state not in ENDED]
            for vm_id in vms:
                await connection.terminate_vm(vm_id)
            for vm_id in vms:
                await self.ended(connection, vm_id)
        if isinstance(connection, SecurityGroupHandler):
            for group in await connection.list_security_groups():
                await self._delete(connection.delete_security_group, group.id)
        if isinstance(connection, NetworkHandler):
            for network in await connection.list_networks():
                await self._delete(connection.delete_network, network.id)
        if isinstance(connection, KeyPairHandler):
            for key in await connection.list_key_pairs():
                await connection.delete_key_pair(key.id)

    async def _delete(self, delete: Callable[[str], Awaitable[None]], item_id: str) -> None:
        """Delete once nothing ending uses it any more."""

        async def attempt() -> CloudError | None:
            try:
                await delete(item_id)
            except CloudError as error:
                return error
            return None

        await self.eventually(attempt, lambda error: error is None, f"the end of {item_id}")
