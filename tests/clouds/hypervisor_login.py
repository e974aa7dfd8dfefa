"""Run in the guests' network: ``python -m tests.clouds.hypervisor_login URI IMAGES``. Out: one line of JSON.

It makes a VM with the libvirt driver, logs in with the host key that was put into it, then with another one pinned, and
takes everything away: ``{"pinned": what uname said, "other": the error's class, "left": objects of ours}``.
"""

import asyncio
import json
import sys

import asyncssh

from mcisd.daemon.fleet.ssh import SshPool
from mcisd.daemon.fleet.target import SshTarget
from mcisd.drivers.libvirt.driver import LibvirtConnection, LibvirtDriver
from mcisd.model.cloud import (
    CloudVmState,
    ConnectionSpec,
    FirewallRule,
    KeyPairRequest,
    NetworkRequest,
    SecurityGroupRequest,
    VmInfo,
    VmRequest,
)
from mcisd.model.errors import HostError, HostKeyError

BOOT_TIMEOUT = 400.0


def pem(key: asyncssh.SSHKey) -> str:
    return key.export_private_key().decode()


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


async def main(uri: str, images: str) -> dict[str, object]:
    """The story; what came of it."""
    user, host, other = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
    info = {"images": images, "pool": "default", "network_mode": "isolated", "domain_type": "qemu"}
    cloud = await LibvirtDriver().connect(ConnectionSpec("room", "room", None, {"uri": uri}, info), "i-login")
    network = await cloud.create_network(NetworkRequest("t-net", "net", "10.99.0.0/24"))
    rule = FirewallRule("inbound", "tcp", 1, 65_535, "0.0.0.0/0")
    group = await cloud.create_security_group(SecurityGroupRequest("t-sg", "sg", network.id, (rule,)))
    key = await cloud.create_key_pair(KeyPairRequest("t-key", "key", public(user)))
    image, spec = await cloud.get_image("debian-12"), (await cloud.list_specs())[0]
    vm = await cloud.start_vm(
        VmRequest(
            "t-vm", "login", image.id, spec.id, network.id, network.subnet_ids[0], (group.id,), key.id,
            image.guest_user, pem(host), public(user),
        )
    )  # fmt: skip
    pool = SshPool()
    try:
        vm = await addressed(cloud, vm)
        target = SshTarget(
            "login", vm.public_address or vm.private_address, 22, image.guest_user, pem(user), public(host)
        )
        said = await until_in(pool, target)
        wrong = SshTarget("login", target.address, 22, image.guest_user, pem(user), public(other))
        seen = "let in"
        try:
            await pool.run(wrong, "true", timeout=20.0)
        except HostKeyError as error:
            seen = type(error).__name__
    finally:
        await pool.close()
        await cloud.terminate_vm(vm.id)
        while any(status.state is not CloudVmState.TERMINATED for status in await cloud.list_vm_status()):  # noqa: ASYNC110 - a cloud rings no bell
            await asyncio.sleep(0.2)
        await cloud.delete_security_group(group.id)
        await cloud.delete_key_pair(key.id)
        await cloud.delete_network(network.id)
        left = len(await cloud.list_owned())
        await cloud.close()
    return {"pinned": said, "other": seen, "left": left}


async def addressed(cloud: LibvirtConnection, vm: VmInfo) -> VmInfo:
    """The VM once it has an address."""
    async with asyncio.timeout(BOOT_TIMEOUT):
        while not (vm.public_address or vm.private_address):
            await asyncio.sleep(0.5)
            vm = await cloud.get_vm(vm.id)
    return vm


async def until_in(pool: SshPool, target: SshTarget) -> str:
    """What ``uname`` says as soon as the host lets us in; a wrong host key is raised at once."""
    async with asyncio.timeout(BOOT_TIMEOUT):
        while True:
            try:
                return (await pool.run(target, "uname", timeout=20.0)).stdout.strip()
            except HostKeyError:
                raise
            except HostError:
                await asyncio.sleep(1.0)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2]))))
