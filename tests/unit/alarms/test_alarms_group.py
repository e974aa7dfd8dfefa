"""Rules about a whole MCIS: the running aggregate against the plain one, the values on the bus, what comes again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.alarms.evaluate import combine, total
from mcisd.alarms.gather import REFRESH, Gather
from mcisd.alarms.group import GroupJudge
from mcisd.alarms.ports import Member
from mcisd.alarms.values import ENTRY, GroupValue, pack_values, unpack_values
from mcisd.model.alarms import Aggregation, AlarmRule, RuleLevel
from tests.unit.alarms.alarms_kit import START, member, rule

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
UIDS = st.text("abcdefghijkmnpqrstuvwxyz23456789-", min_size=1, max_size=16)
VALUES = st.builds(GroupValue, UIDS, UIDS, st.integers(0, 2**32 - 1), NUMBERS, NUMBERS)
STEPS = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(-1e6, 1e6), st.integers(0, 8)), max_size=80)
OF = rule(level=RuleLevel.MCIS, aggregation=Aggregation.AVG, threshold=50.0)


@given(STEPS, st.sampled_from(list(Aggregation)), st.integers(1, 20))
def test_the_running_aggregate_is_that_of_the_fresh_values(
    steps: list[tuple[str, float, int]], how: Aggregation, stale: int
) -> None:
    gather, plain, now = Gather(how), dict[str, tuple[float, int]](), 0
    for vm, value, pause in steps:
        now += pause
        gather.put(vm, value, float(now))
        gather.expire(float(now - stale))
        plain.pop(vm, None)
        plain[vm] = (value, now)
        fresh = [got for got, at in plain.values() if now - at <= stale]
        assert gather.value() == pytest.approx(combine(fresh, how), rel=1e-12, abs=1e-9)
        if pause == 3:
            gather.drop(vm)
            plain.pop(vm)


@pytest.mark.parametrize("how", list(Aggregation))
def test_ten_thousand_vms_cost_no_more_than_a_few(how: Aggregation) -> None:
    gather = Gather(how)
    for turn in range(3):
        for vm in range(10_000):
            gather.put(f"vm-{vm}", float(vm * (turn + 1)), float(turn))
            assert gather.value() is not None
    assert len(gather) == 10_000
    assert len(gather._heap) <= 2 * 10_000 + 65, "values that were replaced do not pile up"


def test_a_sum_forgets_what_is_gone_to_the_last_digit() -> None:
    gather = Gather(Aggregation.SUM)
    gather.put("big", 1e17, 0.0)
    for turn in range(REFRESH + 10):
        gather.put("small", 0.1 * turn, 0.0)
    gather.drop("big")
    assert gather.value() == pytest.approx(0.1 * (REFRESH + 9), rel=1e-12)


def test_sums_that_are_too_large_are_infinite_and_no_error() -> None:
    assert total([1e308] * 4) == math.inf
    assert total([-1e308] * 4) == -math.inf
    assert math.isnan(total([math.inf, -math.inf]))
    gather = Gather(Aggregation.SUM)
    for vm in "abc":
        gather.put(vm, 1e308, 0.0)
    assert gather.value() == math.inf
    gather.drop("a")
    gather.drop("b")
    assert gather.value() == 1e308


@given(st.lists(VALUES, max_size=20))
def test_values_arrive_as_they_were_sent(values: list[GroupValue]) -> None:
    message = pack_values(values)
    assert len(message) == ENTRY.size * len(values)
    assert unpack_values(message) == values


@given(st.binary(max_size=200))
def test_what_is_no_message_of_values_is_refused_as_such(message: bytes) -> None:
    try:
        values = unpack_values(message)
    except ValueError:
        return
    assert all(math.isfinite(one.value) for one in values)


class Room:
    def __init__(self, of: AlarmRule, *members: Member, born: float = 0.0) -> None:
        self.judge, self.of = GroupJudge(), of
        self.judge.renew({of.uid: of}, members, START, born)

    def take(self, vm: str, value: float, at: float, *, again: bool = False, version: int = 1) -> list[str]:
        one = GroupValue(f"vm-{vm}", self.of.uid, version, START + at, value)
        findings, self.unknown = self.judge.take([one], START + at, at, again=again)
        return [change.kind.value for change, _ in findings]


def test_values_that_come_again_are_remembered_and_do_not_change_anything() -> None:
    room = Room(OF, member("a"), member("b"))
    assert room.take("a", 90.0, 1.0, again=True) == []
    assert room.take("b", 90.0, 1.0, again=True) == []
    assert room.take("a", 90.0, 2.0) == ["firing"]


def test_what_comes_again_from_long_ago_does_not_count_as_fresh() -> None:
    room = Room(OF, member("a"), member("b"))
    old = GroupValue("vm-b", OF.uid, 1, START - 60.0, 0.0)
    room.judge.take([old], START, 0.0, again=True)
    assert room.take("a", 90.0, 2.0) == [], "it waits for b, of which nothing is known"
    assert room.take("a", 90.0, 31.0) == ["firing"]


def test_a_value_that_comes_twice_or_was_read_for_another_version_of_the_rule_is_left_out() -> None:
    room = Room(OF, member("a"))
    assert room.take("a", 90.0, 1.0) == ["firing"]
    assert room.take("a", 10.0, 1.0) == []
    assert room.take("a", 10.0, 2.0, version=7) == []
    assert room.unknown == 1
    assert room.take("a", 10.0, 3.0) == ["resolved"]


def test_a_vm_that_is_gone_counts_no_more_and_the_last_one_ends_the_alarm() -> None:
    room = Room(OF, member("a"), member("b"))
    room.take("a", 99.0, 1.0)
    assert room.take("b", 9.0, 2.0) == ["firing"]
    room.judge.renew({OF.uid: OF}, [member("b")], START, 3.0)
    assert room.take("b", 9.0, 4.0) == ["resolved"]
    room.take("b", 99.0, 5.0)
    findings = room.judge.renew({OF.uid: OF}, [], START, 6.0)
    assert [(change.kind.value, change.reason) for change, _ in findings] == [("resolved", "infra removed")]


def test_after_a_silence_of_all_the_first_to_be_heard_is_not_taken_for_all() -> None:
    room = Room(OF, member("a"), member("b"))
    room.take("a", 150.0, 1.0)
    assert room.take("b", 9.0, 2.0) == ["firing"]
    assert room.take("b", 9.0, 70.0) == [], "it waits for a, as at the start"
    assert room.take("a", 150.0, 71.0) == [], "it still fires"
    assert room.take("a", 10.0, 72.0) == ["resolved"]


def test_after_a_silence_of_all_it_does_not_wait_for_ever() -> None:
    room = Room(OF, member("a"), member("b"))
    room.take("a", 150.0, 1.0)
    room.take("b", 9.0, 2.0)
    told = {at: room.take("b", 9.0, float(at)) for at in range(70, 104, 2)}
    assert {at: kinds for at, kinds in told.items() if kinds} == {100: ["resolved"]}
