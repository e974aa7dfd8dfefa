"""The backends of the cloud drivers, as the conformance tests start them. In: nothing. Out: stages for benchmarks.

Modules are imported when a stage opens: a machine without one cloud's library or packages still measures the others.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from benchmarks.kit.clouds import Opener, Stage, each, mock
from tests.conformance.driver_bench import DriverBench

STUB = "; no bare calls, as the limit of a stub says nothing about its cloud"


@asynccontextmanager
async def aws() -> AsyncIterator[Stage]:
    import aioboto3

    from mcisd.drivers.aws.driver import AwsDriver
    from tests.clouds.aws import DEBIAN_12, REGION, aws_cloud, moto_server

    async def bare(count: int) -> None:
        session = aioboto3.Session("key", "secret", region_name=REGION)
        async with session.client("ec2", endpoint_url=moto) as ec2:
            request = {"ImageId": DEBIAN_12, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
            await each(count, lambda _number: ec2.run_instances(**request))

    with tempfile.TemporaryDirectory() as folder, moto_server(Path(folder)) as moto:
        async with aws_cloud(moto) as cloud:
            bench = DriverBench(AwsDriver(), cloud.spec(), {}, DEBIAN_12, "t3.micro")
            yield Stage("moto's server, with a layer of ours before it (bare calls go to moto itself)", bench, bare)


@asynccontextmanager
async def gcp() -> AsyncIterator[Stage]:
    from tests.clouds.gcp.bench import bench_on
    from tests.clouds.gcp.server import Stub

    with Stub() as stub:
        bench = bench_on(stub)
        bench.project.limits["CPUS"] = 1_000.0
        yield Stage("our own stub in a thread of this process" + STUB, bench)


@asynccontextmanager
async def azure() -> AsyncIterator[Stage]:
    from mcisd.drivers.azure.driver import AzureDriver
    from tests.clouds.azure.stub import AzureStub

    image = "Canonical:ubuntu-24_04-lts:server:24.04.202511130"
    async with AzureStub() as stub:
        bench = DriverBench(AzureDriver(), stub.spec(), {}, image, "Standard_B1s")
        yield Stage("our own stub in this process" + STUB, bench)


@asynccontextmanager
async def libvirt() -> AsyncIterator[Stage]:
    import libvirt as library

    from mcisd.drivers.libvirt.driver import LibvirtDriver
    from mcisd.model.cloud import ConnectionSpec

    other = library.open("test:///default")
    other.lookupByName("test").destroy()  # it is there from the start, larger than the host's memory

    def define(number: int) -> None:
        name = f"bare-{number}-{uuid4().hex[:6]}"
        xml = f"<domain type='test'><name>{name}</name><memory unit='MiB'>16</memory><os><type>hvm</type></os></domain>"
        domain = other.defineXML(xml)
        domain.create()
        domain.destroy()
        domain.undefine()

    async def bare(count: int) -> None:
        await each(count, lambda number: asyncio.to_thread(define, number))

    spec = ConnectionSpec("calls", "host-1", "host", {"uri": "test:///default"}, {"host": "host-1"})
    bench = DriverBench(LibvirtDriver(), spec, {}, "debian-12.qcow2", "1-256m")
    try:
        yield Stage("libvirt's own test hypervisor, in this process; its host holds few VMs", bench, bare, 10)
    finally:
        other.close()


@asynccontextmanager
async def openstack() -> AsyncIterator[Stage]:
    from mcisd.daemon.reach import OPENSTACK
    from mcisd.drivers.openstack.driver import OpenStackDriver
    from tests.clouds.openstack import OpenStack, running
    from tests.clouds.openstack_admin import PASSWORD, PROJECT, USER
    from tests.clouds.openstack_bench import spec
    from tests.clouds.openstack_front import front
    from tests.clouds.openstack_server import missing_packages

    if missing := missing_packages():
        raise ImportError(f"packages are missing: {', '.join(missing)}")

    at_once = OPENSTACK.concurrency

    async def bare(count: int) -> None:
        token = await asyncio.to_thread(cloud.admin.login, USER, PASSWORD, PROJECT)
        await each(count, lambda number: asyncio.to_thread(_boot, cloud, token, number), at_once)

    def _boot(cloud: OpenStack, token: str, number: int) -> None:
        server = {
            "name": f"bare-{number}", "imageRef": cloud.tenant.image_id, "flavorRef": cloud.tenant.spec_id,
            "networks": "none",
        }  # fmt: skip
        made = cloud.admin.ask("nova", "POST", "servers", {"server": server}, token=token)
        cloud.admin.ask("nova", "DELETE", f"servers/{made['server']['id']}", token=token)

    with running() as cloud:
        async with front(cloud.plan) as before:
            key, secret = cloud.admin.application_credential(f"calls-{uuid4().hex[:8]}")
            credential = {"application_credential_id": key, "application_credential_secret": secret}
            tenant = cloud.tenant
            bench = DriverBench(OpenStackDriver(), spec(before, credential), {}, tenant.image_id, tenant.spec_id)
            behind = (
                "the real control plane of Debian 12 (Zed), nova's fake hypervisor; bare: create and delete, no port"
            )
            yield Stage(behind, bench, bare, at_once=at_once)


OPENERS: dict[str, Opener] = {
    "mock": mock, "aws": aws, "gcp": gcp, "azure": azure, "libvirt": libvirt, "openstack": openstack,
}  # fmt: skip
