"""A local cloud for tests and people who log in to its VMs. In: a directory. Out: running VMs and SSH connections."""

import asyncio
import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import asyncssh

from mcisd.drivers.local import launch, proctree
from mcisd.drivers.local.driver import LocalConnection, LocalDriver
from mcisd.model.cloud import (
    CloudVmState,
    ConnectionSpec,
    KeyPairInfo,
    KeyPairRequest,
    NetworkInfo,
    NetworkRequest,
    VmInfo,
    VmRequest,
)

USER = "ubuntu"
T = TypeVar("T")


def fresh(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def make_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@dataclass
class Vm:
    """A VM and the keys that belong to it."""

    info: VmInfo
    host_key: asyncssh.SSHKey
    request: VmRequest

    def known_hosts(self) -> asyncssh.SSHKnownHosts:
        line = self.host_key.export_public_key().decode()
        return asyncssh.import_known_hosts(f"[{self.info.public_address}]:{self.info.ssh_port} {line}")


@dataclass
class Lab:
    """One cloud in ``home``, one account, one region unless told otherwise."""

    home: Path
    delay_scale: str = "0.2"
    account: str = field(default_factory=lambda: fresh("acc"))
    key: asyncssh.SSHKey = field(default_factory=make_key)
    opened: list[LocalConnection] = field(default_factory=list)
    furniture: dict[int, tuple[NetworkInfo, KeyPairInfo]] = field(default_factory=dict)

    async def connect(self, region: str = "us-east-1", installation: str = "lab", **credential: str) -> LocalConnection:
        secrets = {"account": self.account, "secret": "open", "home": str(self.home)} | credential
        spec = ConnectionSpec("lab", region, None, secrets, {"delay_scale": self.delay_scale})
        connection = await LocalDriver().connect(spec, installation)
        self.opened.append(connection)
        return connection

    async def vm(self, connection: LocalConnection) -> Vm:
        """A VM that runs."""
        request = await self.request(connection)
        made = await connection.start_vm(request)
        info = await self.reach(connection, made.id, CloudVmState.RUNNING)
        return Vm(info, asyncssh.import_private_key(request.host_key), request)

    async def request(self, connection: LocalConnection) -> VmRequest:
        if id(connection) not in self.furniture:
            network = await connection.create_network(
                NetworkRequest(fresh("n"), "net", "10.0.0.0/16", ("10.0.0.0/24",))
            )
            line = self.key.export_public_key().decode()
            self.furniture[id(connection)] = (
                network,
                await connection.create_key_pair(KeyPairRequest(fresh("k"), "k", line)),
            )
        network, key = self.furniture[id(connection)]
        host_key = make_key().export_private_key().decode()
        return VmRequest(
            fresh("t"), "vm-1", "debian-12", "local.nano", network.id, network.subnet_ids[0], (), key.id, USER, host_key
        )

    async def reach(self, connection: LocalConnection, vm_id: str, state: CloudVmState) -> VmInfo:
        async def look() -> VmInfo:
            return await connection.get_vm(vm_id)

        return await eventually(look, lambda vm: vm.state is state, f"state {state}")

    async def ssh(self, vm: Vm, key: asyncssh.SSHKey | None = None, user: str = USER) -> asyncssh.SSHClientConnection:
        """Log in with the host key pinned; use it as a context."""
        return await asyncssh.connect(
            vm.info.public_address,
            vm.info.ssh_port,
            username=user,
            client_keys=[key or self.key],
            known_hosts=vm.known_hosts(),
            config=None,
            agent_path=None,
        )

    def meta_path(self, vm: Vm) -> Path:
        return self.home / "vms" / vm.info.id / "meta.json"

    def cloud_pid(self) -> int:
        return int((self.home / "cloud.pid").read_text())

    async def kill_cloud(self) -> None:
        """As kill -9 does it, and wait until it is gone."""
        pid = self.cloud_pid()
        os.kill(pid, signal.SIGKILL)

        async def look() -> bool:
            lock = launch.hold_lock(self.home)
            if lock is not None:
                os.close(lock)
            return lock is not None

        await eventually(look, bool, "the end of the cloud")

    async def close(self) -> None:
        for connection in self.opened:
            await connection.close()


async def eventually(look: Callable[[], Awaitable[T]], good: Callable[[T], bool], what: str) -> T:
    """What ``look`` returns as soon as it is good; AssertionError after ten seconds."""
    seen = await look()
    for _ in range(200):
        if good(seen):
            return seen
        await asyncio.sleep(0.05)
        seen = await look()
    raise AssertionError(f"never saw {what}; last: {seen}")


def running(pid: int) -> bool:
    """Whether this pid is a process that is not dead."""
    found = proctree.look(pid)
    return found is not None and found.state not in "ZXx"
