"""The receiver in a crowd, with peers that dawdle, and while the bus is away."""

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mcisd.aio.clock import SystemClock
from mcisd.bus.base import Outgoing
from mcisd.bus.memory import MemoryBus
from mcisd.collectors import door as door_module
from mcisd.collectors.receive import Limits, Receiver
from mcisd.collectors.reception import Authenticate
from mcisd.collectors.tls import LinkCertificates
from mcisd.model import wire
from mcisd.model.errors import BusError
from mcisd.model.identity import Identity
from mcisd.model.samples import frame_head
from tests.integration.collectors.collectors_agent import Connection


class MoodyBus(MemoryBus):
    """The real bus, that can be held up, or made to refuse after it has taken the message."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.refuse = 0

    async def publish_all(self, topic: str, messages: Sequence[Outgoing]) -> list[tuple[int, int]]:
        await self.open.wait()
        places = await super().publish_all(topic, messages)
        if self.refuse:
            self.refuse -= 1
            raise BusError("refused on command")
        return places


class Place:
    """A receiver with the bus behind it."""

    def __init__(
        self, bus: MoodyBus, certificates: LinkCertificates, limits: Limits, authenticate: Authenticate
    ) -> None:
        self.bus = bus
        self.ca = certificates.ca_pem()
        self.told: list[tuple[str, str, Mapping[str, object]]] = []
        self.receiver = Receiver(
            bus=bus,
            authenticate=authenticate,
            clock=SystemClock(),
            on_link=lambda kind, vm, data: self.told.append((kind, vm, data)),
            ssl_context=certificates.server_context(),
            interval_ms=20,
            limits=limits,
            shared=True,
        )
        self.port = 0

    async def connect(self, vm: str) -> Connection:
        connection = await Connection.open(self.port, self.ca)
        assert (await connection.hello(vm))[0] == wire.WELCOME
        connection.schema()
        return connection


async def _let_in(vm: str, _: str) -> Identity | str:
    return Identity(vm, "h", "ns", "shop")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    limits = Limits(silent_s=0.3, stall_s=0.6, tell_s=0.2, tick_s=0.02, hello_s=5.0)
    async with opened(tmp_path, limits, _let_in) as place:
        yield place


@asynccontextmanager
async def opened(folder: Path, limits: Limits, authenticate: Authenticate) -> AsyncIterator[Place]:
    certificates = LinkCertificates(folder / "tls", SystemClock())
    certificates.ensure()
    place = Place(MoodyBus(), certificates, limits, authenticate)
    place.port = await place.receiver.start("127.0.0.1", 0)
    yield place
    await place.receiver.stop()
    await place.bus.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - counters ring no bell
            await asyncio.sleep(0.01)


def now_ms() -> int:
    return int(time.time() * 1000)


async def test_link_that_waits_for_the_bus_is_not_silent(place: Place) -> None:
    agent = await place.connect("vm-1")
    agent.frame(1, now_ms(), [1.0, 1.0])
    await until(lambda: place.receiver.stats.frames)
    place.bus.open.clear()
    agent.frame(2, now_ms(), [1.0, 1.0])
    await asyncio.sleep(0.5)
    place.bus.open.set()
    await until(lambda: place.receiver.stats.frames == 2)
    assert place.receiver.stats.silent == 0
    await until(lambda: place.receiver.stats.silent == 1)
    await agent.close()


async def test_link_that_waited_long_for_the_bus_begins_anew(place: Place) -> None:
    agent = await place.connect("vm-1")
    place.bus.open.clear()
    agent.frame(1, now_ms(), [1.0, 1.0])
    await asyncio.sleep(0.8)
    place.bus.open.set()
    await until(lambda: place.receiver.stats.stalled)
    await until(lambda: not place.receiver.links())
    assert place.told[-1][0] == "down"
    assert place.told[-1][2] == {"reason": "the bus was away"}
    await agent.close()


async def test_bus_that_refuses_is_asked_again(place: Place) -> None:
    frames = place.bus.follow("metrics", "t", from_start=True)
    agent = await place.connect("vm-1")
    agent.frame(1, now_ms(), [1.0, 1.0])
    await until(lambda: place.receiver.stats.frames == 1)
    place.bus.refuse = 1
    agent.frame(2, now_ms(), [1.0, 1.0])
    await until(lambda: place.receiver.stats.frames == 2)
    assert place.receiver.stats.bus_failures == 1
    found = [*await frames.fetch()]
    assert [frame_head(message.value)[2] for message in found] == [1, 2, 2], "it may be there twice"
    await agent.close()


async def test_all_frames_of_one_read_are_published_in_one_go(place: Place) -> None:
    calls: list[int] = []
    publish_all = place.bus.publish_all

    async def counted(topic: str, messages: Sequence[Outgoing]) -> list[tuple[int, int]]:
        calls.append(len(messages))
        return await publish_all(topic, messages)

    place.bus.publish_all = counted  # type: ignore[method-assign]  # looks on
    agent = await place.connect("vm-1")
    for seq in range(1, 201):
        agent.frame(seq, now_ms(), [1.0, 1.0])
    await until(lambda: place.receiver.stats.frames == 200)
    assert sum(calls) == 202
    assert len(calls) < 20
    await agent.close()


async def test_an_agent_that_has_said_hello_is_not_late_however_slow_we_are(tmp_path: Path) -> None:
    asked = 0

    async def slowly(vm: str, token: str) -> Identity | str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(1.0)
        return await _let_in(vm, token)

    async with opened(tmp_path, Limits(hello_s=0.3, tick_s=0.02, authenticate_s=5.0), slowly) as place:
        agents = await asyncio.gather(*(place.connect(f"vm-{i}") for i in range(5)))
        assert (asked, place.receiver.stats.links, place.receiver.stats.late_hello) == (5, 5, 0)
        for agent in agents:
            await agent.close()


async def test_an_agent_that_nobody_can_vouch_for_in_time_is_cut(tmp_path: Path) -> None:
    async def never(vm: str, token: str) -> Identity | str:
        await asyncio.Event().wait()
        return "unknown"

    async with opened(tmp_path, Limits(hello_s=0.1, tick_s=0.02, authenticate_s=0.3), never) as place:
        connection = await Connection.open(place.port, place.ca)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionError):
                await connection.hello("vm-1")
        assert (place.receiver.links(), place.receiver.stats.late_hello) == (0, 0)
        await connection.close()


async def test_a_crowd_is_served_though_some_dawdle(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "TURN_S", 0.1)
    dawdlers = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(2 * door_module.AT_ONCE)]
    agents = await asyncio.gather(*(place.connect(f"vm-{i}") for i in range(150)))
    assert place.receiver.stats.links == 150
    for _, writer in dawdlers:
        writer.close()
    stats = place.receiver.stats
    await until(lambda: stats.bad_handshakes + stats.hung_up == len(dawdlers))
    for agent in agents:
        agent.cut()
    await until(lambda: not place.receiver.links())


async def test_a_process_without_descriptors_accepts_again_when_it_has_some(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel's refusal is emulated."""
    loop = asyncio.get_running_loop()
    accept = loop.sock_accept
    refused: list[int] = []

    async def sock_accept(listener: socket.socket) -> tuple[socket.socket, object]:
        if not refused:
            refused.append(1)
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", sock_accept)
    (await place.connect("vm-0")).cut()  # the accept that was under way already
    agent = await place.connect("vm-1")
    assert place.receiver.stats.links == 2
    assert "Too many open files" in caplog.text
    agent.cut()


async def test_who_hung_up_while_waiting_costs_no_handshake(place: Place) -> None:
    dawdlers = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(door_module.AT_ONCE)]
    gone = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(20)]
    for number, (_, writer) in enumerate(gone):
        if number % 2:
            writer.write(b"\x16\x03\x01")  # the beginning of its hello lies there unread
        writer.close()
    agent = await place.connect("vm-0")
    assert place.receiver.stats.hung_up == len(gone)
    for _, writer in dawdlers:
        writer.close()
    agent.cut()
    await until(lambda: not place.receiver.links())
