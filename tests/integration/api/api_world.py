"""What the tests need before they begin: a mock cloud behind a connection, namespaces, MCIS of mock VMs.

In: an ``Api``. Out: names of things that exist in the daemon.
"""

import itertools
from typing import Any

from mcisd.drivers.mock.cloud import cloud_named
from mcisd.drivers.mock.script import Faults
from mcisd.drivers.mock.settings import MockSettings, Spread
from tests.integration.api.api_kit import SECRET, Api

QUICK = Spread(0.02)
NOWHERE = "127.200.0.0/16"
"""Addresses of mock VMs: nobody listens there, and no connection to them leaves this machine."""
NAMES = itertools.count(1)


def fresh(prefix: str) -> str:
    """A name that was never given before in this process."""
    return f"{prefix}-{next(NAMES)}"


def new_cloud(vms_per_region: int | None = None, faults: Faults | None = None) -> str:
    """The name of a new mock cloud whose secret is the planted one."""
    name = fresh("cloud")
    settings = MockSettings(
        secret=SECRET, boot=QUICK, stop=QUICK, start=QUICK, terminate=QUICK, shown_terminated=0.5,
        vms_per_region=vms_per_region, addresses=NOWHERE,
    )  # fmt: skip
    cloud_named(name, settings, faults=faults)
    return name


def credential(name: str, cloud: str) -> dict[str, Any]:
    pairs = [{"key": "cloud", "value": cloud}, {"key": "secret", "value": SECRET}]
    return {"credentialName": name, "providerName": "mock", "keyValueInfoList": pairs}


def region(name: str, of: str = "us-east-1") -> dict[str, Any]:
    place = {"latitude": 38.95, "longitude": -77.45, "display": "Ashburn"}
    pairs = [{"key": "Region", "value": of}]
    return {"regionName": name, "providerName": "mock", "regionInfoList": pairs, "location": place}


async def connection(api: Api, vms_per_region: int | None = None) -> str:
    """A connection to a mock cloud of its own."""
    name = fresh("conn")
    await api.post("/credentials", credential(name, new_cloud(vms_per_region)))
    await api.post("/regions", region(name))
    parts = {"driverName": "mock", "credentialName": name, "regionName": name}
    await api.post("/connections", {"connConfigName": name} | parts)
    return name


async def namespace(api: Api) -> str:
    name = fresh("ns")
    await api.post("/ns", {"name": name})
    return name


def group(conn: str, count: int = 1, name: str = "vm") -> dict[str, Any]:
    return {"name": name, "count": count, "connConfigName": conn, "imageId": "mock-debian-12", "specId": "mock.nano"}


def infra_body(name: str, conn: str, count: int = 1) -> dict[str, Any]:
    return {"name": name, "vmRequestList": [group(conn, count)]}


async def infra(api: Api, conn: str, count: int = 1, ns: str = "") -> str:
    """The path of a new MCIS whose VMs run."""
    ns = ns or await namespace(api)
    name = fresh("infra")
    made = await api.post(f"/ns/{ns}/infra", infra_body(name, conn, count), expect=202)
    await api.finished(made)
    return f"/ns/{ns}/infra/{name}"


async def wipe(api: Api, path: str) -> None:
    """Terminate and delete an MCIS."""
    await api.finished(await api.post(f"{path}/terminate", expect=202))
    await api.delete(path)
