"""Five clouds side by side for the whole daemon. In: the starters of each. Out: a connection to each, by name.

Nothing here is a real public cloud: moto with a layer of ours, two stubs of ours, libvirt's own test hypervisor, and
where its packages are the real OpenStack without machines.
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from mcisd.model.cloud import ConnectionSpec
from tests.clouds.aws import aws_cloud, moto_server
from tests.clouds.azure.stub import AzureStub
from tests.clouds.gcp.bench import bench_on, self_signed
from tests.clouds.gcp.server import Stub
from tests.clouds.openstack import OpenStack
from tests.clouds.openstack_bench import spec as openstack_spec
from tests.clouds.openstack_front import front

REQUIRED = os.environ.get("MCISD_CLOUDS") == "require"
NO_LIBVIRT = "libvirt-python is missing (tools/libvirt.sh)"


@asynccontextmanager
async def many_clouds(folder: Path, plane: OpenStack | None) -> AsyncIterator[dict[str, ConnectionSpec]]:
    """Driver name → a connection that works; all end with the block."""
    async with AsyncExitStack() as stack:
        moto = stack.enter_context(moto_server(folder))
        aws = await stack.enter_async_context(aws_cloud(moto))
        stub = stack.enter_context(Stub(self_signed(folder)))
        azure = await stack.enter_async_context(AzureStub())
        stack.enter_context(hypervisor())
        found = {"aws": aws.spec(), "gcp": bench_on(stub).spec, "azure": azure.spec(), "libvirt": host()}
        if plane is not None:
            found["openstack"] = await _openstack(stack, plane)
        yield found


def host() -> ConnectionSpec:
    return ConnectionSpec("libvirt", "host-1", None, {"uri": "test:///default"}, {"host": "host-1"})


@contextmanager
def hypervisor() -> Iterator[None]:
    """libvirt's test hypervisor, empty; it lives in this process as long as somebody is connected to it."""
    if find_spec("libvirt") is None:
        pytest.fail(NO_LIBVIRT) if REQUIRED else pytest.skip(NO_LIBVIRT)
    import libvirt

    from tests.clouds.libvirt import clear

    other = libvirt.open("test:///default")
    clear(other)
    try:
        yield
    finally:
        other.close()


async def _openstack(stack: AsyncExitStack, plane: OpenStack) -> ConnectionSpec:
    """A fresh application credential of the tenant, through the proxy that tests have before the control plane."""
    key, secret = plane.admin.application_credential(f"mcisd-{secrets.token_hex(4)}")
    credential = {"application_credential_id": key, "application_credential_secret": secret}
    return openstack_spec(await stack.enter_async_context(front(plane.plan)), credential)
