"""Drivers at the daemon's start: all are registered, a broken one stops nobody, and no cloud's library is loaded."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.daemon.events import EventMaker
from mcisd.daemon.federation import Federation
from mcisd.daemon.vault import Vault
from mcisd.drivers.base import CloudDriver
from mcisd.drivers.mock.driver import MockDriver
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.errors import InputError
from mcisd.model.records import CloudDriverRecord
from mcisd.store.metadata.sql import SqlStore, open_store
from mcisd.store.secrets import SecretBox

LIBRARIES = (
    "aioboto3",
    "boto3",
    "botocore",
    "google.cloud",
    "googleapiclient",
    "azure",
    "msal",
    "libvirt",
    "openstack",
)
START = """
import asyncio, importlib, json, pkgutil, sys, time
from pathlib import Path
import mcisd.drivers
from mcisd.aio.clock import SystemClock
from mcisd.daemon.events import EventMaker
from mcisd.daemon.federation import Federation
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.records import CloudDriverRecord
from mcisd.store.metadata.sql import open_store

async def main():
    clock = SystemClock()
    store = await open_store(sys.argv[1], clock)
    registry = DriverRegistry()
    begun = time.perf_counter()
    await Federation(store, clock, EventMaker(clock), registry, None, None).ensure_drivers()
    took = time.perf_counter() - begun
    async with store.reading() as tx:
        names = [row.name for row in await tx.find(CloudDriverRecord)]
    await store.close()
    # Also those whose entry point is not in the metadata of this installation.
    folder = Path(mcisd.drivers.__file__).parent
    for found in pkgutil.iter_modules([str(folder)]):
        if (folder / found.name / "driver.py").exists():
            importlib.import_module(f"mcisd.drivers.{found.name}.driver")
    print(json.dumps({"names": names, "modules": sorted(sys.modules), "seconds": took}))

asyncio.run(main())
"""


def test_a_start_loads_every_driver_and_no_library_of_a_cloud(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", START, f"sqlite:///{tmp_path}/metadata.db"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert {"local", "mock"} <= set(found["names"])
    loaded = [
        name for name in found["modules"] if name in LIBRARIES or name.startswith(tuple(f"{x}." for x in LIBRARIES))
    ]
    assert loaded == []


class HalfBroken(DriverRegistry):
    """One driver that works and one that does not; ``asked`` is what was loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def names(self) -> list[str]:
        return ["broken", "mock"]

    def load(self, name: str, path: str | None = None) -> CloudDriver:
        self.asked.append(name)
        if name == "broken":
            raise InputError("driver 'broken' needs the Python package 'nowhere'", remedy="install it")
        return MockDriver()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = await open_store(f"sqlite:///{tmp_path}/metadata.db", ManualClock())
    yield opened
    await opened.close()


def federation(store: SqlStore, tmp_path: Path, registry: DriverRegistry) -> Federation:
    clock = ManualClock()
    vault = Vault(SecretBox.load(tmp_path / "secret.key"))
    return Federation(store, clock, EventMaker(clock), registry, None, vault)  # type: ignore[arg-type] # no clouds


async def test_a_driver_that_cannot_be_loaded_is_told_and_the_others_serve(
    store: SqlStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = HalfBroken()
    here = federation(store, tmp_path, registry)
    await here.ensure_drivers()
    assert registry.asked == ["broken", "mock"]
    async with store.reading() as tx:
        assert [row.name for row in await tx.find(CloudDriverRecord)] == ["mock"]
    (event,) = await store.events_after(0, 10)
    assert (event.type, event.subject, event.data["remedy"]) == ("driver.broken", "drivers/broken", "install it")
    assert "driver broken cannot be used" in caplog.text
    made = await here.add_credential("c", "mock", {"secret": "s"})
    assert made.keys == ("secret",)
    with pytest.raises(InputError, match="lacks 'secret'"):
        await here.add_credential("d", "mock", {})
    registry.asked.clear()
    await here.ensure_drivers()
    assert registry.asked == ["broken"], "what is registered is not loaded before somebody needs it"
