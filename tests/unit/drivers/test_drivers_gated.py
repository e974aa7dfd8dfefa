"""Wrapped connections: the same handlers, every method through the gate, the table complete."""

import asyncio
from typing import ClassVar

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.drivers.base import HANDLERS, CloudConnection, ImageHandler, KeyPairHandler, VmHandler, capabilities
from mcisd.drivers.calls import CallGate, CallRecord
from mcisd.drivers.gated import LIMITS, Lane, Limit, gate, handler, methods, open_connection
from mcisd.drivers.mock.cloud import MockCloud
from mcisd.drivers.mock.driver import MockConnection
from mcisd.model.cloud import ConnectionSpec, ImageInfo, KeyPairInfo
from mcisd.model.errors import CloudAuthError, CloudTimeoutError, CloudUnsupportedError

LANE = Lane("c1", "paper", "r1")
SPEC = ConnectionSpec("c1", "r1", None, {"secret": "hunter2"})
MOCK = ConnectionSpec("c1", "us-east-1", None, {"secret": "mock"})


class ImagesOnly:
    """A connection with one whole capability and a part of another."""

    def __init__(self) -> None:
        self.closed = 0

    async def check(self) -> None:
        raise CloudAuthError("secret hunter2 is wrong")

    async def close(self) -> None:
        self.closed += 1

    async def list_images(self) -> list[ImageInfo]:
        return [ImageInfo("i", "n", "linux")]

    async def get_image(self, image_id: str) -> ImageInfo:
        return ImageInfo(image_id, "n", "linux")

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        return []


class PaperDriver:
    provider: ClassVar[str] = "paper"
    version: ClassVar[str] = "1"
    credential_fields: ClassVar[dict[str, bool]] = {"secret": True}
    connection: ClassVar[type] = ImagesOnly

    async def connect(self, spec: ConnectionSpec, installation: str) -> CloudConnection:
        return ImagesOnly()


def test_the_table_names_every_method_and_nothing_else() -> None:
    wanted = {api for protocol in HANDLERS.values() for api in methods(protocol)} | {"connect", "check", "close"}
    assert LIMITS.keys() == wanted
    assert all(0 < limit.timeout <= limit.deadline for limit in LIMITS.values())


async def test_isinstance_tells_the_truth() -> None:
    rows: list[CallRecord] = []
    calls = CallGate(ManualClock(), rows.append)
    bare = ImagesOnly()
    wrapped = gate(bare, calls, LANE)
    assert capabilities(wrapped) == capabilities(bare)
    assert isinstance(wrapped, ImageHandler)
    assert not isinstance(wrapped, KeyPairHandler)
    whole = MockConnection(MockCloud(), SPEC, "inst")
    assert all(capabilities(gate(whole, calls, LANE)).values())
    assert type(gate(bare, calls, LANE)) is type(wrapped)


async def test_each_call_leaves_a_row_under_its_capability() -> None:
    rows: list[CallRecord] = []
    connection = await open_connection(PaperDriver(), SPEC, "inst", CallGate(ManualClock(), rows.append))
    images = handler(connection, ImageHandler)
    assert (await images.get_image("x")).id == "x"
    assert (await images.get_image(image_id="y")).id == "y"
    await images.list_images()
    await connection.close()
    assert [(row.resource, row.api) for row in rows] == [
        ("Connection", "connect"),
        ("Image", "get_image"),
        ("Image", "get_image"),
        ("Image", "list_images"),
        ("Connection", "close"),
    ]
    assert {(row.connection, row.provider, row.region) for row in rows} == {("c1", "paper", "r1")}


async def test_the_credential_is_masked() -> None:
    rows: list[CallRecord] = []
    connection = await open_connection(PaperDriver(), SPEC, "inst", CallGate(ManualClock(), rows.append))
    with pytest.raises(CloudAuthError) as caught:
        await connection.check()
    assert caught.value.message == "secret *** is wrong"
    assert "hunter2" not in repr(connection.__dict__) + repr(rows)


async def test_what_is_lacking_is_said() -> None:
    with pytest.raises(CloudUnsupportedError, match="no KeyPair function"):
        handler(ImagesOnly(), KeyPairHandler)
    with pytest.raises(CloudUnsupportedError, match="no VM function") as caught:
        handler(gate(ImagesOnly(), CallGate(ManualClock(), lambda row: None), LANE), VmHandler)
    assert caught.value.remedy


async def test_a_reboot_whose_answer_is_lost_is_not_asked_for_again() -> None:
    clock, rows = ManualClock(), list[CallRecord]()
    cloud = MockCloud(clock=clock)
    vms = handler(gate(MockConnection(cloud, MOCK, "inst"), CallGate(clock, rows.append), LANE), VmHandler)
    cloud.lose("reboot_vm", effect=False)
    with pytest.raises(CloudTimeoutError):
        await vms.reboot_vm("i-1")
    assert cloud.calls["reboot_vm"] == 1
    assert not LIMITS["reboot_vm"].again
    assert all(limit.again for api, limit in LIMITS.items() if api != "reboot_vm")


async def test_limits_can_be_set_per_method() -> None:
    class Silent(ImagesOnly):
        async def list_images(self) -> list[ImageInfo]:
            await asyncio.get_running_loop().create_future()
            return []

    clock = ManualClock()
    rows: list[CallRecord] = []
    images = handler(gate(Silent(), CallGate(clock, rows.append), LANE, {"list_images": Limit(1.0, 1.0)}), ImageHandler)
    task = asyncio.ensure_future(images.list_images())
    await clock.advance(1.5)
    assert isinstance(task.exception(), CloudTimeoutError)
    assert [round(row.elapsed_ms) for row in rows] == [1000]
