"""Which collector serves which agent: order, fairness, few moves, regions, bounds. Pure."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mcisd.collectors.assign import SMALL, Candidate, bound, preferred, ranked, route


def candidate(name: str, region: str = "", links: int = 0) -> Candidate:
    return Candidate(f"nd-{name}", name, (name, 8881), region, links)


FIVE = [candidate(f"c{i}") for i in range(5)]
VMS = [f"vm-{i:04}" for i in range(4_000)]


def first(candidates: list[Candidate], vm: str) -> str:
    return route(vm, "", candidates)[0].name


@given(st.lists(st.text("abcdef", min_size=1, max_size=5), unique=True), st.text(max_size=8), st.randoms())
def test_the_order_does_not_depend_on_the_order_of_the_question(names: list[str], key: str, rng: object) -> None:
    mixed = sorted(names, key=lambda name: hash((name, str(rng))))
    assert ranked(key, mixed) == ranked(key, names)
    assert sorted(ranked(key, names)) == sorted(names)


def test_work_is_divided_evenly() -> None:
    counts = Counter(first(FIVE, vm) for vm in VMS)
    assert len(counts) == 5
    assert max(counts.values()) < 1.15 * len(VMS) / 5


def test_when_one_goes_only_its_agents_move() -> None:
    before = {vm: first(FIVE, vm) for vm in VMS}
    after = {vm: first(FIVE[:-1], vm) for vm in VMS}
    moved = [vm for vm in VMS if before[vm] != after[vm]]
    assert moved == [vm for vm in VMS if before[vm] == "c4"]


def test_one_that_joins_takes_a_fair_share_and_nobody_else_moves() -> None:
    more = [*FIVE, candidate("c5")]
    moved = [vm for vm in VMS if first(FIVE, vm) != first(more, vm)]
    assert all(first(more, vm) == "c5" for vm in moved)
    assert 0.8 * len(VMS) / 6 < len(moved) < 1.2 * len(VMS) / 6


def test_collectors_of_the_region_come_first_and_the_others_stay_as_a_fallback() -> None:
    mixed = [candidate("far-1", "asia"), candidate("near-1", "europe"), candidate("far-2", "asia")]
    order = [one.name for one in preferred("vm-1", "europe", mixed)]
    assert order[0] == "near-1"
    assert sorted(order) == ["far-1", "far-2", "near-1"]


def test_a_full_collector_is_passed_over() -> None:
    vm = next(vm for vm in VMS if first(FIVE, vm) == "c0")
    loaded = [replace(one, links=200 if one.name == "c0" else 100) for one in FIVE]
    order = route(vm, "", loaded)
    assert bound(loaded) == 151
    assert order[0].name != "c0"
    assert order[-1].name == "c0"


def test_few_links_are_never_too_many() -> None:
    assert bound([]) == SMALL
    assert bound(FIVE) == SMALL
