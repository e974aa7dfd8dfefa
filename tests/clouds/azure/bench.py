"""The driver suite's bench over our stub of Azure. In: a stub. Out: a connection to it, and troubles on demand."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from mcisd.drivers.azure.driver import AzureDriver
from mcisd.model.cloud import ConnectionSpec
from tests.clouds.azure import compute
from tests.clouds.azure.stub import AzureStub
from tests.conformance.driver_bench import DriverBench, Trouble

IMAGE = "Canonical:ubuntu-24_04-lts:server:24.04.202511130"


@dataclass(kw_only=True)
class AzureBench(DriverBench):
    """A stub of its own for each test."""

    stub: AzureStub

    async def settle(self) -> None:
        await asyncio.sleep(0.01)

    @asynccontextmanager
    async def trouble(self, kind: Trouble, times: int = 1) -> AsyncIterator[None]:
        async with self.stub.bring(kind.value, times):
            yield

    async def remove_by_hand(self, vm_id: str) -> None:
        for item in list(self.stub.arm.items.values()):
            if item.name == vm_id:
                compute.deleted(self.stub.arm, item)

    async def first_boot(self, vm_id: str) -> str:
        (data,) = (item.custom_data for item in self.stub.arm.items.values() if item.name == vm_id)
        return base64.b64decode(data).decode()

    def unreachable(self, how: str) -> ConnectionSpec:
        if how == "tls":
            return replace(self.spec, region_info={**self.spec.region_info, "ca_file": ""})
        nowhere = {"endpoint": "https://no-such-host.invalid", "audience": self.stub.url}
        return replace(self.spec, region_info={**self.spec.region_info, **nowhere})


@asynccontextmanager
async def azure_bench() -> AsyncIterator[AzureBench]:
    """A stub of its own, and at the end nothing of ours left in it."""
    async with AzureStub() as stub:
        wrong = {"client_secret": "wrong-secret-0"}
        bench = AzureBench(AzureDriver(), stub.spec(), wrong, IMAGE, "Standard_B1s", stub=stub)
        yield bench
        await bench.clean()
