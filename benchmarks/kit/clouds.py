"""The clouds that benchmarks call: each driver on the best backend there is here. In: a name. Out: a stage to act on.

A backend is started by the starters of the conformance tests (tests/clouds); where one is missing, the table says so.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from mcisd.drivers.mock.cloud import MockCloud, cloud_named, drop_cloud
from mcisd.drivers.mock.driver import MockDriver
from mcisd.drivers.mock.settings import MockSettings, Spread
from mcisd.model.cloud import ConnectionSpec
from tests.conformance.driver_bench import DriverBench

AT_ONCE = 16
"""Calls under way, as the gate allows most connections."""
Bare = Callable[[int], Awaitable[None]]


@dataclass
class Stage:
    """One cloud. ``bare`` makes so many VMs by the cloud's own API without our driver, None where that is not written;
    ``most`` is how many VMs the backend bears, ``at_once`` how many calls the gate lets it have under way.
    """

    behind: str
    bench: DriverBench
    bare: Bare | None = None
    most: int = 100
    at_once: int = AT_ONCE


Opener = Callable[[], AbstractAsyncContextManager[Stage]]


@asynccontextmanager
async def mock() -> AsyncIterator[Stage]:
    settings = MockSettings(boot=Spread(0.05), terminate=Spread(0.05))
    cloud = cloud_named("calls", settings)
    spec = ConnectionSpec("calls", "us-east-1", None, {"cloud": "calls", "secret": "mock"})
    bench = DriverBench(MockDriver(), spec, {"secret": "wrong"}, "mock-debian-12", "mock.micro")
    try:
        yield Stage("the mock cloud, in this process", bench, lambda count: _bare_mock(cloud, count))
        await bench.clean()
    finally:
        drop_cloud("calls")


async def _bare_mock(cloud: MockCloud, count: int) -> None:
    """The cloud's own calls without a VM behind them."""
    region = cloud.regions["us-east-1"]
    await each(count, lambda _number: cloud.call("start_vm", region, lambda _now: None))


async def each(count: int, work: Callable[[int], Awaitable[object]], at_once: int = AT_ONCE) -> None:
    """``work`` for 0 … count - 1, ``at_once`` at a time."""
    slots = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with slots:
            await work(number)

    await asyncio.gather(*(one(number) for number in range(count)))


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


LIBRARIES: dict[str, tuple[str, ...]] = {
    "mock": (),
    "local": (),
    "aws": ("aioboto3",),
    "gcp": ("google.cloud.compute_v1",),
    "azure": (
        "azure.mgmt.compute.aio",
        "azure.mgmt.network.aio",
        "azure.mgmt.resource.resources.aio",
        "azure.identity.aio",
    ),
    "openstack": (),
    "libvirt": ("libvirt",),
}
"""What each driver imports when its first connection is opened."""
