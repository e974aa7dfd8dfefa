"""Daemons that live as long as the test session: one on mock clouds, one on a local cloud with real SSH and agents."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.integration.api import api_world
from tests.integration.api.api_kit import Api, Records, daemon, settings_of


@pytest.fixture(scope="session")
def records() -> Iterator[Records]:
    """Every log record of the session at level DEBUG."""
    kept, root = Records(), logging.getLogger()
    before = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(kept)
    root.setLevel(before)


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
