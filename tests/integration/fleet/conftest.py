"""Fixtures: a host reached over real SSH, and a pool that is closed after each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcisd.daemon.fleet.ssh import SshPool
from tests.integration.fleet.fleet_host import FleetHost


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FleetHost]:
    home = tmp_path / "home"
    home.mkdir()
    host = FleetHost(home)
    await host.start()
    yield host
    await host.stop()


@pytest.fixture
async def pool() -> AsyncIterator[SshPool]:
    pool = SshPool(connect_timeout=3.0)
    yield pool
    await pool.close()
