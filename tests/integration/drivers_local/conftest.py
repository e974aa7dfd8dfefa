"""Fixtures: one local cloud per test file, one laboratory (an account of its own) per test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mcisd.drivers.local import launch
from tests.integration.drivers_local.local_lab import Lab


@pytest.fixture(scope="module")
def cloud_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("cloud")
    yield home
    assert launch.stop(home, terminate=True) == "the local cloud has stopped, its VMs are terminated"
    assert list((home / "vms").glob("*")) == []
    assert (home / "cloud.err").read_text() == ""


@pytest.fixture
async def lab(cloud_home: Path) -> AsyncIterator[Lab]:
    lab = Lab(cloud_home)
    yield lab
    await lab.close()
