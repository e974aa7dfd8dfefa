"""The receiver with real TLS connections on loopback."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mcisd.aio.clock import SystemClock
from mcisd.bus.base import Delivery, Subscription
from mcisd.bus.memory import MemoryBus
from mcisd.collectors.receive import Limits, Receiver
from mcisd.collectors.tls import LinkCertificates
from mcisd.model import wire
from mcisd.model.errors import HostCommandError, HostTimeoutError, HostUnreachableError
from mcisd.model.identity import Identity
from mcisd.model.samples import FIRST, FRAME_HEAD, REPLAYED, Schema, frame_head
from tests.integration.collectors.collectors_agent import Connection

LIMITS = Limits(links=20, hello_s=0.5, silent_s=30.0, tell_s=0.3, tick_s=0.02)


class SlowClock(SystemClock):
    """``slow`` is how many seconds of wall clock it takes to find out who calls."""

    slow = 0.0
    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@dataclass
class Door:
    """A receiver that listens, and what it told."""

    bus: MemoryBus
    receiver: Receiver
    port: int
    ca: str
    told: list[tuple[str, str, dict[str, object]]]
    codes: dict[str, str]
    news: asyncio.Event
    clock: SlowClock

    async def connect(self, vm: str = "vm-1", schema: bool = True) -> Connection:
        connection = await Connection.open(self.port, self.ca)
        kind, _ = await connection.hello(vm)
        assert kind == wire.WELCOME
        if schema:
            connection.schema()
        return connection

    async def until_told(self, kind: str, count: int = 1) -> dict[str, object]:
        async with asyncio.timeout(10):
            while len(found := [data for k, _, data in self.told if k == kind]) < count:
                self.news.clear()
                await self.news.wait()
        return found[count - 1]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    certificates = LinkCertificates(tmp_path / "tls", SystemClock())
    certificates.ensure()
    bus = MemoryBus()
    told: list[tuple[str, str, dict[str, object]]] = []
    codes: dict[str, str] = {}

    clock = SlowClock()

    async def authenticate(vm: str, token: str) -> Identity | str:
        clock.ahead += clock.slow
        return codes.get(vm) or (Identity(vm, "h", "ns", "shop") if token == "good" else "forged")

    news = asyncio.Event()

    def on_link(kind: str, vm: str, data: dict[str, object]) -> None:
        told.append((kind, vm, data))
        news.set()

    receiver = Receiver(
        bus=bus,
        authenticate=authenticate,
        clock=clock,
        on_link=on_link,
        ssl_context=certificates.server_context(),
        limits=LIMITS,
    )
    port = await receiver.start("127.0.0.1", 0)
    yield Door(bus, receiver, port, certificates.ca_pem(), told, codes, news, clock)
    await receiver.stop()
    await bus.close()


async def fetch(subscription: Subscription, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await subscription.fetch(count - len(found))
    return found


def now_ms() -> int:
    return int(time.time() * 1000)


async def test_frame_goes_to_the_bus_with_its_schema_and_rates(door: Door) -> None:
    frames, schemas = door.bus.subscribe("metrics", "t"), door.bus.subscribe("schemas", "t")
    agent = await door.connect()
    at = now_ms() // 10_000 * 10_000 - 10_000
    agent.frame(1, at, [50.0, 1000.0], old=True)
    agent.frame(2, at + 2_000, [60.0, 3000.0], old=True)
    first, second = await fetch(frames, 2)
    (schema_message,) = await fetch(schemas, 1)
    schema = Schema.from_json(schema_message.value)
    assert [c.field for c in schema.columns] == ["usage", "bytes", "bytes_rate"]
    assert frame_head(first.value) == ("vm-1", schema.key, 1, at, REPLAYED | FIRST)
    assert frame_head(second.value) == ("vm-1", schema.key, 2, at + 2_000, REPLAYED)
    assert schema_message.key == schema.key.hex()
    assert np.array_equal(np.frombuffer(first.value, "<f8", offset=FRAME_HEAD.size)[:2], [50.0, 1000.0])
    assert np.array_equal(np.frombuffer(second.value, "<f8", offset=FRAME_HEAD.size), [60.0, 3000.0, 1000.0])
    assert (door.receiver.stats.samples, door.receiver.stats.replayed) == (6, 2)
    await agent.close()


async def test_schema_is_published_once_for_all_agents(door: Door) -> None:
    schemas, frames = door.bus.subscribe("schemas", "t"), door.bus.subscribe("metrics", "t")
    agents = [await door.connect(f"vm-{i}") for i in range(3)]
    for agent in agents:
        agent.frame(1, now_ms(), [1.0, 1.0])
    await fetch(frames, 3)
    assert len(await schemas.fetch()) == 1
    for agent in agents:
        await agent.close()


@pytest.mark.parametrize("code", ["unknown", "revoked"])
async def test_refused_with_code_and_reason(door: Door, code: str) -> None:
    door.codes["vm-1"] = code
    connection = await Connection.open(door.port, door.ca)
    kind, body = await connection.hello("vm-1")
    assert (kind, body["code"]) == (wire.REFUSED, code)
    with pytest.raises(ConnectionError):
        await connection.receive()
    assert (await door.until_told("refused"))["code"] == code
    await connection.close()


async def test_forged_token_is_refused_and_never_told_on(door: Door) -> None:
    connection = await Connection.open(door.port, door.ca)
    kind, body = await connection.hello("vm-1", token="secret-but-wrong")
    assert (kind, body["code"]) == (wire.REFUSED, "forged")
    await door.until_told("refused")
    assert "secret-but-wrong" not in json.dumps(door.told)
    await connection.close()


async def test_same_refusal_is_told_once_a_minute(door: Door) -> None:
    for _ in range(3):
        connection = await Connection.open(door.port, door.ca)
        await connection.hello("vm-1", token="wrong")
        await connection.close()
    assert [kind for kind, _, _ in door.told] == ["refused"]
    assert door.receiver.stats.refused == 3


async def test_forgotten_vm_is_cut_and_begins_anew(door: Door) -> None:
    frames = door.bus.subscribe("metrics", "t")
    agent = await door.connect()
    agent.frame(5, now_ms(), [1.0, 1.0])
    await fetch(frames, 1)
    door.receiver.forget("vm-1")
    with pytest.raises(ConnectionError):
        await agent.receive_until(lambda kind, _: kind != wire.ACK)
    assert door.receiver.last_heard("vm-1") is None
    await agent.close()
    again = await door.connect()
    again.frame(1, now_ms(), [1.0, 1.0])
    await fetch(frames, 1)
    await again.close()


async def test_interval_is_commanded(door: Door) -> None:
    agent = await door.connect()
    setting = asyncio.ensure_future(door.receiver.set_interval("vm-1", 500))
    command = wire.unpack_json(await agent.receive_until(lambda kind, _: kind == wire.COMMAND))
    assert (command["op"], command["interval_ms"]) == ("interval", 500)
    agent.send(wire.pack_json(wire.REPLY, {"id": command["id"], "ok": True}))
    await setting
    await agent.close()
    again = await Connection.open(door.port, door.ca)
    assert (await again.hello("vm-1"))[1]["interval_ms"] == 500
    await again.close()


async def test_silent_link_is_cut() -> None:
    bus, told = MemoryBus(), asyncio.Event()
    receiver = Receiver(
        bus=bus,
        authenticate=_let_in,
        clock=SystemClock(),
        on_link=lambda kind, vm, data: told.set() if kind == "down" else None,
        ssl_context=None,
        interval_ms=20,
        limits=Limits(silent_s=0.1, tick_s=0.02),
    )
    port = await receiver.start("127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        wire.pack_json(wire.HELLO, {"protocol": wire.PROTOCOL, "vm": "vm-1", "token": "good", "time_ms": now_ms()})
    )
    async with asyncio.timeout(10):
        await told.wait()
    assert receiver.stats.silent == 1
    writer.close()
    await receiver.stop()
    await bus.close()


async def _let_in(vm: str, _: str) -> Identity | str:
    return Identity(vm, "h", "ns", "shop")


async def test_other_protocol_is_refused(door: Door) -> None:
    connection = await Connection.open(door.port, door.ca)
    connection.send(wire.pack_json(wire.HELLO, {"protocol": 1, "vm": "vm-1", "token": "good", "time_ms": 0}))
    kind, payload = await connection.receive()
    assert (kind, wire.unpack_json(payload)["code"]) == (wire.REFUSED, "protocol")
    await connection.close()


@pytest.mark.parametrize(
    "message",
    [
        wire.pack_json(wire.BYE, {}),
        wire.pack_json(wire.HELLO, {"vm": "vm-1"}),
        wire.pack_json(wire.HELLO, {"protocol": wire.PROTOCOL, "vm": "a" * 40, "token": "good", "time_ms": 0}),
        wire.pack(wire.HELLO, b"\xff not json"),
        b"\xff\xff\xff\xff\x01",
        b"\x00\x00\x00\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        wire.pack(wire.HELLO, b"x" * 10_000),
        wire.pack(wire.HELLO, b"[" * 8_000),
    ],
)
async def test_what_is_not_our_protocol_ends_the_link(door: Door, message: bytes) -> None:
    connection = await Connection.open(door.port, door.ca)
    connection.send(message)
    with pytest.raises(ConnectionError):
        await connection.receive()
    assert door.receiver.stats.bad_messages == 1
    await connection.close()


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0]])
async def test_frame_that_does_not_fit_its_schema_ends_the_link(door: Door, values: list[float]) -> None:
    agent = await door.connect()
    agent.frame(1, now_ms(), values)
    with pytest.raises(ConnectionError):
        await agent.receive_until(lambda kind, _: kind != wire.ACK)
    assert door.receiver.stats.frames == 0
    await agent.close()


async def test_late_hello_is_cut(door: Door) -> None:
    connection = await Connection.open(door.port, door.ca)
    with pytest.raises(ConnectionError):
        await connection.receive(5)
    assert door.receiver.stats.late_hello == 1
    await connection.close()


async def test_wrong_ca_is_not_talked_to(door: Door, tmp_path: Path) -> None:
    other = LinkCertificates(tmp_path / "other", SystemClock())
    other.ensure()
    with pytest.raises(ssl.SSLCertVerificationError):
        await Connection.open(door.port, other.ca_pem())


async def test_new_link_of_a_vm_ends_the_old_one(door: Door) -> None:
    frames = door.bus.subscribe("metrics", "t")
    old = await door.connect()
    new = await door.connect()
    with pytest.raises(ConnectionError):
        await old.receive_until(lambda kind, _: kind != wire.ACK)
    new.frame(1, now_ms(), [1.0, 1.0])
    await fetch(frames, 1)
    assert door.receiver.connected() == ["vm-1"]
    assert (await door.until_told("down"))["reason"] == "replaced"
    await old.close()
    await new.close()


async def test_too_many_links_are_turned_away(door: Door) -> None:
    agents = [await door.connect(f"vm-{i}", schema=False) for i in range(LIMITS.links)]
    more = await Connection.open(door.port, door.ca)
    with pytest.raises(ConnectionError):
        await more.receive()
    await more.close()
    assert door.receiver.stats.over_limit == 1
    for agent in agents:
        await agent.close()


async def test_whole_windows_are_acknowledged_and_a_new_link_begins_anew(door: Door) -> None:
    frames = door.bus.subscribe("metrics", "writer", durable=True)
    agent = await door.connect()
    window = now_ms() // 10_000 * 10_000 - 20_000
    sent = [(1, window), (2, window + 2_000), (2, window + 2_000), (3, window + 10_000)]
    for seq, at in sent:
        agent.frame(seq, at, [1.0, 1.0], old=True)
    found = await fetch(frames, 3)
    assert door.receiver.stats.duplicates == 1
    await frames.commit({0: found[2].offset})
    await agent.acked(2, old=True)
    agent.send(wire.pack_json(wire.REPLAY_DONE, {}))
    await agent.acked(3, old=True)
    agent.cut()
    again = await Connection.open(door.port, door.ca)
    kind, welcome = await again.hello("vm-1")
    assert (kind, welcome["seen"]) == (wire.WELCOME, 3)
    again.schema()
    again.frame(3, window + 10_000, [1.0, 1.0], old=True)
    (third,) = await fetch(frames, 1)
    assert frame_head(third.value)[2] == 3
    one, two = (FRAME_HEAD.unpack_from(message.value)[4] for message in (found[0], third))
    assert one < two
    await again.close()


async def test_lanes_are_acknowledged_each_for_itself(door: Door) -> None:
    frames = door.bus.subscribe("metrics", "writer", durable=True)
    agent = await door.connect()
    window = now_ms() // 10_000 * 10_000
    for seq, at, old in ((1, window - 50_000, True), (8, window, False), (9, window + 10, False)):
        agent.frame(seq, at, [1.0, 1.0], old=old)
    agent.frame(2, window - 40_000, [1.0, 1.0], old=True)
    found = await fetch(frames, 4)
    await frames.commit({0: found[3].offset})
    assert wire.unpack_ack(await agent.receive_until(lambda k, p: k == wire.ACK and any(wire.unpack_ack(p)))) == (1, 0)
    await agent.close()


async def test_welcome_tells_the_terms(door: Door) -> None:
    door.receiver.set_route(lambda vm, stay: [], lambda: [("c1", 1), ("c2", 2)])
    connection = await Connection.open(door.port, door.ca)
    kind, welcome = await connection.hello("vm-1", link=5)
    assert kind == wire.WELCOME
    assert (welcome["window_ms"], welcome["skew_ms"], welcome["interval_ms"]) == (10_000, 0, 2_000)
    assert welcome["servers"] == [["c1", 1], ["c2", 2]]
    assert welcome["replay_per_s"] == 500
    assert abs(int(str(welcome["link"])) - now_ms()) < 5_000
    later = await Connection.open(door.port, door.ca)
    assert (await later.hello("vm-2", link=1 << 50))[1]["link"] == (1 << 50) + 1
    await later.close()
    await connection.close()


async def test_identity_is_on_the_bus_once_and_before_the_first_frame(door: Door) -> None:
    identities = door.bus.follow("identities", "t", from_start=True)
    for _ in range(2):
        agent = await door.connect()
        await agent.close()
        await door.until_told("down")
    other = await door.connect("vm-2")
    found = await fetch(identities, 2)
    assert [Identity.from_json(message.value) for message in found] == [
        Identity("vm-1", "h", "ns", "shop"),
        Identity("vm-2", "h", "ns", "shop"),
    ]
    await other.close()


async def test_vm_that_belongs_elsewhere_is_sent_there(door: Door) -> None:
    door.receiver.set_route(lambda vm, stay: [("elsewhere", 99)] if vm == "vm-1" and not stay else [])
    connection = await Connection.open(door.port, door.ca)
    kind, body = await connection.hello("vm-1")
    assert (kind, body["code"], body["servers"]) == (wire.REFUSED, "moved", [["elsewhere", 99]])
    await connection.close()
    asks = await Connection.open(door.port, door.ca)
    assert (await asks.hello("vm-1", stay=True))[0] == wire.WELCOME
    await asks.close()
    await door.until_told("down")
    door.told.clear()
    stays = await door.connect("vm-2")
    assert (door.receiver.links(), door.receiver.stats.moved, door.receiver.stats.refused) == (1, 1, 0)
    assert [kind for kind, _, _ in door.told] == ["up"]
    moving = asyncio.ensure_future(door.receiver.move("vm-2", [("elsewhere", 99)]))
    command = wire.unpack_json(await stays.receive_until(lambda kind, _: kind == wire.COMMAND))
    assert (command["op"], command["servers"]) == ("move", [["elsewhere", 99]])
    stays.send(wire.pack_json(wire.REPLY, {"id": command["id"], "ok": True}))
    stays.send(wire.pack_json(wire.BYE, {"reason": "moved"}))
    await moving
    assert (await door.until_told("down"))["reason"] == "moved"
    assert door.receiver.links() == 0
    await stays.close()


async def test_silent_daemon_still_tells_that_it_lives(door: Door) -> None:
    agent = await door.connect()
    kind, payload = await agent.receive(5)
    assert (kind, wire.unpack_ack(payload)) == (wire.ACK, (0, 0))
    await agent.close()


async def test_full_bus_stops_reading_and_goes_on(door: Door) -> None:
    """One VM sends more than the bus holds; nothing is lost when the reader starts late."""
    frames = door.bus.subscribe("metrics", "writer", durable=True)
    agent = await door.connect()
    total, at = 52_000, now_ms() - 80_000
    for seq in range(1, total + 1):
        agent.frame(seq, at + seq, [1.0, float(seq)], old=True)
    sending = asyncio.ensure_future(agent.drain())
    seen = 0
    while seen < total:
        batch = await asyncio.wait_for(frames.fetch(), 10)
        assert [frame_head(m.value)[2] for m in batch] == list(range(seen + 1, seen + 1 + len(batch)))
        seen += len(batch)
        if seen % 5_000 < len(batch) or seen == total:
            await frames.commit({0: batch[-1].offset})
    await sending
    await agent.close()


async def test_clock_ten_minutes_off_is_told_and_corrected(door: Door) -> None:
    frames = door.bus.subscribe("metrics", "t")
    connection = await Connection.open(door.port, door.ca)
    ahead = now_ms() + 600_000
    await connection.hello("vm-1", time_ms=ahead)
    connection.schema()
    connection.frame(1, ahead, [1.0, 1.0])
    (message,) = await fetch(frames, 1)
    assert abs(frame_head(message.value)[3] - now_ms()) < 5_000
    assert (await door.until_told("clock-skew"))["skew_ms"] == -600_000
    await connection.close()


async def test_a_slow_answer_to_hello_is_not_taken_for_a_wrong_clock(door: Door) -> None:
    """The store that knows the tokens took eight seconds; all samples stay in their windows."""
    door.clock.slow = 8.0
    connection = await Connection.open(door.port, door.ca)
    _, welcome = await connection.hello("vm-1", time_ms=now_ms())
    assert welcome["skew_ms"] == 0
    await connection.close()


async def test_measure_asks_the_agent(door: Door) -> None:
    agent = await door.connect()
    asked = asyncio.ensure_future(door.receiver.measure("vm-1"))
    command = wire.unpack_json(await agent.receive_until(lambda kind, _: kind == wire.COMMAND))
    assert command["op"] == "measure"
    reply = {"id": command["id"], "ok": True, "schema": 1, "time_ms": 123, "values": [7.5, None]}
    agent.send(wire.pack_json(wire.REPLY, reply))
    schema, time_ms, values = await asked
    assert [c.field for c in schema.columns] == ["usage", "bytes"]
    assert time_ms == 123
    assert values[0] == 7.5
    assert np.isnan(values[1])
    await agent.close()


async def test_measure_says_why_it_cannot(door: Door) -> None:
    with pytest.raises(HostUnreachableError):
        await door.receiver.measure("vm-1")
    agent = await door.connect()
    with pytest.raises(HostTimeoutError):
        await door.receiver.measure("vm-1", timeout=0.05)
    for more in ({"ok": False, "error": "no"}, {"ok": True, "schema": 9, "time_ms": 1, "values": []}, {"ok": True}):
        asked = asyncio.ensure_future(door.receiver.measure("vm-1"))
        while True:
            command = wire.unpack_json(await agent.receive_until(lambda kind, _: kind == wire.COMMAND))
            agent.send(wire.pack_json(wire.REPLY, {"id": command["id"], **more}))
            if (await asyncio.wait({asked}, timeout=0.5))[0]:
                break
        with pytest.raises(HostCommandError):
            await asked
    asked = asyncio.ensure_future(door.receiver.measure("vm-1"))
    await asyncio.sleep(0.05)
    agent.cut()
    with pytest.raises(HostUnreachableError):
        await asked


async def test_revoked_link_ends_at_once(door: Door) -> None:
    agent = await door.connect()
    await door.receiver.disconnect("vm-1")
    payload = await agent.receive_until(lambda kind, _: kind == wire.REFUSED)
    assert wire.unpack_json(payload)["code"] == "revoked"
    assert door.receiver.connected() == []
    await agent.close()


async def test_stop_agent_waits_for_its_end(door: Door) -> None:
    agent = await door.connect()
    stopping = asyncio.ensure_future(door.receiver.stop_agent("vm-1"))
    command = wire.unpack_json(await agent.receive_until(lambda kind, _: kind == wire.COMMAND))
    assert command["op"] == "stop"
    agent.send(wire.pack_json(wire.BYE, {}))
    await stopping
    assert [kind for kind, _, _ in door.told] == ["up", "stopped"]
    heard = door.receiver.last_heard("vm-1")
    assert heard is not None
    assert abs(heard - time.time()) < 10
    assert door.receiver.last_heard("vm-2") is None
    await agent.close()
