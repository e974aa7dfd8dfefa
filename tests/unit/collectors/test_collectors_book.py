"""Windows under crashes, cuts, lost acknowledgements and late arrivals: always those of the set of distinct frames."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.collectors.acks import AckBook
from mcisd.collectors.book import FORGET_S, Batch, WindowBook
from mcisd.model.samples import frame_head, pack_frame

WIDTH = 10_000
SCHEMA = b"s" * 16


def frame(vm: str, seq: int, time_ms: int, schema: bytes = SCHEMA) -> bytes:
    return pack_frame(vm, schema, seq, time_ms, 0, struct.pack("<d", float(seq)))


def content(batch: Batch | None) -> dict[tuple[str, int], list[int]]:
    if batch is None:
        return {}
    return {(w.vm, w.start_ms): [frame_head(f)[2] for f in w.frames] for w in batch.windows}


@dataclass
class Agent:
    """Frames it has measured, and up to which it knows that they are safe."""

    frames: list[tuple[int, int]] = field(default_factory=list)  # (seq, time)
    acked: int = 0
    sent: int = 0

    def reconnect(self) -> None:
        self.sent = self.acked

    def next(self) -> tuple[int, int] | None:
        return next(((seq, at) for seq, at in self.frames if seq > self.sent), None)


class World:
    """Agents, the parts of one process that a crash takes away, and a store that it does not."""

    def __init__(self, vms: int) -> None:
        self.agents = {f"vm-{i}": Agent() for i in range(vms)}
        self.store: dict[tuple[str, int], list[int]] = {}
        self.wall = 1_700_000_000_000
        self.start_process()

    def start_process(self) -> None:
        self.acks, self.book = AckBook(WIDTH), WindowBook(WIDTH)
        self.offset = 0
        self.batches: list[Batch] = []
        for agent in self.agents.values():
            agent.reconnect()

    def measure(self, vm: str, gap_ms: int) -> None:
        agent = self.agents[vm]
        self.wall += gap_ms
        agent.frames.append((len(agent.frames) + 1, self.wall))

    def send(self, vm: str, count: int) -> None:
        agent = self.agents[vm]
        for _ in range(count):
            found = agent.next()
            if found is None:
                return
            seq, at = found
            agent.sent = seq
            if seq > self.acks.progress(vm).published:
                self.book.add(0, self.offset, frame(vm, seq, at), self.wall / 1000)
                self.acks.published(vm, seq, at, 0, self.offset)
                self.offset += 1

    def tick(self) -> None:
        if (batch := self.book.take(self.wall, self.wall / 1000)) is not None:
            self.batches.append(batch)

    def write(self, told: bool) -> None:
        """Store the oldest batch; the process may die before it can tell anybody."""
        if self.batches:
            self.store.update(content(self.batches[0]))
            if told:
                self.book.written(self.batches.pop(0))

    def acknowledge(self, heard: bool) -> None:
        for offset in self.book.positions().values():
            self.acks.safe(0, offset)
        for vm, seq in self.acks.take_changed():
            if heard:
                self.agents[vm].acked = seq

    def settle(self) -> None:
        """All that was measured arrives, and all the time it takes goes by."""
        for vm in self.agents:
            self.send(vm, 10_000)
        self.wall += 60_000
        self.tick()
        while self.batches:
            self.write(told=True)

    def expected(self) -> dict[tuple[str, int], list[int]]:
        windows: dict[tuple[str, int], list[int]] = {}
        for vm, agent in self.agents.items():
            for seq, at in agent.frames:
                windows.setdefault((vm, at // WIDTH * WIDTH), []).append(seq)
        return windows


VMS = ["vm-0", "vm-1", "vm-2"]
STEPS = st.one_of(
    st.tuples(st.just("measure"), st.sampled_from(VMS), st.integers(0, 12_000)),
    st.tuples(st.just("measure"), st.sampled_from(VMS), st.just(2_000)),
    st.tuples(st.just("send"), st.sampled_from(VMS), st.integers(1, 8)),
    st.tuples(st.just("cut"), st.sampled_from(VMS)),
    st.tuples(st.just("wait"), st.integers(100, 15_000)),
    st.tuples(st.just("tick")),
    st.tuples(st.just("write"), st.booleans()),
    st.tuples(st.just("acknowledge"), st.booleans()),
    st.tuples(st.just("crash")),
    st.tuples(st.just("live"), st.sampled_from(VMS), st.integers(1, 8)),
    st.tuples(st.just("flow"), st.booleans()),
)


def run(world: World, steps: list[tuple[object, ...]]) -> None:
    for step in steps:
        match step:
            case ("measure", str(vm), int(gap)):
                world.measure(vm, gap)
            case ("send", str(vm), int(count)):
                world.send(vm, count)
            case ("cut", str(vm)):
                world.agents[vm].reconnect()
            case ("wait", int(gap)):
                world.wall += gap
            case ("write", bool(told)):
                world.write(told)
            case ("acknowledge", bool(heard)):
                world.acknowledge(heard)
            case ("tick",):
                world.tick()
            case ("live", str(vm), int(count)):
                for _ in range(count):
                    world.measure(vm, 2_000)
                    world.send(vm, 1)
            case ("flow", bool(told)):
                world.tick()
                while told and world.batches:
                    world.write(told)
                world.write(told)
                world.acknowledge(told)
            case ("crash",):
                world.start_process()


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=80))
def test_windows_are_those_of_the_distinct_frames_whatever_happens(steps: list[tuple[object, ...]]) -> None:
    world = World(len(VMS))
    run(world, steps)
    world.settle()
    assert world.store == world.expected()


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=80))
def test_what_is_acknowledged_is_stored_in_whole_windows(steps: list[tuple[object, ...]]) -> None:
    world = World(len(VMS))
    for step in steps:
        run(world, [step])
        expected = world.expected()
        for vm, agent in world.agents.items():
            for (owner, start), seqs in expected.items():
                if owner == vm and seqs[0] <= agent.acked:
                    assert seqs[-1] <= agent.acked
                    assert world.store[vm, start] == seqs


def test_crash_after_the_write_and_before_the_commit_writes_the_same_again() -> None:
    world = World(1)
    for _ in range(12):
        world.measure("vm-0", 2_000)
    world.send("vm-0", 12)
    world.tick()
    world.write(told=False)
    before = dict(world.store)
    world.start_process()
    world.settle()
    assert before.items() <= world.store.items()
    assert world.store == world.expected()


@pytest.fixture
def book() -> Iterator[WindowBook]:
    book = WindowBook(WIDTH)
    yield book
    assert book.unwritten >= 0


def test_window_waits_for_the_allowed_lateness(book: WindowBook) -> None:
    book.add(0, 0, frame("a", 1, 5_000), 5.0)
    assert book.take(11_999, 11.9) is None
    assert content(book.take(12_000, 12.0)) == {("a", 0): [1]}


def test_window_of_a_vm_that_is_still_sending_is_not_cut_short(book: WindowBook) -> None:
    """A replay: the window is long over by the wall clock, but its frames are coming in just now."""
    book.add(0, 0, frame("a", 1, 1_000), 500.0)
    assert book.take(500_000, 501.0) is None
    book.add(0, 1, frame("a", 2, 3_000), 501.5)
    assert book.take(500_000, 503.4) is None
    assert content(book.take(503_600, 503.6)) == {("a", 0): [1, 2]}


def test_window_goes_on_after_it_was_written_and_is_written_again_whole(book: WindowBook) -> None:
    book.add(0, 0, frame("a", 1, 1_000), 1.0)
    first = book.take(20_000, 20.0)
    assert first is not None
    book.written(first)
    assert book.positions() == {0: 0}
    book.add(0, 1, frame("a", 2, 3_000), 30.0)
    assert book.positions() == {0: 0}
    assert content(book.take(40_000, 40.0)) == {("a", 0): [1, 2]}


def test_nothing_is_committed_beyond_the_first_frame_not_stored(book: WindowBook) -> None:
    book.add(0, 0, frame("a", 1, 9_000), 9.0)
    book.add(0, 1, frame("b", 1, 11_000), 11.0)
    book.add(0, 2, frame("a", 2, 11_000), 11.0)
    batch = book.take(12_500, 12.5)
    assert content(batch) == {("a", 0): [1]}
    assert book.positions() == {0: -1}
    assert batch is not None
    book.written(batch)
    assert book.positions() == {0: 0}


def test_partitions_are_committed_each_for_itself(book: WindowBook) -> None:
    book.add(3, 7, frame("a", 1, 1_000), 1.0)
    book.add(5, 2, frame("b", 1, 12_000), 12.0)
    batch = book.take(15_000, 15.0)
    assert batch is not None
    book.written(batch)
    assert book.positions() == {3: 7, 5: 1}


def test_duplicates_are_counted_and_change_nothing(book: WindowBook) -> None:
    for offset in (0, 1):
        book.add(0, offset, frame("a", 1, 1_000), 1.0)
    assert (book.duplicates, book.unwritten) == (1, 1)
    assert book.positions() == {0: -1}


def test_unfinished_windows_are_given_at_the_end_and_when_the_vm_goes(book: WindowBook) -> None:
    book.add(0, 0, frame("a", 1, 1_000), 1.0)
    book.add(0, 1, frame("b", 1, 1_000), 1.0)
    book.forget("a")
    assert content(book.take(13_000, 1.5)) == {("a", 0): [1]}
    assert content(book.take_all()) == {("b", 0): [1]}
    assert book.take_all() is None
    assert book.unwritten == 0


def test_silent_vm_is_forgotten_after_a_day(book: WindowBook) -> None:
    book.add(0, 0, frame("a", 1, 1_000), 1.0)
    book.take(20_000, 20.0)
    book.take(20_000, 20.0 + FORGET_S)
    book.add(0, 1, frame("a", 1, 1_000), 1.0)
    assert book.duplicates == 0


def test_schema_that_changes_within_a_window_is_marked(book: WindowBook) -> None:
    book.add(0, 0, frame("a", 1, 1_000), 1.0)
    book.add(0, 1, frame("a", 2, 2_000, b"t" * 16), 2.0)
    batch = book.take(13_000, 13.0)
    assert batch is not None
    assert batch.windows[0].schema is None


def test_what_is_no_frame_is_an_error_and_can_be_skipped(book: WindowBook) -> None:
    with pytest.raises(struct.error):
        book.add(0, 4, b"short", 1.0)
    book.skip(0, 4)
    assert book.positions() == {0: 4}
