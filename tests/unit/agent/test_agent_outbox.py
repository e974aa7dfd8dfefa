"""Properties of the outbox: what goes in is acknowledged, kept or counted as dropped, in order, whatever is cut off."""

import array
import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.agent.gather import Schema
from mcisd.agent.outbox import LIVE, REPLAY, Outbox
from mcisd.agent.probes.own import Stats
from mcisd.agent.spool import Spool
from mcisd.model import wire

NARROW = Schema([["m", "f%d" % number, {}, "g"] for number in range(4)])  # noqa: UP031 - as the agent spells it
WIDE = Schema([["m", "f%d" % number, {}, "g"] for number in range(200)])  # noqa: UP031
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 12)),
        st.tuples(st.sampled_from(["send live", "send replay"]), st.integers(1, 30)),
        st.tuples(st.sampled_from(["ack live", "ack replay"]), st.integers(0, 20)),
        st.tuples(st.just("up"), st.integers(0, 12)),
        st.tuples(st.sampled_from(["down", "restart"]), st.just(0)),
    ),
    max_size=50,
)


class Machine:
    """An outbox on a small disk, and a list that says what it must hold."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.seq = 1000
        self.all: list[int] = []
        self.safe: set[int] = set()  # with the daemon
        self.lost = 0  # dropped by agents that ended
        self.open()

    def open(self) -> None:
        self.stats = Stats()
        self.spool = Spool(self.folder, 65536, 10**6)
        self.outbox = Outbox(self.spool, self.stats, max_frames=4)
        self.up = False

    @property
    def dropped(self) -> int:
        return self.lost + self.stats.dropped_frames

    def put(self, count: int) -> None:
        for _ in range(count):
            self.seq += 1 + self.seq % 3
            schema = WIDE if self.seq % 2 else NARROW
            values = array.array("d", [float(self.seq)] * schema.width)
            payload = wire.pack_frame(schema.id, self.seq, 5000 + self.seq, 0, values)[5:]
            self.outbox.put(self.seq, 5000 + self.seq, payload, schema)
            self.all.append(self.seq)

    def send(self, lane: int, count: int) -> list[int]:
        got: list[int] = []
        while self.up and len(got) < count and (item := self.outbox.next(lane)):
            schema, seq, time_ms, flags, columns = wire.unpack_frame(item[1])
            assert (schema, time_ms) == (item[0], 5000 + seq)
            assert self.outbox.schema(schema) == (WIDE if seq % 2 else NARROW).message
            assert array.array("d", columns)[-1] == seq
            assert flags == (wire.REPLAYED if lane == REPLAY else 0)
            assert (time_ms < self.before) == (lane == REPLAY)
            assert seq > self.sent[lane][-1]
            self.sent[lane].append(seq)
            got.append(seq)
        return got

    def ack(self, lane: int, back: int) -> None:
        if self.up:
            done = self.sent[lane][: max(1, len(self.sent[lane]) - back)]
            self.told[lane] = max(self.told[lane], done[-1])
            self.safe.update(done)
            self.outbox.acked(self.told[REPLAY], self.told[LIVE])

    def link_up(self, back: int) -> None:
        if not self.up:
            self.before = 5000 + self.seq + 1 - back
            self.told = {LIVE: 0, REPLAY: 0}
            self.sent = {LIVE: [0], REPLAY: [0]}
            self.outbox.link_up(self.before)
            self.up = True

    def link_down(self) -> None:
        self.up = False
        self.outbox.link_down()

    def restart(self) -> None:
        self.outbox.spill()
        self.lost += self.stats.dropped_frames
        self.spool.close()
        self.open()

    def step(self, what: str, number: int) -> None:
        match what.split():
            case ["put"]:
                self.put(number)
            case ["send", lane]:
                self.send(LIVE if lane == "live" else REPLAY, number)
            case ["ack", lane]:
                self.ack(LIVE if lane == "live" else REPLAY, number)
            case ["up"]:
                self.link_up(number)
            case ["down"]:
                self.link_down()
            case ["restart"]:
                self.restart()

    def check(self) -> None:
        """What is not safe is kept or was counted as dropped."""
        unsafe = [seq for seq in self.all if seq not in self.safe]
        assert self.outbox.kept >= len(unsafe) - self.dropped
        assert self.stats.spooled_bytes <= 65536

    def everything(self) -> list[int]:
        """All frames that a new link brings, in the order of their numbers."""
        self.link_down()
        self.link_up(2)
        return [*self.send(REPLAY, 10**6), *self.send(LIVE, 10**6)]


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_what_is_not_safe_is_kept_or_counted(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(folder)
        for what, number in steps:
            machine.step(what, number)
            machine.check()
        got = machine.everything()
        unsafe = [seq for seq in machine.all if seq not in machine.safe]
        assert got == [seq for seq in unsafe if seq in got], "in order, and nothing that is safe already"
        assert len(unsafe) - len(got) <= machine.dropped
        machine.ack(LIVE, 0)
        machine.ack(REPLAY, 0)
        assert machine.outbox.kept == 0
        assert [path for path in Path(folder).iterdir() if path.suffix in (".seg", ".msg")] == []
        machine.spool.close()


@given(st.integers(0, 8), st.integers(0, 8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_live_frames_that_are_safe_leave_memory_while_others_wait(old: int, new: int, on_disk: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(folder)
        machine.put(old)
        if not on_disk:
            machine.link_up(0)
        machine.link_down()
        machine.link_up(0)
        for _ in range(new):
            machine.put(1)
            machine.send(LIVE, 10)
            machine.ack(LIVE, 0)
        assert machine.outbox.kept == old
        assert machine.stats.dropped_frames == 0
        assert machine.send(REPLAY, 100) == machine.all[:old]
        machine.ack(REPLAY, 0)
        assert (machine.outbox.kept, machine.outbox.next(REPLAY)) == (0, None)
        machine.spool.close()


def spooled(folder: str, count: int) -> list[int]:
    """Put frames on disk with the link down, then vanish as by kill -9; gives their numbers."""
    machine = Machine(folder)
    machine.put(count)
    assert machine.outbox.kept == machine.stats.spooled_frames
    machine.spool.close()
    return machine.all


def segments(folder: str) -> list[Path]:
    return sorted(Path(folder).glob("*.seg"))


def drain(folder: str) -> tuple[list[int], int]:
    """Numbers that a new start finds, and how many frames it counts as dropped."""
    machine = Machine(folder)
    machine.seq = 10**6
    got = machine.everything()
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
        machine.link_up(0)
        assert len(machine.send(REPLAY, 100)) == 19
        assert machine.outbox.kept == 19
        machine.put(1)
        assert machine.stats.dropped_frames == 1
        assert machine.send(LIVE, 5) == [machine.seq]
        machine.spool.close()


def test_a_half_acknowledged_segment_counts_only_its_other_half_as_dropped(tmp_path: Path) -> None:
    machine = Machine(str(tmp_path))
    machine.put(60)
    assert len(segments(str(tmp_path))) > 2
    machine.link_up(0)
    machine.send(REPLAY, 5)
    machine.ack(REPLAY, 0)
    assert machine.outbox.kept == 55
    machine.link_down()
    machine.put(80)
    assert machine.stats.dropped_frames > 10
    assert machine.outbox.kept == 60 - 5 + 80 - machine.stats.dropped_frames
    assert machine.everything() == machine.all[-machine.outbox.kept :]


def test_a_new_start_does_not_send_again_what_a_file_of_the_spool_holds_but_is_safe(tmp_path: Path) -> None:
    """It would begin in the middle of a window, and in part that would replace what is stored."""
    machine = Machine(str(tmp_path))
    machine.put(30)
    machine.link_up(12)
    machine.send(REPLAY, 7)
    machine.put(6)
    machine.send(LIVE, 100)
    machine.ack(REPLAY, 2)
    machine.ack(LIVE, 3)
    machine.spool.close()  # killed
    machine.open()
    got = machine.everything()
    assert not machine.safe.intersection(got)
    assert set(got) == {seq for seq in machine.all if seq not in machine.safe and seq <= machine.spool.last}


def test_split_is_found_in_the_last_segments_and_what_lies_before_them_is_old(tmp_path: Path) -> None:
    machine = Machine(str(tmp_path))
    machine.put(60)
    names = [int(path.stem) for path in segments(str(tmp_path))]
    for before in (names[-1] + 5000, names[-2] + 5000 + 3):
        assert machine.spool.newest_before(before)[0] == max(seq for seq in machine.all if seq + 5000 < before)
    assert machine.spool.newest_before(0)[0] == max(seq for seq in machine.all if seq < names[-2])
    machine.spool.close()


def test_frames_too_old_are_dropped_and_counted(tmp_path: Path) -> None:
    stats = Stats()
    outbox = Outbox(Spool(str(tmp_path), 65536, 60), stats)
    for seq, time_ms in ((1, 0), (2, 1000), (3, 61_500)):
        values = array.array("d", [0.0] * NARROW.width)
        outbox.put(seq, time_ms, wire.pack_frame(NARROW.id, seq, time_ms, 0, values)[5:], NARROW)
    assert (outbox.kept, stats.dropped_frames) == (1, 2)


def test_only_what_is_older_than_the_current_window_is_replayed(tmp_path: Path) -> None:
    machine = Machine(str(tmp_path))
    machine.put(3)
    machine.link_up(1)
    machine.put(1)
    assert machine.send(LIVE, 10) == machine.all[2:]
    assert machine.send(REPLAY, 10) == machine.all[:2]
    assert machine.stats.replayed_frames == 2


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
            assert machine.outbox.kept + machine.stats.dropped_frames == len(machine.all)
        got = machine.everything()
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
