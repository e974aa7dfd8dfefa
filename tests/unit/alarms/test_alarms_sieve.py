"""Many frames judged at once have the same outcome as one by one, whatever the rules, the frames and the batches."""

import struct
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcisd.alarms.judge import Judge, Outcome
from mcisd.alarms.ports import Member
from mcisd.model.alarms import Aggregation, AlarmPhase, AlarmRule, Comparison, RuleLevel
from mcisd.model.samples import REPLAYED, Schema, pack_frame
from tests.unit.alarms.alarms_kit import CORE, CPU, NAN, SCHEMA, SENT, START, frame, member, rule

OTHER = Schema.of((SENT, CPU))
VMS = "abcd"
MEMBERS = [member(name, mcis=f"mcis-{i % 2}", mcis_name=f"web{i % 2}") for i, name in enumerate(VMS)]
CALM = (10.0, 12.0, 70.0)
ODD = (4.0, 5.0, 79.0, 80.0, 80.5, 90.0, NAN, float("inf"), float("-inf"), 1e308)


@st.composite
def rules(draw: st.DrawFn) -> list[AlarmRule]:
    made = []
    for i in range(draw(st.integers(0, 4))):
        counts = draw(st.sampled_from([False, False, False, True]))
        reads: dict[str, Any] = {"measurement": "net", "field_name": "bytes_sent"} if counts else {}
        tags = {} if counts or draw(st.booleans()) else {"cpu": "cpu-total"}
        made.append(
            rule(
                uid=f"al-{i}",
                name=f"rule-{i}",
                mcis=draw(st.sampled_from(["web0", "web1"])),
                vm=draw(st.sampled_from(["", "", "a-1"])),
                tags=tags,
                comparison=draw(st.sampled_from(list(Comparison))),
                threshold=draw(st.sampled_from([5.0, 80.0])),
                aggregation=draw(st.sampled_from(list(Aggregation))),
                level=draw(st.sampled_from([RuleLevel.VM, RuleLevel.VM, RuleLevel.VM, RuleLevel.MCIS])),
                window_s=draw(st.sampled_from([0.0, 0.0, 0.0, 4.0])),
                for_s=draw(st.sampled_from([0.0, 2.0])),
                no_data_s=draw(st.sampled_from([0.0, 0.0, 0.0, 6.0])) if not counts else 0.0,
                **reads,
            )
        )
    return [one for one in made if one.no_data_s == 0 or one.level is RuleLevel.VM]


Sent = tuple[str, int, int, float, float, float, int, float]


def sending(seed: int) -> list[Sent]:
    """Frames of some VMs, mostly calm, with what is strange in them rare enough for calm batches to be there."""
    rng = Random(seed)
    odd = rng.choice([0.02, 0.1, 0.4])

    def value() -> float:
        return rng.choice(ODD if rng.random() < odd else CALM)

    return [
        (
            rng.choice([*VMS, *VMS, *VMS, "x"]),
            i // 4 + rng.randint(-3, 3),
            rng.randint(0, 60),
            value(),
            value(),
            rng.choice([0.0, 50.0, 100.0, 300.0]),
            REPLAYED if rng.random() < 0.05 else 0,
            3.0 if rng.random() < 0.1 else 0.0,
        )
        for i in range(rng.randint(20, 160))
    ]


def made(one: Sent) -> bytes:
    """A frame; now and then one that is strange."""
    name, second, kind, cpu, core, sent, flags, _ = one
    vm, at = f"vm-{name}", START + second
    match kind:
        case 0:
            return b"short"
        case 1:
            return frame(vm, at, cpu) + b"more"
        case 2:
            return frame(vm, at, cpu, schema=Schema.of((CPU,)))
        case 3 | 4 | 5 | 6:
            return pack_frame(vm, OTHER.key, 1, round(at * 1000), flags, struct.pack("<2d", sent, cpu))
    return pack_frame(vm, SCHEMA.key, 1, round(at * 1000), flags, struct.pack("<3d", cpu, core, sent))


class Court:
    """One judge, what it found, and its clock."""

    def __init__(self, of: Sequence[AlarmRule], members: Sequence[Member], sieve: bool) -> None:
        self.judge = Judge({SCHEMA.key: SCHEMA, OTHER.key: OTHER}, sieve=sieve)
        self.now, self.rules = START, {one.uid: one for one in of}
        self.told: list[object] = []
        self.judge.renew(self.rules, members, START, 0.0)

    def hear(self, batch: Sequence[bytes]) -> None:
        self._note(self.judge.frames(batch, self.now, self.now - START))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._note(Outcome(self.judge.overdue(self.now, self.now - START)))

    def _note(self, out: Outcome) -> None:
        # With several VMs the order between VMs may differ, as one batch is judged where the other sees several.
        self.told += [(change.kind, change.state, change.value, change.reason) for change, _ in out.findings]
        self.told += [one for values in out.values.values() for one in values]

    def outcome(self) -> tuple[list[str], dict[str, object], object, float | None]:
        states = {uid: state for uid, state in self.judge.tracks.states().items() if state.since > 0}
        return sorted(map(repr, self.told)), dict(states), self.judge.tally, self.judge.next_due()


@pytest.fixture(autouse=True)
def no_batch_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcisd.alarms.sieve.FEW", 1)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules(), st.integers(0, 2**32))
def test_many_at_once_have_the_outcome_of_one_by_one(of: list[AlarmRule], seed: int) -> None:
    many, single = Court(of, MEMBERS, sieve=True), Court(of, MEMBERS, sieve=False)
    batch: list[bytes] = []
    last: Sent = ("x", 0, 0, 0.0, 0.0, 0.0, 0, 100.0)
    for one in [*sending(seed), last]:
        if pause := one[-1]:
            many.hear(batch)
            for value in batch:
                single.hear([value])
            batch = []
            for court in (many, single):
                court.wait(pause)
        batch.append(made(one))
    assert many.outcome() == single.outcome()


def test_calm_vms_pass_the_sieve_and_a_hot_one_is_judged_with_all_of_its_frames() -> None:
    court = Court([rule(mcis="web0")], MEMBERS, sieve=True)
    for second in range(3):
        court.now = START + second
        court.hear([frame(f"vm-{vm}", court.now, 10.0) for vm in VMS])
    judged: list[bytes] = []
    one_by_one = court.judge._frame

    def spy(value: bytes, *rest: Any, **more: Any) -> None:
        judged.append(value)
        one_by_one(value, *rest, **more)

    court.judge._frame = spy  # type: ignore[method-assign]  # to see what the sieve lets through
    hot = frame("vm-a", START + 4, 95.0)
    batch = [frame(f"vm-{vm}", START + at, 10.0) for at in (3, 4, 5) for vm in "bcd"]
    after = frame("vm-a", START + 5, 10.0)
    court.now = START + 5
    court.hear([*batch, hot, after])
    assert judged == [hot, after]
    assert [told[0] for told in court.told if isinstance(told, tuple)] == ["firing", "resolved"]
    assert court.judge.tally.judged == 12 + 11


def test_frames_kept_while_the_link_was_down_are_not_judged_but_show_that_the_vm_lives() -> None:
    court = Court([rule(mcis="web0"), rule(uid="al-nod", mcis="web0", name="silent", no_data_s=6.0)], MEMBERS, True)
    court.wait(7.0)
    old = pack_frame("vm-a", SCHEMA.key, 1, round(START * 1000), REPLAYED, struct.pack("<3d", 99.0, NAN, NAN))
    court.hear([old])
    assert court.judge.tally.replayed == 1
    phases = {uid: state.phase for uid, state in court.judge.tracks.states().items()}
    assert phases["al-nod:vm-a"] is AlarmPhase.OK
    assert phases["al-nod:vm-c"] is AlarmPhase.FIRING
    assert "al-cpu:vm-a" not in phases


def test_a_vm_that_sends_several_columns_is_bounded_by_each_of_them() -> None:
    court = Court([rule(mcis="web0", tags={}, aggregation=Aggregation.MAX)], MEMBERS, sieve=True)
    assert CPU.series != CORE.series
    for second in range(12):
        court.now = START + second
        court.hear([frame(f"vm-{vm}", court.now, 10.0, core=95.0 if second == 11 else 10.0) for vm in VMS * 3])
    assert sorted(told[1].subject for told in court.told if isinstance(told, tuple)) == ["vm-a", "vm-c"]
