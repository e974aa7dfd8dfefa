"""The driver rules on libvirt: on its own test hypervisor, and on qemu."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar
from unittest import mock

import pytest

from mcisd.demo.hypervisor import Hypervisor
from mcisd.drivers.base import VmHandler
from mcisd.drivers.gated import handler
from mcisd.drivers.libvirt import events, life
from mcisd.drivers.libvirt.driver import LibvirtDriver
from mcisd.model.cloud import CloudVmState, ConnectionSpec
from mcisd.model.errors import CloudNotFoundError, CloudTransientError
from tests.clouds.libvirt import LibvirtBench, QemuBench, clear, libvirt
from tests.conformance.driver_suite import DriverSuite

LACKS = {
    "Region": "a host has one place, which its owner tells mcisd",
    "Crash": "it is no cloud made for tests",
    "expired key": "keys of a hypervisor (SSH, certificate, SASL) do not bear on its own clock",
    "clock skew": "no request is signed with a time",
    "quota reached": "a hypervisor has no accounts; its bound is the host's memory, see no capacity",
    "throttling": "a hypervisor does not count calls",
    "lists that lag": "its lists are its state",
    "first-boot data": "the disks of the test hypervisor hold no data; TestLibvirtQemu reads it from a real one",
    "lists that show the dead": "its lists are its state",
}
LOCKED = """<node><name>locked</name><auth><user password='right-one'>mcisd</user></auth></node>"""


def locked(folder: Path) -> Path:
    """A host of libvirt's test hypervisor that asks for a password."""
    path = folder / "locked.xml"
    path.write_text(LOCKED)
    return path


class TestLibvirtDriver(DriverSuite):
    column = "libvirt"
    behind = "libvirt's own test hypervisor (test:///default), in this process: real API, VMs without a machine"
    lacks: ClassVar[dict[str, str]] = LACKS

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[LibvirtBench]:
        spec = ConnectionSpec("conformance", "host-1", "host", {"uri": "test:///default"}, {"host": "host-1"})
        other = libvirt.open("test:///default")
        clear(other)
        bench = LibvirtBench(
            LibvirtDriver(), spec, {"uri": f"test://{locked(tmp_path)}", "username": "mcisd", "password": "wrong-one"},
            "debian-12.qcow2", "1-256m", other=other, folder=tmp_path,
        )  # fmt: skip
        yield bench
        await bench.clean()
        other.close()


@pytest.fixture(scope="session")
def empty_images(hypervisor: Hypervisor) -> Path:
    folder = hypervisor.folder / "empty-images"
    folder.mkdir()
    disk = str(folder / "debian-12.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1G"], check=True, timeout=60)
    return folder


@pytest.mark.hypervisor
class TestLibvirtQemu(DriverSuite):
    """Nothing here waits for a guest to boot: a VM runs, as on every cloud, when its machine does. So the base image is
    an empty disk, at which an emulated machine gives up soon; test_hypervisor_story boots a system."""

    column = "libvirt-qemu"
    behind = "libvirtd and QEMU of Debian 12 (software emulation): real networks and machines, with empty disks"
    lacks: ClassVar[dict[str, str]] = {name: why for name, why in LACKS.items() if name != "first-boot data"}

    @pytest.fixture
    async def bench(self, hypervisor: Hypervisor, empty_images: Path, tmp_path: Path) -> AsyncIterator[QemuBench]:
        other = libvirt.open(hypervisor.uri)
        clear(other)
        info = {
            "host": "host-1", "images": str(empty_images), "network_mode": "isolated", "domain_type": "qemu",
            "stop_seconds": "0.5", "overcommit": f"{1500 / other.getInfo()[1]:.4f}", "disk_cache": "unsafe",
        }  # fmt: skip
        spec = ConnectionSpec("conformance", "host-1", None, {"uri": hypervisor.uri}, info)
        bench = QemuBench(
            LibvirtDriver(), spec, {"uri": f"test://{locked(tmp_path)}", "username": "mcisd", "password": "wrong-one"},
            "debian-12.qcow2", "1-256m", other=other, folder=tmp_path,
        )  # fmt: skip
        await (await bench.open()).check()  # from its first check on a host has a pool over the folder of images
        yield bench
        await bench.clean()
        other.close()


async def test_the_terminated_are_forgotten_after_hours() -> None:
    """Their cards do not pile up: the next creation removes the old ones."""
    other = libvirt.open("test:///default")
    clear(other)
    spec = ConnectionSpec("conformance", "host-1", None, {"uri": "test:///default"})
    bench = LibvirtBench(
        LibvirtDriver(), spec, {}, "debian-12.qcow2", "1-256m", other=other, folder=Path("/nonexistent")
    )
    connection = handler(await bench.open(), VmHandler)
    old = await bench.start(await bench.open())
    await connection.terminate_vm(old.id)
    assert (await connection.get_vm(old.id)).state is CloudVmState.TERMINATED
    with mock.patch.object(life, "REMEMBERED", 0.0):
        await bench.start(await bench.open())
    with pytest.raises(CloudNotFoundError):
        await connection.get_vm(old.id)
    await bench.clean()
    other.close()


async def test_a_host_that_asks_for_a_password(tmp_path: Path) -> None:
    credential = {"uri": f"test://{locked(tmp_path)}", "username": "mcisd", "password": "right-one"}
    connection = await LibvirtDriver().connect(ConnectionSpec("conformance", "host-1", None, credential), "inst")
    assert await connection.list_vms() == []
    await connection.close()


@pytest.mark.hypervisor
async def test_a_hypervisor_that_falls_silent(hypervisor: Hypervisor) -> None:
    """A call to a host that is no more ends with an error, not never; when it is back, so are we."""
    spec = ConnectionSpec("conformance", "host-1", None, {"uri": hypervisor.uri})
    connection = await LibvirtDriver().connect(spec, "inst")
    with mock.patch.multiple(events, SECONDS=1, MISSED=1):
        assert await connection.list_vms() == []
    daemon = daemon_of(hypervisor)
    os.kill(daemon, signal.SIGSTOP)
    try:
        with pytest.raises(CloudTransientError):
            await asyncio.wait_for(connection.list_vms(), 30)
    finally:
        os.kill(daemon, signal.SIGCONT)
    assert await connection.list_vms() == []
    await connection.close()


def daemon_of(hypervisor: Hypervisor) -> int:
    """Process id of its libvirtd, as this side sees it."""
    wanted = ["libvirtd", "-f", f"{hypervisor.folder}/libvirtd.conf"]
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended in this moment
            if place.read_bytes().decode(errors="replace").split("\0")[:3] == wanted:
                return int(place.parent.name)
    raise AssertionError("its libvirtd does not run")
