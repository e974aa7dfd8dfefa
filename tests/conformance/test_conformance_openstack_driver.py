"""The driver rules on a real OpenStack control plane: all but the hypervisor is true."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest

from mcisd.drivers.openstack.driver import OpenStackDriver
from tests.clouds.openstack import OpenStack
from tests.clouds.openstack_bench import OpenStackBench, spec
from tests.clouds.openstack_front import Front, front
from tests.clouds.openstack_tls import untrusted
from tests.conformance.driver_suite import DriverSuite

pytestmark = pytest.mark.openstack
POLLS = re.compile(r"\d+ x (nova GET servers/\{id\}|neutron GET (networks|security-groups))")


@pytest.fixture(scope="session")
def credentials(openstack: OpenStack) -> tuple[dict[str, str], dict[str, str]]:
    """An application credential that works, and one that has expired by the time it is used."""
    soon = (datetime.now(UTC) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%S")
    made = []
    for more in ({}, {"expires_at": soon}):
        key, secret = openstack.admin.application_credential(f"mcisd-{uuid4().hex[:8]}", **more)
        made.append({"application_credential_id": key, "application_credential_secret": secret})
    return made[0], made[1]


@pytest.fixture
async def cloud_front(openstack: OpenStack) -> AsyncIterator[Front]:
    async with front(openstack.plan) as made:
        yield made


@pytest.fixture
async def tls(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a server whose certificate nobody has signed."""
    context: ssl.SSLContext = untrusted(tmp_path)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class TestOpenStackDriver(DriverSuite):
    column: ClassVar[str] = "openstack"
    behind: ClassVar[str] = (
        "the real keystone, glance, placement, neutron and nova of Debian 12 (Zed) with MariaDB and RabbitMQ; "
        "nova's fake hypervisor, so no guest boots; throttling, lost answers, lagging lists, server faults and clock "
        "skew by a proxy of ours"
    )
    lacks: ClassVar[dict[str, str]] = {"Crash": "it is no cloud made for tests"}

    @pytest.fixture
    async def bench(
        self,
        openstack: OpenStack,
        cloud_front: Front,
        credentials: tuple[dict[str, str], dict[str, str]],
        tls: str,
    ) -> AsyncIterator[OpenStackBench]:
        bench = OpenStackBench(
            OpenStackDriver(),
            spec(cloud_front, credentials[0]),
            {"application_credential_secret": "not-the-right-secret"},
            openstack.tenant.image_id,
            openstack.tenant.spec_id,
            cloud=openstack,
            front=cloud_front,
            expired=credentials[1],
            tls=tls,
        )
        yield bench
        await bench.clean()

    def _compare(self, lines: list[str]) -> None:
        """How often the driver looks whether something has happened is a matter of the cloud's speed."""
        super()._compare([POLLS.sub(r"\1", line) for line in lines])
