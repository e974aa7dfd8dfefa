"""Properties of the outbox: what goes in is acknowledged, kept or counted as dropped, in order, whatever is cut off."""

import array
import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.agent.gather import Schema
from mcisd.agent.outbox import Outbox
from mcisd.agent.probes.own import Stats
from mcisd.agent.spool import Spool
from mcisd.model import wire

NARROW = Schema([["m", "f%d" % number, {}, "g"] for number in range(4)])  # noqa: UP031 - as the agent spells it
WIDE = Schema([["m", "f%d" % number, {}, "g"] for number in range(200)])  # noqa: UP031
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 12)),
        st.tuples(st.just("send"), st.integers(1, 30)),
        st.tuples(st.just("ack"), st.integers(0, 40)),
        st.tuples(st.sampled_from(["up", "down", "restart"]), st.just(0)),
    ),
    max_size=40,
)


class Machine:
    """An outbox on a small disk, and a list that says what it must hold."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.total = self.acked = self.lost = 0
        self.live: list[int] = []
        self.history: list[int] = []  # acknowledged
        self.seq = 1000
        self.up = False
        self.daemon = 0  # the highest number the daemon has
        self.open()

    def open(self) -> None:
        self.stats = Stats()
        self.spool = Spool(self.folder, 65536, 10**6)
        self.outbox = Outbox(self.spool, self.stats, max_frames=4)
        self.sent = 0
        self.up = False

    def put(self, count: int) -> None:
        for _ in range(count):
            self.seq += 1 + self.seq % 3
            schema = WIDE if self.seq % 2 else NARROW
            values = array.array("d", [float(self.seq)] * schema.width)
            payload = wire.pack_frame(schema.id, self.seq, 5000 + self.seq, 0, values)[5:]
            before = self.stats.dropped_frames
            self.outbox.put(self.seq, 5000 + self.seq, payload, schema)
            self.total += 1
            self.live.append(self.seq)
            self.live = self.live[self.stats.dropped_frames - before :]  # always the oldest

    def send(self, count: int) -> list[int]:
        got: list[int] = []
        while self.up and len(got) < count and (item := self.outbox.next()):
            schema, seq, time_ms, _, columns = wire.unpack_frame(item[1])
            assert (schema, time_ms) == (item[0], 5000 + seq)
            assert self.outbox.schema(schema) == (WIDE if seq % 2 else NARROW).message
            assert array.array("d", columns)[-1] == seq
            assert seq > self.sent
            self.sent = seq
            got.append(seq)
        return got

    def ack(self, back: int) -> None:
        if self.up and self.sent:
            self.daemon = max(self.daemon, self.sent - back)
            self.outbox.acked(self.daemon)
            self.forget()

    def forget(self) -> None:
        rest = [seq for seq in self.live if seq > self.daemon]
        self.history += self.live[: len(self.live) - len(rest)]
        self.acked += len(self.live) - len(rest)
        self.live = rest

    def change(self, what: str) -> None:
        if what == "up" and not self.up:
            self.up, self.sent = True, self.daemon
            self.outbox.link_up(self.daemon)
            self.forget()
        elif what == "down":
            self.up = False
            self.outbox.link_down()
        elif what == "restart":
            before = self.stats.dropped_frames
            self.outbox.spill()
            dropped = self.stats.dropped_frames
            self.live = self.live[dropped - before :]
            self.spool.close()
            self.lost += dropped
            self.open()
            self.come_back(self.outbox.kept - len(self.live))

    def come_back(self, count: int) -> None:
        """The front of a segment not acknowledged to its end is on disk again until the daemon says that it has it."""
        assert 0 <= count <= len(self.history)
        at = len(self.history) - count
        self.live = self.history[at:] + self.live
        self.history = self.history[:at]
        self.acked -= count

    def check(self) -> None:
        dropped = self.lost + self.stats.dropped_frames
        assert self.total == self.acked + len(self.live) + dropped
        assert self.outbox.kept == len(self.live)
        assert self.outbox.last == (self.live[-1] if self.live else 0)
        assert self.stats.spooled_bytes <= 65536


@given(STEPS)
@settings(max_examples=80, deadline=None)
def test_in_is_acknowledged_plus_kept_plus_dropped(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(folder)
        acts: dict[str, Callable[[int], object]] = {"put": machine.put, "send": machine.send, "ack": machine.ack}
        for what, number in steps:
            if what in acts:
                acts[what](number)
            else:
                machine.change(what)
            machine.check()
        machine.change("down")
        machine.change("up")
        assert machine.send(10**6) == machine.live
        machine.ack(0)
        machine.check()
        assert machine.live == []
        assert [path for path in Path(folder).iterdir() if path.suffix in (".seg", ".msg")] == []
        machine.spool.close()


def spooled(folder: str, count: int) -> list[int]:
    """Put frames on disk with the link down, then vanish as by kill -9; gives their numbers."""
    machine = Machine(folder)
    machine.put(count)
    assert machine.outbox.kept == machine.stats.spooled_frames
    machine.spool.close()
    return machine.live


def segments(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("*.seg"))


def drain(folder: str) -> tuple[list[int], int]:
    """Numbers that a new start finds, and how many frames it counts as dropped."""
    machine = Machine(folder)
    machine.change("up")
    got = machine.send(10**6)
    machine.spool.close()
    return got, machine.stats.dropped_frames


@given(st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_restart_at_any_byte_of_the_spool(count: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = spooled(folder, count)
        last = segments(folder)[-1]
        cut = data.draw(st.integers(0, last.stat().st_size))
        sizes = [8 + 16 + 24 + 8 * (WIDE if seq % 2 else NARROW).width for seq in kept if seq >= int(last.stem)]
        whole, at = 0, 0
        while whole < len(sizes) and at + sizes[whole] <= cut:
            at += sizes[whole]
            whole += 1
        os.truncate(last, cut)
        got, dropped = drain(folder)
        assert got == kept[: len(kept) - len(sizes) + whole]
        assert dropped == (1 if cut > at else 0)


@given(st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_byte_costs_the_rest_of_its_segment_only(count: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = spooled(folder, count)
        hit = data.draw(st.sampled_from(segments(folder)))
        text = bytearray(hit.read_bytes())
        text[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
        hit.write_bytes(text)
        got, dropped = drain(folder)
        ends = [int(other.stem) for other in segments(folder) if int(other.stem) > int(hit.stem)]
        inside = [seq for seq in kept if seq >= int(hit.stem) and not (ends and seq >= ends[0])]
        assert [seq for seq in got if seq not in inside] == [seq for seq in kept if seq not in inside]
        assert [seq for seq in got if seq in inside] == inside[: len([seq for seq in got if seq in inside])]
        assert dropped == 1
        assert len(got) < len(kept)


def test_a_byte_flipped_while_running_is_found_when_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(folder)
        machine.put(20)
        first = segments(folder)[0]
        text = bytearray(first.read_bytes())
        text[-1] ^= 1
        first.write_bytes(text)
        machine.change("up")
        got = machine.send(100)
        assert len(got) == 19
        assert machine.outbox.kept == 19
        machine.put(1)
        assert machine.stats.dropped_frames == 1
        assert machine.send(5) == [machine.seq]
        machine.spool.close()


def test_a_half_acknowledged_segment_counts_only_its_other_half_as_dropped(tmp_path: Path) -> None:
    machine = Machine(str(tmp_path))
    machine.put(60)
    assert len(segments(str(tmp_path))) > 2
    machine.change("up")
    machine.send(5)
    machine.ack(0)
    machine.check()
    machine.change("down")
    machine.put(80)
    machine.check()
    assert machine.stats.dropped_frames > 10
    machine.change("up")
    assert machine.send(1000) == machine.live


def test_frames_too_old_are_dropped_and_counted(tmp_path: Path) -> None:
    stats = Stats()
    outbox = Outbox(Spool(str(tmp_path), 65536, 60), stats)
    for seq, time_ms in ((1, 0), (2, 1000), (3, 61_500)):
        values = array.array("d", [0.0] * NARROW.width)
        outbox.put(seq, time_ms, wire.pack_frame(NARROW.id, seq, time_ms, 0, values)[5:], NARROW)
    assert (outbox.kept, stats.dropped_frames) == (1, 2)


def test_only_what_was_kept_while_the_link_was_down_is_flagged(tmp_path: Path) -> None:
    machine = Machine(str(tmp_path))
    machine.put(2)
    machine.change("up")
    machine.put(1)
    flags = []
    while item := machine.outbox.next():
        flags.append(wire.unpack_frame(item[1])[3])
    assert flags == [wire.REPLAYED, wire.REPLAYED, 0]


def test_frames_whose_numbers_are_taken_are_counted_as_dropped(tmp_path: Path) -> None:
    machine = Machine(str(tmp_path))
    machine.put(3)
    machine.outbox.link_up(machine.seq + 1)
    assert (machine.outbox.kept, machine.stats.dropped_frames) == (0, 3)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_full_disk_stops_nothing_and_every_loss_is_counted(full: list[bool]) -> None:
    """The disk's refusal is emulated at ``os.write``; half of the record is written before it, as a real one may do."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        machine = Machine(folder)
        state = {"full": False}
        real = os.write

        def write(fd: int, data: bytes) -> int:
            if state["full"]:
                real(fd, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(fd, data)

        patch.setattr("mcisd.agent.spool.os.write", write)
        for number in full:
            state["full"] = number
            machine.put(1)
            assert machine.outbox.kept + machine.stats.dropped_frames == machine.total
        machine.change("up")
        got = []
        while item := machine.outbox.next():
            got.append(wire.unpack_frame(item[1])[1])
        assert got == sorted(set(got))
        assert len(got) == machine.outbox.kept
        machine.spool.close()


def test_a_folder_that_cannot_be_used_leaves_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stats = Stats()
    outbox = Outbox(Spool(str(tmp_path / "file" / "spool"), 65536, 60), stats, max_frames=4)
    for seq in range(1, 11):
        values = array.array("d", [0.0] * NARROW.width)
        outbox.put(seq, seq, wire.pack_frame(NARROW.id, seq, seq, 0, values)[5:], NARROW)
    assert (outbox.kept, stats.dropped_frames) == (4, 6)
