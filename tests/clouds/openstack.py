"""A real OpenStack for the tests, and by hand. In: Debian's packages. Out: a running control plane with a tenant.

By hand: ``python -m tests.clouds.openstack`` starts it, prints how to connect (tests, too), and stops it at Ctrl-C.
Tests that want it are marked ``openstack``: where the packages are missing they are left out, all with one reason; with
MCISD_CLOUDS=require they fail instead.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clouds.openstack_admin import EXTERNAL, PASSWORD, PROJECT, USER, Admin, Tenant
from tests.clouds.openstack_config import REGION, Plan
from tests.clouds.openstack_server import CACHE, PATIENCE, ControlPlane, missing_packages

REQUIRED = os.environ.get("MCISD_CLOUDS") == "require"
LEFT_OUT = "OpenStack's packages are missing (tools/openstack.sh)"
SLOW = 180
"""Seconds a test may take at most: nova makes a VM every two seconds when nothing else runs."""
SLOW_START = 400
"""Seconds the first test may take: it starts the control plane, at the very first time from empty databases."""


@dataclass(frozen=True)
class OpenStack:
    """The cloud, its operator, and whom to connect as."""

    plan: Plan
    admin: Admin
    tenant: Tenant


@contextmanager
def running() -> Iterator[OpenStack]:
    """A control plane while inside; its logs are kept if it fails to start."""
    memory = Path("/dev/shm")
    shm = Path(tempfile.mkdtemp(prefix="mcisd-openstack-", dir=memory if memory.is_dir() else None))
    folder = Path(tempfile.mkdtemp(prefix="mcisd-openstack-"))
    plane = ControlPlane(folder, shm)
    fine = False
    try:
        plane.start()
        yield _ready(plane)
        fine = True
    finally:
        plane.stop()
        shutil.rmtree(shm, ignore_errors=True)
        if not fine and (folder / "logs").is_dir():
            shutil.rmtree(CACHE / "failed", ignore_errors=True)
            shutil.copytree(folder / "logs", CACHE / "failed")
        shutil.rmtree(folder, ignore_errors=True)


def _ready(plane: ControlPlane) -> OpenStack:
    """The cloud with its tenant, as soon as its compute host reports."""
    admin, fresh = Admin(plane.plan), not plane.seeded
    if fresh:
        admin.provide()
    end = time.monotonic() + PATIENCE
    while not admin.up():
        if fresh:
            plane.compute()
        if time.monotonic() > end:
            raise RuntimeError(f"nova's services do not report; logs are in {plane.plan.folder}/logs")
        time.sleep(0.3)
    if fresh:
        plane.keep()
    return OpenStack(plane.plan, admin, admin.tenant())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wanting = [item for item in items if item.get_closest_marker("openstack")]
    missing = missing_packages() if wanting else []
    for item in wanting:
        if missing and not REQUIRED:
            item.add_marker(pytest.mark.skip(reason=LEFT_OUT))
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW))
    first = next((item for item in wanting if not item.get_closest_marker("skip")), None)
    if first is not None:
        first.add_marker(pytest.mark.timeout(SLOW_START), append=False)


@pytest.fixture(scope="session")
def openstack() -> Iterator[OpenStack]:
    """One cloud for all tests."""
    if missing := missing_packages():
        pytest.fail(f"packages are missing: {', '.join(missing)}; run tools/openstack.sh", pytrace=False)
    if started := os.environ.get("MCISD_OPENSTACK_PLAN"):
        plan = Plan.load(Path(started))
        yield OpenStack(plan, Admin(plan), Admin(plan).tenant())
        return
    with running() as cloud:
        yield cloud


async def _by_hand() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    begun = time.monotonic()
    with running() as cloud:
        print(f"up after {time.monotonic() - begun:.1f} s; logs in {cloud.plan.folder}/logs")
        print(f"for tests: MCISD_OPENSTACK_PLAN={cloud.plan.save()}")
        print(f"OS_AUTH_URL={cloud.tenant.auth_url} OS_REGION_NAME={REGION} OS_USERNAME={USER} OS_PASSWORD={PASSWORD}")
        print(f"OS_PROJECT_NAME={PROJECT} external_network={EXTERNAL} image={cloud.tenant.image_id}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_by_hand())
