"""What the driver suite needs to know about one cloud. In: a driver and valid names. Out: furnished connections."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

import asyncssh

from mcisd.drivers import marks
from mcisd.drivers.base import (
    CloudConnection,
    CloudDriver,
    InventoryHandler,
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
from tests.matrix import Lacking

T = TypeVar("T")
TAG = marks.INSTALLATION
SSH = FirewallRule("inbound", "tcp", 22, 22, "0.0.0.0/0")
ENDED = (CloudVmState.TERMINATING, CloudVmState.TERMINATED)


def fresh(prefix: str) -> str:
    """A token or name nobody has used."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def make_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


class Trouble(StrEnum):
    """What can befall the calls to a cloud; DriverBench.trouble brings it about."""

    EXPIRED_KEY = "expired key"
    NO_PERMISSION = "missing permission"
    CLOCK_SKEW = "clock skew"
    QUOTA = "quota reached"
    NO_CAPACITY = "no capacity"
    THROTTLED = "throttling"
    LOST_ANSWER = "lost answers"
    LATE_LISTS = "lists that lag"
    STALE_LISTS = "lists that show the dead"
    BROKEN_SERVER = "server faults"


@dataclass
class Furniture:
    """What a VM stands in."""

    network: NetworkInfo
    group: SecurityGroupInfo
    key: KeyPairInfo
    public_key: str = ""


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
    owners: dict[str, None] = field(default_factory=dict)

    async def settle(self) -> None:
        """Let the cloud's time pass a little: real time here, a clock's time in a subclass."""
        await asyncio.sleep(0.05)

    async def connect(self, spec: ConnectionSpec, installation: str) -> CloudConnection:
        """Open a connection; a subclass may put the gate in between."""
        return await self.driver.connect(spec, installation)

    async def open(self, installation: str = "") -> CloudConnection:
        """A working connection, the suite's own or a stranger's; ``clean`` closes it and deletes what it made."""
        owner = installation or self.installation
        connection = await self.connect(self.spec, owner)
        self.opened.append(connection)
        self.owners[owner] = None
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
        network, line = await self.network(connection), make_key().export_public_key().decode().strip()
        group = await self.group(connection, network.id)
        return Furniture(network, group, await self.key(connection, public_key=line), line)

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
            public_key=furniture.public_key,
            tags={"purpose": "suite"},
        )

    async def start(self, connection: CloudConnection, token: str = "") -> VmInfo:
        """A VM in furniture of its own, just asked for."""
        request = self.vm_request(await self.furnish(connection), token)
        return await handler(connection, VmHandler).start_vm(request)

    async def running(self, connection: CloudConnection) -> VmInfo:
        """A VM in furniture of its own, running."""
        return await self.reach(connection, (await self.start(connection)).id, CloudVmState.RUNNING)

    def trouble(self, kind: Trouble, times: int = 1) -> AbstractAsyncContextManager[None]:
        """While inside, this befalls the cloud's answers to our calls.

        THROTTLED, BROKEN_SERVER and LOST_ANSWER (the effect takes place, the answer never comes) strike the next
        ``times`` requests that create or change something and then stop. Meanwhile LATE_LISTS hides what was made and
        STALE_LISTS shows what was removed, in lists and searches; a look by id stays exact. The others refuse every
        call that could meet them. A subclass overrides it; what cannot befall this cloud is ``Lacking``.
        """
        raise Lacking(kind.value)

    async def remove_by_hand(self, vm_id: str) -> None:
        """Remove a VM behind the driver's back, as somebody does in the cloud's own console."""
        raise Lacking("a console of its own")

    async def first_boot(self, vm_id: str) -> str:
        """The first-boot data (user data, start script) that the cloud holds for a VM, decoded."""
        raise Lacking("first-boot data")

    def unreachable(self, how: str) -> ConnectionSpec:
        """The connection to an address whose certificate cannot be trusted ("tls") or whose name is unknown ("dns")."""
        raise Lacking("an endpoint")

    def misfit(self) -> ConnectionSpec:
        """The connection with a credential the cloud refuses."""
        return replace(self.spec, credential={**self.spec.credential, **self.bad_credential})

    async def clean(self) -> None:
        """Delete all that was made, as on a cloud that costs money, and close every connection."""
        for _ in range(self.lag):
            await self.settle()
        try:
            for owner in list(self.owners) or [self.installation]:
                await self._sweep(await self.open(owner))
        finally:
            while self.opened:
                await self.opened.pop().close()

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
        if isinstance(connection, InventoryHandler):
            await self.eventually(connection.list_owned, lambda found: not found, "nothing left with our mark")

    async def _delete(self, delete: Callable[[str], Awaitable[None]], item_id: str) -> None:
        """Delete once nothing ending uses it any more."""

        async def attempt() -> CloudError | None:
            try:
                await delete(item_id)
            except CloudError as error:
                return error
            return None

        await self.eventually(attempt, lambda error: error is None, f"the end of {item_id}")
