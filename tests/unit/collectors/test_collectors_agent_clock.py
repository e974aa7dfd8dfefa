"""Event times: monotone within a VM, never far ahead of our clock."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.collectors.acks import LIVE, REPLAY, AckBook, LinkProgress
from mcisd.collectors.agent_clock import TOLERANCE_MS, AgentClock, Mark, skew

NOW = 1_700_000_000_000


def test_small_difference_is_believed() -> None:
    assert skew(NOW + 4_000, NOW) == 0
    clock = AgentClock()
    assert clock.place(NOW + 4_000, NOW) == (NOW + 4_000, Mark.FINE)


def test_clock_ten_minutes_off_is_corrected_in_whole_seconds() -> None:
    clock = AgentClock(skew(NOW + 600_123, NOW))
    assert clock.skew_ms == -600_000
    assert clock.place(NOW + 600_123, NOW) == (NOW + 123, Mark.FINE)


def test_clock_set_right_while_linked_goes_on_where_it_was() -> None:
    clock = AgentClock(skew(NOW + 600_000, NOW))
    clock.place(NOW + 600_000, NOW)
    placed, mark = clock.place(NOW + 2_000, NOW + 2_000)
    assert mark is Mark.STEPPED
    assert abs(placed - NOW) <= 2_000
    assert clock.place(NOW + 4_000, NOW + 4_000)[1] is not Mark.STEPPED


def test_clock_that_jumps_ahead_is_booked_at_our_time() -> None:
    clock = AgentClock()
    assert clock.place(NOW + 600_000, NOW) == (NOW, Mark.STEPPED)
    placed, mark = clock.place(NOW + 602_000, NOW + 2_000)
    assert (placed, mark) == (NOW + 2_000, Mark.FINE)


def test_small_step_back_waits_at_the_last_time() -> None:
    clock = AgentClock()
    clock.place(NOW + 2_000, NOW + 2_000)
    assert clock.place(NOW + 1_000, NOW + 4_000) == (NOW + 2_000, Mark.BEHIND)


def test_late_frames_keep_their_time_however_old() -> None:
    clock = AgentClock()
    assert clock.place(NOW - 3_600_000, NOW) == (NOW - 3_600_000, Mark.FINE)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**53), st.integers(0, 5_000)), max_size=40),
    st.integers(0, 2**53),
    st.integers(0, 20_000),
    st.booleans(),
)
def test_event_times_never_go_back_nor_far_ahead_nor_out_of_their_lane(
    steps: list[tuple[int, int]], said: int, age: int, live: bool
) -> None:
    window, now = NOW - age, NOW
    skew_ms = skew(said, NOW)
    clock = AgentClock(skew_ms, floor_ms=window) if live else AgentClock(skew_ms, ceiling_ms=window - 1)
    last = 0
    for time_ms, passed in steps:
        now += passed
        placed, _ = clock.place(time_ms, now)
        assert last <= placed <= now + TOLERANCE_MS
        assert (placed >= window) == live
        last = placed


def publish(acks: AckBook, progress: LinkProgress, lane: int, *frames: tuple[int, int], partition: int = 0) -> None:
    """Frames of ``(number and offset, time)``."""
    for seq, at in frames:
        acks.published(progress, progress.lanes[lane], seq, at, (partition, seq))


def told(acks: AckBook) -> list[tuple[str, int, int]]:
    return [(p.vm, p.lanes[REPLAY].acked, p.lanes[LIVE].acked) for p in acks.take_changed()]


def test_acks_name_the_last_frame_of_a_window_that_is_safe() -> None:
    acks = AckBook(10_000)
    link = acks.begin("vm")
    publish(acks, link, LIVE, (1, 1_000), (2, 9_000), (3, 11_000), (4, 12_000))
    acks.safe(0, 1)
    assert told(acks) == []
    acks.safe(0, 4)
    assert told(acks) == [("vm", 0, 2)]
    assert told(acks) == []
    publish(acks, link, LIVE, (5, 25_000))
    assert told(acks) == [("vm", 0, 4)]


def test_acks_of_lanes_are_told_each_and_the_end_of_the_replay_is_the_end_of_a_window() -> None:
    acks = AckBook(10_000)
    link = acks.begin("vm")
    publish(acks, link, LIVE, (11, 51_000), (12, 61_000))
    publish(acks, link, REPLAY, (1, 1_000), (2, 11_000), (3, 12_000))
    acks.safe(0, 100)
    assert told(acks) == [("vm", 1, 11)]
    acks.replay_done(link)
    assert told(acks) == [("vm", 3, 11)]


def test_a_new_link_knows_nothing_of_the_one_before() -> None:
    """Not even what became safe since: in between another collector may have got a part of it again."""
    acks = AckBook(10_000)
    old = acks.begin("vm")
    publish(acks, old, LIVE, (1, 1_000), (2, 11_000), (3, 21_000))
    acks.safe(0, 1)
    new = acks.begin("vm")
    assert (new.seen, [lane.acked for lane in new.lanes]) == (3, [0, 0])
    acks.safe(0, 2)
    assert told(acks) == []
    publish(acks, new, LIVE, (1, 1_000), (2, 11_000))
    assert told(acks) == [("vm", 0, 1)]


def test_acks_of_partitions_do_not_mix_and_forgotten_vms_are_silent() -> None:
    acks = AckBook(10)
    publish(acks, acks.begin("a"), LIVE, (1, 0), (2, 10), partition=1)
    publish(acks, acks.begin("b"), LIVE, (1, 0), (2, 10), partition=2)
    acks.safe(1, 100)
    assert told(acks) == [("a", 0, 1)]
    acks.forget("b")
    acks.safe(2, 100)
    assert told(acks) == []
