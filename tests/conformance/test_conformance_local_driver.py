"""The driver rules on the local cloud: a real cloud process with quick state changes, one for all tests of the file.

Lost answers and server faults come from a proxy of ours on its Unix socket.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import aiohttp
import pytest
from aiohttp import web

from mcisd.drivers.local import launch
from mcisd.drivers.local.channel import CloudChannel, ensure_running
from mcisd.drivers.local.driver import LocalDriver
from mcisd.drivers.local.settings import SOCKET_NAME
from mcisd.model.cloud import ConnectionSpec
from tests.clouds.proxy import FaultProxy, Reply, Rule, Seen
from tests.conformance.driver_bench import DriverBench, Trouble, fresh
from tests.conformance.driver_suite import DriverSuite
from tests.matrix import Lacking

SCALE = "0.2"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    where = tmp_path_factory.mktemp("cloud")
    yield where
    assert launch.stop(where, terminate=True) == "the local cloud has stopped, its VMs are terminated"
    assert (where / "cloud.err").read_text() == ""


class SocketProxy(FaultProxy):
    """From the socket in one directory to the socket in another."""

    def __init__(self, front: Path, behind: Path) -> None:
        super().__init__("http://localhost")
        self._front, self._behind = front / SOCKET_NAME, behind / SOCKET_NAME

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._behind)))
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self._front)).start()
        return self


def changes(seen: Seen) -> bool:
    operation = seen.path.rpartition("/")[2]
    return not operation.startswith(("list_", "get_", "check", "console"))


@dataclass(kw_only=True)
class LocalBench(DriverBench):
    """Behind a proxy; what people do by hand goes past it."""

    home: Path
    proxy: SocketProxy

    @asynccontextmanager
    async def trouble(self, kind: Trouble, times: int = 1) -> AsyncIterator[None]:
        if kind is Trouble.LOST_ANSWER:
            rule = Rule(changes, lose=True, times=times)
        elif kind is Trouble.BROKEN_SERVER:
            rule = Rule(changes, reply=lambda _seen: Reply(503, b"{}"), times=times)
        else:
            raise Lacking(kind.value)
        async with self.proxy.rule(rule):
            yield

    async def remove_by_hand(self, vm_id: str) -> None:
        account, secret = self.spec.credential["account"], self.spec.credential["secret"]
        channel = CloudChannel(self.home, self.spec.region, account, secret)
        await channel.call("terminate_vm", {"id": vm_id})
        await channel.close()


class TestLocalDriver(DriverSuite):
    column = "local"
    behind = "the local cloud: real processes and sshd on this machine; a proxy of ours for two of the faults"
    lacks: ClassVar[dict[str, str]] = {
        "Hibernate": "its VMs are process trees; a stop is a freeze that keeps memory anyway",
        "an endpoint": "it is reached over a Unix socket",
        "first-boot data": "the cloud itself makes user, key and host key",
        Trouble.EXPIRED_KEY.value: "its secrets do not expire",
        Trouble.NO_PERMISSION.value: "an account may do everything",
        Trouble.CLOCK_SKEW.value: "its requests carry no time",
        Trouble.QUOTA.value: "250 VMs a region: the test would start 250 process trees",
        Trouble.NO_CAPACITY.value: "it has none but the machine's",
        Trouble.THROTTLED.value: "it takes every call",
        Trouble.LATE_LISTS.value: "its lists are exact",
        Trouble.STALE_LISTS.value: "its lists are exact",
    }

    @pytest.fixture
    async def bench(self, home: Path, tmp_path: Path) -> AsyncIterator[DriverBench]:
        await ensure_running(home, ("--delay-scale", SCALE))
        credential = {"account": fresh("acc"), "secret": "right-one", "home": str(tmp_path)}
        spec = ConnectionSpec("conformance", "ap-northeast-2", "b", credential, {"delay_scale": SCALE})
        async with SocketProxy(tmp_path, home) as proxy:
            bench = LocalBench(
                LocalDriver(), spec, {"secret": "wrong-one"}, "debian-12", "local.nano", home=home, proxy=proxy
            )
            await (await bench.open()).check()  # an account is known from its first use on
            yield bench
            await bench.clean()
