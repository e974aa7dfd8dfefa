"""Event times: monotone within a VM, never far ahead of our clock."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.collectors.acks import AckBook
from mcisd.collectors.agent_clock import TOLERANCE_MS, AgentClock, Mark

NOW = 1_700_000_000_000


def test_small_difference_is_believed() -> None:
    clock = AgentClock()
    assert not clock.hello(NOW + 4_000, NOW)
    assert clock.place(NOW + 4_000, NOW) == (NOW + 4_000, Mark.FINE)


def test_clock_ten_minutes_off_is_corrected_in_whole_seconds() -> None:
    clock = AgentClock()
    assert clock.hello(NOW + 600_123, NOW)
    assert clock.skew_ms == -600_000
    assert clock.place(NOW + 600_123, NOW) == (NOW + 123, Mark.FINE)


def test_clock_set_right_while_linked_goes_on_where_it_was() -> None:
    clock = AgentClock()
    clock.hello(NOW + 600_000, NOW)
    clock.place(NOW + 600_000, NOW)
    placed, mark = clock.place(NOW + 2_000, NOW + 2_000)
    assert mark is Mark.STEPPED
    assert abs(placed - NOW) <= 2_000
    assert clock.place(NOW + 4_000, NOW + 4_000)[1] is not Mark.STEPPED


def test_clock_that_jumps_ahead_is_booked_at_our_time() -> None:
    clock = AgentClock()
    clock.hello(NOW, NOW)
    assert clock.place(NOW + 600_000, NOW) == (NOW, Mark.STEPPED)
    placed, mark = clock.place(NOW + 602_000, NOW + 2_000)
    assert (placed, mark) == (NOW + 2_000, Mark.FINE)


def test_small_step_back_waits_at_the_last_time() -> None:
    clock = AgentClock()
    clock.hello(NOW, NOW)
    clock.place(NOW + 2_000, NOW + 2_000)
    assert clock.place(NOW + 1_000, NOW + 4_000) == (NOW + 2_000, Mark.BEHIND)


def test_late_frames_keep_their_time_however_old() -> None:
    clock = AgentClock()
    clock.hello(NOW, NOW)
    assert clock.place(NOW - 3_600_000, NOW) == (NOW - 3_600_000, Mark.FINE)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**53), st.integers(0, 5_000), st.booleans()), max_size=40))
def test_event_times_never_go_back_and_never_lie_far_ahead(steps: list[tuple[int, int, bool]]) -> None:
    clock, now, last = AgentClock(), NOW, 0
    for time_ms, passed, hello in steps:
        now += passed
        if hello:
            clock.hello(time_ms, now)
        placed, _ = clock.place(time_ms, now)
        assert last <= placed <= now + TOLERANCE_MS
        last = placed


def test_acks_name_the_last_frame_of_a_window_that_is_safe() -> None:
    acks = AckBook(10_000)
    for seq, at in ((1, 1_000), (2, 9_000), (3, 11_000), (4, 12_000)):
        acks.published("vm", seq, at, 0, seq)
    acks.safe(0, 1)
    assert acks.take_changed() == []
    acks.safe(0, 4)
    assert acks.take_changed() == [("vm", 2)]
    assert acks.take_changed() == []
    acks.published("vm", 5, 25_000, 0, 5)
    assert acks.take_changed() == [("vm", 4)]


def test_acks_of_partitions_do_not_mix_and_forgotten_vms_are_silent() -> None:
    acks = AckBook(10)
    acks.published("a", 1, 0, 1, 7)
    acks.published("a", 2, 10, 1, 8)
    acks.published("b", 1, 0, 2, 7)
    acks.published("b", 2, 10, 2, 8)
    acks.safe(1, 100)
    assert acks.take_changed() == [("a", 1)]
    acks.forget("b")
    acks.safe(2, 100)
    assert acks.take_changed() == []
