"""The parts of the bus on Kafka that need no broker: who goes when, what goes together, how Kafka is reached."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from mcisd.aio.clock import ManualClock
from mcisd.aio.supervise import TaskSet
from mcisd.bus.base import Topic
from mcisd.bus.kafka.errors import SparingFilter, bus_error
from mcisd.bus.kafka.gate import ByteGate
from mcisd.bus.kafka.lane import Batch, Lane, Record
from mcisd.bus.kafka.options import KafkaLimits, KafkaOptions, client_arguments
from mcisd.bus.kafka.partition import partition_for
from mcisd.bus.kafka.topics import settings_of
from mcisd.model.errors import BusError, ConfigError

# --- the gate


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that want in; ``order`` is who came in so far."""

    def __init__(self, gate: ByteGate) -> None:
        self.order: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._gate = gate

    async def come(self, name: str, size: int) -> None:
        async def pass_through() -> None:
            await self._gate.enter(size)
            self.order.append(name)

        self.tasks[name] = asyncio.ensure_future(pass_through())
        await settle()


async def test_gate_lets_in_up_to_its_limit_and_the_rest_in_order() -> None:
    gate = ByteGate(10)
    crowd = Crowd(gate)
    for name, size in (("a", 6), ("b", 6), ("c", 1), ("d", 1)):
        await crowd.come(name, size)
    assert (crowd.order, gate.inside, len(gate)) == (["a", "b"], 12, 2)
    gate.leave(6)
    await settle()
    assert (crowd.order, gate.inside) == (["a", "b", "c", "d"], 8)


async def test_gate_lets_one_too_large_in_when_there_is_any_room() -> None:
    gate = ByteGate(10)
    await gate.enter(99)
    crowd = Crowd(gate)
    await crowd.come("late", 1)
    assert crowd.order == []
    gate.leave(99)
    await settle()
    assert crowd.order == ["late"]


async def test_nobody_overtakes_one_who_was_just_called() -> None:
    gate = ByteGate(1)
    await gate.enter(1)
    crowd = Crowd(gate)
    await crowd.come("first", 1)
    gate.leave(1)  # "first" is called, and has not run yet
    second = asyncio.ensure_future(gate.enter(1))
    await settle()
    assert (crowd.order, second.done()) == (["first"], False)
    gate.leave(1)
    await second


async def test_gate_is_held_until_all_who_hold_it_let_go() -> None:
    gate = ByteGate(10)
    gate.hold()
    gate.hold()
    crowd = Crowd(gate)
    await crowd.come("a", 1)
    gate.go_on()
    await settle()
    assert crowd.order == []
    gate.go_on()
    await settle()
    assert crowd.order == ["a"]


async def test_one_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    gate = ByteGate(1)
    await gate.enter(1)
    crowd = Crowd(gate)
    for name in ("a", "b", "c"):
        await crowd.come(name, 1)
    crowd.tasks["a"].cancel()
    await settle()
    gate.leave(1)
    crowd.tasks["b"].cancel()  # called already, gone before it ran
    await settle()
    assert (crowd.order, gate.inside) == (["c"], 1)


async def test_closing_the_gate_sends_everybody_away() -> None:
    gate = ByteGate(1)
    await gate.enter(1)
    waiting = asyncio.ensure_future(gate.enter(1))
    await settle()
    gate.close()
    for attempt in (waiting, gate.enter(1)):
        with pytest.raises(BusError, match="closed"):
            await attempt


# --- lanes


class Brokers:
    """Takes batches when told to. ``taken`` are the values, batch by batch."""

    def __init__(self) -> None:
        self.taken: list[list[bytes | None]] = []
        self.failures: list[BaseException] = []
        self.offset = 100
        self.open = asyncio.Event()
        self.open.set()

    async def deliver(self, records: list[Record]) -> int:
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append([value for _, _, value, _ in records])
        self.offset += len(records)
        return self.offset - len(records)


def lane_to(
    deliver: Callable[[list[Record]], Awaitable[int]], clock: ManualClock, batch_bytes: int = 100
) -> tuple[Lane, list[Batch], TaskSet]:
    done: list[Batch] = []
    tasks = TaskSet("lane")
    limits = KafkaLimits(batch_bytes=batch_bytes, linger_s=0.002)
    return Lane(deliver, done.append, tasks, clock, limits), done, tasks


def record(value: bytes) -> Record:
    return (0, b"k", value, [])


async def test_what_comes_close_together_goes_together() -> None:
    clock, brokers = ManualClock(), Brokers()
    lane, done, _ = lane_to(brokers.deliver, clock)
    places = [lane.append(record(b"%d" % i), 1) for i in range(3)]
    await clock.advance(0.001)
    assert brokers.taken == []
    await clock.advance(0.001)
    assert brokers.taken == [[b"0", b"1", b"2"]]
    assert [batch.base.result() + index for batch, index in places] == [100, 101, 102]
    assert [batch.size for batch in done] == [3]


async def test_one_batch_is_under_way_at_a_time_while_the_next_fills() -> None:
    clock, brokers = ManualClock(), Brokers()
    lane, _, _ = lane_to(brokers.deliver, clock, batch_bytes=4)
    brokers.open.clear()
    lane.append(record(b"0"), 1)
    await clock.advance(0.002)
    for i in range(1, 10):
        lane.append(record(b"%d" % i), 1)
    brokers.open.set()
    await settle()
    full = [[b"0"], [b"1", b"2", b"3", b"4"], [b"5", b"6", b"7", b"8"]]
    assert brokers.taken == full, "what is full goes at once"
    await clock.advance(0.002)
    assert brokers.taken == [*full, [b"9"]], "what is small waits for the next tick"


async def test_a_batch_that_fails_fails_alone() -> None:
    clock, brokers = ManualClock(), Brokers()
    lane, done, _ = lane_to(brokers.deliver, clock, batch_bytes=1)
    brokers.failures.append(BusError("no"))
    first, _ = lane.append(record(b"0"), 1)
    second, _ = lane.append(record(b"1"), 1)
    await clock.advance(0.002)
    with pytest.raises(BusError, match="no"):
        await first.base
    assert second.base.result() == 100
    assert done == [first, second]


async def test_closing_fails_what_is_under_way_and_what_waits() -> None:
    clock, brokers = ManualClock(), Brokers()
    lane, done, tasks = lane_to(brokers.deliver, clock, batch_bytes=1)
    brokers.open.clear()
    batches = [lane.append(record(b"%d" % i), 1)[0] for i in range(2)]
    await clock.advance(0.002)
    await tasks.close()
    lane.close()
    for batch in batches:
        with pytest.raises(BusError, match="closed"):
            await batch.base
    assert done == batches


# --- keys, topics, options, errors


@pytest.mark.parametrize(
    ("key", "hashed"),
    [("21", 1173551340), ("foobar", 1357151166), ("a-little-bit-long-string", 1161502112), ("", 275646681)],
)
def test_keys_go_where_kafkas_own_clients_put_them(key: str, hashed: int) -> None:
    """The numbers are those of Kafka's own tests of its murmur2, without their sign bit."""
    assert partition_for(key, 2**31) == hashed
    assert partition_for(key, 12) == hashed % 12


def test_topics_bring_their_settings() -> None:
    kept = settings_of(Topic("t", retention_s=3_600.0), 3)
    assert (kept["cleanup.policy"], kept["retention.ms"], kept["min.insync.replicas"]) == ("delete", "3600000", "2")
    assert int(kept["segment.ms"]) < int(kept["retention.ms"])
    compacted = settings_of(Topic("t", compacted=True), 1)
    assert (compacted["cleanup.policy"], compacted["min.insync.replicas"]) == ("compact", "1")
    assert "retention.ms" not in compacted


def test_options_become_arguments_and_hide_the_password() -> None:
    options = KafkaOptions("a:1, b:2", security="SASL_SSL", username="u", password="geheim")
    arguments = client_arguments(options)
    assert arguments["bootstrap_servers"] == ["a:1", "b:2"]
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("u", "geheim")
    assert arguments["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert arguments["ssl_context"].check_hostname
    assert "geheim" not in repr(options)
    assert not any(name.startswith(("sasl", "ssl")) for name in client_arguments(KafkaOptions("a:1")))


def test_options_that_do_not_fit_name_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no password") as failure:
        client_arguments(KafkaOptions("a:1", security="SASL_PLAINTEXT", username="u"))
    assert failure.value.field == "bus.username"
    for name in ("ca_file", "cert_file"):
        bad = tmp_path / "bad.pem"
        bad.write_text("nothing")
        with pytest.raises(ConfigError, match=f"bus.{name}"):
            client_arguments(KafkaOptions("a:1", security="SSL", **{name: bad}))  # type: ignore[arg-type] # one of two
        with pytest.raises(ConfigError, match=f"bus.{name}"):
            client_arguments(KafkaOptions("a:1", security="SSL", **{name: tmp_path / "none.pem"}))  # type: ignore[arg-type]


def test_errors_say_whether_trying_again_helps() -> None:
    away = bus_error("reading", KafkaConnectionError("no broker"))
    refused = bus_error("reading", TopicAuthorizationFailedError("t"))
    assert (away.retriable, refused.retriable) == (True, False)
    assert "no broker" in away.message
    assert "TopicAuthorizationFailed" in refused.message
    assert BusError.retriable


def test_the_library_repeats_itself_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("mcisd.bus.kafka.errors.time.monotonic", lambda: now)
    sparing = SparingFilter()

    def passes(level: int, message: str) -> bool:
        return sparing.filter(logging.LogRecord("aiokafka", level, "", 0, message, None, None))

    assert [passes(logging.ERROR, "away %s"), passes(logging.ERROR, "away %s")] == [True, False]
    assert [passes(logging.WARNING, "other"), passes(logging.INFO, "chat")] == [True, False]
    now = 1_061.0
    assert passes(logging.ERROR, "away %s")
