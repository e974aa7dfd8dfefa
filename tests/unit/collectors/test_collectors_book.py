"""Windows under crashes, cuts, takeovers, lost acknowledgements and late arrivals, in two lanes and over many links:
always those of the set of distinct frames.
"""

import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.collectors.book import FORGET_S, KEEP_S, WindowBook
from mcisd.model.samples import FIRST, REPLAYED
from tests.unit.collectors.collectors_world import WIDTH, World, content, frame

VMS = ["vm-0", "vm-1", "vm-2"]
ANY = st.sampled_from(VMS)
STEPS = st.one_of(
    st.tuples(st.just("measure"), ANY, st.integers(0, 12_000)),
    st.tuples(st.just("measure"), ANY, st.just(2_000)),
    st.tuples(st.just("live"), ANY, st.integers(1, 8)),
    st.tuples(st.just("send"), ANY, st.integers(0, 1), st.integers(1, 8), st.booleans(), st.booleans()),
    st.tuples(st.just("land")),
    st.tuples(st.just("cut"), ANY),
    st.tuples(st.just("connect"), ANY, st.integers(0, 1)),
    st.tuples(st.just("wait"), st.integers(100, 40_000)),
    st.tuples(st.just("read"), st.integers(1, 20)),
    st.tuples(st.just("tick")),
    st.tuples(st.just("write"), st.booleans()),
    st.tuples(st.just("acknowledge"), st.booleans()),
    st.tuples(st.just("flow"), st.booleans()),
    st.tuples(st.just("crash")),
    st.tuples(st.just("take over")),
)


def run(world: World, steps: list[tuple[object, ...]]) -> None:
    for step in steps:
        match step:
            case ("measure", str(vm), int(gap)):
                world.measure(vm, gap)
            case ("live", str(vm), int(count)):
                for _ in range(count):
                    world.measure(vm, 2_000)
                    world.send(vm, 0, 1)
            case ("send", str(vm), int(lane), int(count), bool(slow), bool(twice)):
                world.send(vm, lane, count, slow, twice)
            case ("land",):
                world.land()
            case ("cut", str(vm)):
                world.cut(world.agents[vm])
            case ("connect", str(vm), int(to)):
                world.connect(vm, to)
            case ("wait", int(gap)):
                world.wall += gap
            case ("read", int(count)):
                world.read(count)
            case ("tick",):
                world.tick()
            case ("write", bool(told)):
                world.write(told)
            case ("acknowledge", bool(heard)):
                world.acknowledge(heard)
            case ("flow", bool(told)):
                flow(world, told)
            case ("crash",):
                world.crash()
            case ("take over",) if world.shared:
                world.take_over()


def flow(world: World, told: bool) -> None:
    """As it goes when nothing is wrong, up to a write of which nobody was told."""
    world.read(1_000)
    world.tick()
    while told and world.batches:
        world.write(told)
    world.write(told)
    world.acknowledge(told)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=80), st.booleans())
def test_windows_are_those_of_the_distinct_frames_whatever_happens(
    steps: list[tuple[object, ...]], shared: bool
) -> None:
    world = World(VMS, shared)
    run(world, steps)
    world.settle()
    assert world.store == world.expected()


def long_run(seed: int) -> list[tuple[object, ...]]:
    """A hundred and more steps, mostly of ordinary life, with bad luck in between."""
    rng = random.Random(seed)
    steps: list[tuple[object, ...]] = []
    for _ in range(rng.randrange(60, 200)):
        vm = rng.choice(VMS)
        kinds: list[list[tuple[object, ...]]] = [
            [("live", vm, rng.randint(1, 8))],
            [("flow", rng.random() < 0.8)],
            [("measure", vm, rng.choice([500, 2_000, 9_000]))],
            [("send", vm, rng.randint(0, 1), rng.randint(1, 6), rng.random() < 0.3, rng.random() < 0.2)],
            [("land",)],
            [("cut", vm)],
            [("connect", vm, rng.randint(0, 1))],
            [("wait", rng.choice([500, 3_000, 12_000, 40_000, 70_000]))],
            [("read", rng.randint(1, 6))],
            [("tick",), ("write", rng.random() < 0.7), ("acknowledge", rng.random() < 0.7)],
            [("crash",)],
            [("take over",)],
        ]
        steps += rng.choices(kinds, [9, 9, 4, 6, 3, 2, 2, 2, 4, 6, 0.5, 1.5])[0]
    return steps


@pytest.mark.parametrize("shared", [False, True])
def test_windows_are_those_of_the_distinct_frames_in_the_long_run(shared: bool) -> None:
    for seed in range(150):
        world = World(VMS, shared)
        run(world, long_run(seed))
        world.settle()
        assert world.store == world.expected(), seed


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=80))
def test_what_an_agent_lets_go_is_stored_in_whole_windows(steps: list[tuple[object, ...]]) -> None:
    """On the bus of one process; on a shared one it is on the bus."""
    world = World(VMS, shared=False)
    for step in steps:
        run(world, [step])
        expected = world.expected()
        for vm, agent in world.agents.items():
            safe = {seq for seq, _ in agent.frames} - agent.kept.keys()
            for (owner, start), seqs in expected.items():
                if owner == vm and safe.intersection(seqs):
                    assert safe.issuperset(seqs)
                    assert world.store[vm, start] == seqs


@pytest.mark.parametrize("shared", [False, True])
def test_crash_after_the_write_and_before_the_commit_writes_the_same_again(shared: bool) -> None:
    world = World(["vm-0"], shared)
    for _ in range(12):
        world.measure("vm-0", 2_000)
        world.send("vm-0", 0, 1)
    world.read(100)
    world.tick()
    world.write(told=False)
    before = dict(world.store)
    assert before
    world.crash()
    world.take_over()
    world.settle()
    assert before.items() <= world.store.items()
    assert world.store == world.expected()


def first(vm: str, seq: int, time_ms: int, link: int = 0, lane: int = 0) -> bytes:
    """The first frame of its window on its link."""
    return frame(vm, seq, time_ms, flags=FIRST | lane, link=link)


@pytest.fixture
def book() -> Iterator[WindowBook]:
    book = WindowBook(WIDTH)
    yield book
    assert book.unwritten >= 0


def test_window_waits_for_the_allowed_lateness(book: WindowBook) -> None:
    book.add(0, 0, first("a", 1, 5_000), 5.0)
    assert book.take(11_999, 11.9) is None
    assert content(book.take(12_000, 12.0)) == {("a", 0): [1]}


def test_window_of_a_vm_that_is_still_sending_is_not_cut_short(book: WindowBook) -> None:
    """A replay: the window is long over by the wall clock, but its frames are coming in just now."""
    book.add(0, 0, first("a", 1, 1_000), 500.0)
    assert book.take(500_000, 501.0) is None
    book.add(0, 1, frame("a", 2, 3_000), 501.5)
    assert book.take(500_000, 503.4) is None
    assert content(book.take(503_600, 503.6)) == {("a", 0): [1, 2]}


def test_window_goes_on_after_it_was_written_and_is_written_again_whole(book: WindowBook) -> None:
    book.add(0, 0, first("a", 1, 1_000), 1.0)
    batch = book.take(20_000, 20.0)
    assert batch is not None
    book.written(batch)
    assert book.positions(20.0) == {0: 0}
    book.add(0, 1, frame("a", 2, 3_000), 30.0)
    assert book.positions(30.0) == {0: -1}
    assert book.stats.late == 1
    assert content(book.take(40_000, 40.0)) == {("a", 0): [1, 2]}


def test_nothing_is_committed_beyond_the_first_frame_not_stored(book: WindowBook) -> None:
    book.add(0, 0, first("a", 1, 9_000), 9.0)
    book.add(0, 1, first("b", 1, 11_000), 11.0)
    book.add(0, 2, first("a", 2, 11_000), 11.0)
    batch = book.take(12_500, 12.5)
    assert content(batch) == {("a", 0): [1]}
    assert book.positions(0.0) == {0: -1}
    assert batch is not None
    book.written(batch)
    assert book.positions(0.0) == {0: 0}


def test_partitions_are_committed_each_for_itself(book: WindowBook) -> None:
    book.add(3, 7, first("a", 1, 1_000), 1.0)
    book.add(5, 2, first("b", 1, 12_000), 12.0)
    batch = book.take(15_000, 15.0)
    assert batch is not None
    book.written(batch)
    assert book.positions(0.0) == {3: 7, 5: 1}


def test_duplicates_are_counted_and_change_nothing(book: WindowBook) -> None:
    for offset in (0, 1):
        book.add(0, offset, first("a", 1, 1_000), 1.0)
    assert (book.stats.duplicates, book.unwritten) == (1, 1)
    assert book.positions(0.0) == {0: -1}


def test_unfinished_windows_are_given_at_the_end_and_when_the_vm_goes(book: WindowBook) -> None:
    book.add(0, 0, first("a", 1, 1_000), 1.0)
    book.add(0, 1, first("b", 1, 1_000), 1.0)
    book.forget("a")
    assert content(book.take(13_000, 1.5)) == {("a", 0): [1]}
    assert content(book.take_all()) == {("b", 0): [1]}
    assert book.take_all() is None
    assert book.unwritten == 0


def test_a_shared_bus_is_not_committed_from_a_window_on_that_may_go_on() -> None:
    book = WindowBook(WIDTH, shared=True)
    book.add(0, 0, first("a", 1, 1_000), 1.0)
    batch = book.take(20_000, 20.0)
    assert batch is not None
    book.written(batch)
    assert book.positions(20.0) == {0: -1}
    assert book.positions(1.0 + KEEP_S) == {0: -1}
    assert book.positions(1.1 + KEEP_S) == {0: 0}


def test_a_backlog_is_no_silence() -> None:
    """Nothing is let go, and nothing committed, for want of frames that lie on the bus already."""
    book = WindowBook(WIDTH, shared=True)
    book.add(0, 0, first("a", 1, 1_000), 1.0)
    batch = book.take(20_000, 20.0)
    assert batch is not None
    book.written(batch)
    assert book.take(999_000, 999.0, read_until=20.0) is None
    assert book.positions(20.0) == {0: -1}
    book.add(0, 1, frame("a", 2, 3_000), 999.0)
    assert content(book.take(1_100_000, 1_100.0)) == {("a", 0): [1, 2]}


def test_what_comes_without_its_first_frame_is_stored_already(book: WindowBook) -> None:
    book.add(0, 5, frame("a", 3, 5_000), 5.0)
    book.add(0, 6, frame("a", 4, 7_000), 7.0)
    book.add(0, 7, first("a", 5, 11_000), 11.0)
    assert book.stats.resumed == 2
    assert content(book.take(50_000, 50.0)) == {("a", 10_000): [5]}


def test_silent_window_is_let_go_and_comes_again_whole() -> None:
    book = WindowBook(WIDTH, shared=True)
    book.add(0, 0, first("a", 1, 1_000, link=1), 1.0)
    assert content(book.take(20_000, 20.0)) == {("a", 0): [1]}
    assert book.take(140_000, 140.0) is None
    book.add(0, 1, frame("a", 2, 3_000, link=1), 141.0)
    assert book.take(150_000, 150.0) is None
    book.add(0, 2, first("a", 1, 1_000, link=2, lane=REPLAYED), 151.0)
    book.add(0, 3, frame("a", 2, 3_000, flags=REPLAYED, link=2), 151.0)
    assert content(book.take(160_000, 160.0)) == {("a", 0): [1, 2]}


def test_in_one_process_a_silent_window_goes_on_while_its_link_stands(book: WindowBook) -> None:
    """The store is away for an hour, and the bus full: then the link waits in mid-window."""
    book.add(0, 0, first("a", 1, 1_000, link=1), 1.0)
    assert content(book.take(20_000, 20.0)) == {("a", 0): [1]}
    assert book.take(3_600_000, 3_600.0) is None
    book.add(0, 1, frame("a", 2, 3_000, link=1), 3_600.0)
    assert content(book.take(3_610_000, 3_610.0)) == {("a", 0): [1, 2]}


def test_silent_vm_is_forgotten_after_a_day(book: WindowBook) -> None:
    book.add(0, 0, first("a", 1, 1_000), 1.0)
    book.take(20_000, 20.0)
    book.take(20_000, 20.0 + FORGET_S)
    book.add(0, 1, first("a", 1, 1_000), 1.0)
    assert book.stats.duplicates == 0


def test_lanes_do_not_wait_for_each_other(book: WindowBook) -> None:
    book.add(0, 0, first("a", 9, 51_000), 51.0)
    book.add(0, 1, first("a", 1, 1_000, lane=REPLAYED), 51.0)
    book.add(0, 2, frame("a", 2, 3_000, flags=REPLAYED), 52.0)
    book.add(0, 3, frame("a", 10, 53_000), 53.0)
    book.add(0, 4, first("a", 3, 11_000, lane=REPLAYED), 53.0)
    book.add(0, 5, first("a", 11, 61_000), 61.0)
    assert content(book.take(62_500, 61.5)) == {
        ("a", 0): [1, 2],
        ("a", 10_000): [3],
        ("a", 50_000): [9, 10],
    }


def test_frames_of_an_older_link_come_again_and_are_not_taken(book: WindowBook) -> None:
    book.add(0, 0, first("a", 1, 1_000, link=8), 1.0)
    book.add(0, 1, first("a", 1, 1_000, link=9), 2.0)
    book.add(0, 2, frame("a", 2, 3_000, link=9), 3.0)
    book.add(0, 3, frame("a", 2, 3_000, link=8), 4.0)
    assert (book.stats.stale, book.stats.duplicates) == (1, 1)
    assert content(book.take(20_000, 20.0)) == {("a", 0): [1, 2]}


def test_a_window_that_was_complete_is_not_written_again_when_it_comes_again(book: WindowBook) -> None:
    for offset, (seq, at) in enumerate(((1, 1_000), (2, 11_000))):
        book.add(0, offset, first("a", seq, at, link=1), 12.0)
    assert content(book.take(30_000, 13.0)) == {("a", 0): [1]}
    book.add(0, 2, first("a", 1, 1_000, link=2, lane=REPLAYED), 31.0)
    assert content(book.take(60_000, 60.0)) == {("a", 10_000): [2]}
    assert book.stats.duplicates == 1


def test_a_partition_that_was_given_up_is_neither_handed_out_nor_written_nor_counted(book: WindowBook) -> None:
    book.add(0, 0, first("a", 1, 1_000), 1.0)
    book.add(1, 0, first("b", 1, 1_000), 1.0)
    batch = book.take(13_000, 13.0)
    assert batch is not None
    book.add(0, 1, first("a", 2, 11_000), 14.0)
    book.add(1, 1, first("b", 2, 11_000), 14.0)
    book.give_up({0})
    assert [window.vm for window in batch.ours(batch.windows)] == ["b"]
    assert content(book.take(60_000, 60.0)) == {("b", 10_000): [2]}
    book.begin({0})
    assert book.unwritten == 0
    assert book.positions(60.0) == {1: -1}
    book.written(batch)
    book.add(0, 2, first("a", 2, 11_000), 61.0)
    assert content(book.take(70_000, 70.0)) == {("a", 10_000): [2]}


def test_schema_that_changes_within_a_window_is_marked(book: WindowBook) -> None:
    book.add(0, 0, first("a", 1, 1_000), 1.0)
    book.add(0, 1, frame("a", 2, 2_000, b"t" * 16), 2.0)
    batch = book.take(13_000, 13.0)
    assert batch is not None
    assert batch.windows[0].schema is None


def test_what_is_no_frame_is_an_error_and_can_be_skipped(book: WindowBook) -> None:
    with pytest.raises(struct.error):
        book.add(0, 4, b"short", 1.0)
    book.skip(0, 4)
    assert book.positions(0.0) == {0: 4}
