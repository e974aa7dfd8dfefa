"""A real hypervisor for tests: libvirtd and QEMU (software emulation) in a network of their own, started by the first
test that wants it, ended with the session.

Tests that want it are marked ``hypervisor``. Where root's rights or packages are missing they are skipped, all with one
reason; with MCISD_CLOUDS=require (as in CI) they fail instead. The first test of all also makes the base image (two to
three minutes, once per machine). A program reaches the guests when it is started with ``hypervisor.command`` before its
own words.
"""

import asyncio
import os
from collections.abc import Iterator

import pytest

from mcisd.demo.hypervisor import Hypervisor, missing_hypervisor
from mcisd.demo.hypervisor_image import base_image, image_cache

REQUIRED = os.environ.get("MCISD_CLOUDS") == "require"
LEFT_OUT = "the real hypervisor is missing (make clouds && make test-clouds, as root)"
SLOW_START = 900
"""Seconds a test may take at most: the first one may have to make the image."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wanting = [item for item in items if item.get_closest_marker("hypervisor")]
    missing = missing_hypervisor() if wanting else []
    for item in wanting:
        if missing and not REQUIRED:
            item.add_marker(pytest.mark.skip(reason=LEFT_OUT))
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_START))


@pytest.fixture(scope="session")
def hypervisor() -> Iterator[Hypervisor]:
    """One hypervisor for all tests, with a base image ``debian-12``; the driver wants its ``uri`` and ``images``."""
    if missing := missing_hypervisor():
        pytest.fail("; ".join(missing), pytrace=False)
    found = asyncio.run(_start())
    yield found
    asyncio.run(found.stop())


async def _start() -> Hypervisor:
    images = await base_image(lambda text: None)
    return await Hypervisor.start(images, image_cache() / "libvirt")
