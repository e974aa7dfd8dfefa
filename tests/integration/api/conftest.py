"""Daemons that live as long as the test session: one on mock clouds, one on a local cloud with real SSH and agents."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from mcisd.agent.bundle import build_bundle
from mcisd.drivers.local import launch
from tests.integration.api import api_world
from tests.integration.api.api_kit import Api, Records, daemon, settings_of
from tests.integration.api.api_local import Local, local_world


@pytest.fixture(scope="session")
def records() -> Iterator[Records]:
    """Every log record of the session: ours at level DEBUG, those of libraries at INFO."""
    kept, root, ours = Records(), logging.getLogger(), logging.getLogger("mcisd")
    before = root.level
    root.addHandler(kept)
    root.setLevel(logging.INFO)
    ours.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(kept)
    root.setLevel(before)
    ours.setLevel(logging.NOTSET)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(tmp_path_factory: pytest.TempPathFactory, records: Records) -> AsyncIterator[Api]:
    """A daemon without agents."""
    async with daemon(settings_of(tmp_path_factory.mktemp("home"))) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def conn(api: Api) -> str:
    """A connection to a mock cloud without limits."""
    return await api_world.connection(api)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(api: Api, conn: str) -> str:
    """The path of an MCIS of two running mock VMs that tests only look at."""
    return await api_world.infra(api, conn, count=2)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local(tmp_path_factory: pytest.TempPathFactory, records: Records) -> AsyncIterator[Local]:
    """A daemon with real agents, and two real VMs of a local cloud that ends with it."""
    cloud = tmp_path_factory.mktemp("cloud")
    settings = settings_of(tmp_path_factory.mktemp("home"), agents={"enabled": True, "interval_s": 0.5})
    try:
        async with daemon(settings, build_bundle) as running:
            yield await local_world(running, cloud)
    finally:  # only then: a daemon that looks at its VMs would start their cloud again
        await asyncio.to_thread(launch.stop, cloud, terminate=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quiet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A daemon in which nothing moves: connection, credential and region "cloud", a running MCIS here/site."""
    async with daemon(settings_of(tmp_path_factory.mktemp("home"))) as api:
        await api.post("/credentials", api_world.credential("cloud", api_world.new_cloud()))
        await api.post("/regions", api_world.region("cloud"))
        parts = {"driverName": "mock", "credentialName": "cloud", "regionName": "cloud"}
        await api.post("/connections", {"connConfigName": "cloud"} | parts)
        await api.post("/ns", {"name": "here"})
        made = await api.post("/ns/here/infra", api_world.infra_body("site", "cloud"), expect=202)
        await api.finished(made)
        yield api
