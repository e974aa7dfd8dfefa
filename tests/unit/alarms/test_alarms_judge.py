"""The judge: frames in, changes out; rules and VMs that come and go; silence; whole MCIS; restarts."""

import struct
from collections.abc import Iterable

from mcisd.alarms.group import GroupJudge
from mcisd.alarms.judge import Judge
from mcisd.alarms.ports import Member
from mcisd.alarms.tracks import Finding
from mcisd.model.alarms import Aggregation, AlarmPhase, AlarmRule, RuleLevel
from mcisd.model.samples import Schema, pack_frame
from tests.unit.alarms.alarms_kit import CPU, NAN, SCHEMA, START, frame, member, rule


def told(findings: Iterable[Finding]) -> list[tuple[str, str, str]]:
    return [(change.kind.value, change.state.subject, change.reason) for change, _ in findings]


class Bench:
    """Both stages, one after the other, without the bus between."""

    def __init__(self, rules: list[AlarmRule], members: list[Member] | None = None, at: float = START) -> None:
        self.schemas = {SCHEMA.key: SCHEMA}
        self.judge, self.group = Judge(self.schemas), GroupJudge()
        self.now = at
        self.begun = at
        self.rules, self.members = rules, members if members is not None else [member()]
        self.renew()

    @property
    def mono(self) -> float:
        return self.now - self.begun

    def renew(self) -> list[tuple[str, str, str]]:
        rules = {one.uid: one for one in self.rules}
        found = self.judge.renew(rules, self.members, self.now, self.mono)
        return told(found + self.group.renew(rules, self.members, self.now, self.mono))

    def send(self, cpu: float, vm: str = "vm-a", sent: float = NAN) -> list[tuple[str, str, str]]:
        return told(self.take(frame(vm, self.now, cpu, sent=sent)))

    def take(self, *frames: bytes) -> list[Finding]:
        out = self.judge.frames(frames, self.now, self.mono)
        grouped = [self.group.take(values, self.now, self.mono) for values in out.values.values()]
        return out.findings + [finding for findings, _ in grouped for finding in findings]

    def pass_time(self, seconds: float) -> list[tuple[str, str, str]]:
        self.now += seconds
        return told(self.judge.overdue(self.now, self.mono))


def test_a_sample_over_the_threshold_fires_at_once_and_names_its_vm_only() -> None:
    bench = Bench([rule()], [member("a"), member("b")])
    assert bench.send(90.0) == [("firing", "vm-a", "")]
    assert bench.send(10.0, "vm-b") == []
    bench.pass_time(2)
    assert bench.send(90.0) == []
    bench.pass_time(2)
    assert bench.send(20.0) == [("resolved", "vm-a", "")]


def test_the_same_or_an_older_frame_changes_nothing() -> None:
    bench = Bench([rule()])
    bench.send(90.0)
    bench.now += 10
    assert bench.take(frame("vm-a", START, 1.0)) == []
    assert bench.take(frame("vm-a", START - 4, 1.0)) == []


def test_a_clock_that_runs_ahead_does_not_blind_the_judge_when_it_is_set_right() -> None:
    bench = Bench([rule()])
    assert told(bench.take(frame("vm-a", START + 600, 90.0))) == [("firing", "vm-a", "")]
    bench.pass_time(2)
    assert bench.send(10.0) == [("resolved", "vm-a", "")]


def test_a_counter_is_judged_as_its_rate() -> None:
    bench = Bench([rule(measurement="net", field_name="bytes_sent", tags={}, threshold=1000.0)])
    assert bench.send(0, sent=5e9) == []
    bench.pass_time(2)
    assert bench.send(0, sent=5e9 + 1000) == []
    bench.pass_time(2)
    assert bench.send(0, sent=5e9 + 9000) == [("firing", "vm-a", "")]


def test_frames_before_their_schema_are_held_and_strange_ones_counted() -> None:
    bench = Bench([rule()])
    schema = Schema.of((CPU,))
    value = pack_frame("vm-a", schema.key, 1, round(START * 1000), 0, struct.pack("<d", 99.0))
    assert bench.take(value) == []
    assert bench.judge.holds_frames(bench.mono)
    bench.schemas[schema.key] = schema
    assert told(bench.judge.schema_known(schema.key, START, bench.mono).findings) == [("firing", "vm-a", "")]
    assert not bench.judge.holds_frames(bench.mono)
    bench.take(b"short", value + b"more", frame("vm-x", START, 99.0))
    assert (bench.judge.tally.malformed, bench.judge.tally.unknown_vm) == (2, 1)


def test_frames_whose_schema_never_comes_are_given_up_after_a_minute() -> None:
    bench = Bench([rule()])
    schema = Schema.of((CPU,))
    bench.take(pack_frame("vm-a", schema.key, 1, round(START * 1000), 0, struct.pack("<d", 99.0)))
    bench.pass_time(61.0)
    bench.schemas[schema.key] = schema
    assert bench.judge.schema_known(schema.key, bench.now, bench.mono).findings == []
    assert bench.judge.tally.malformed == 1


def test_an_edited_disabled_or_removed_rule_resolves_its_alarm_once() -> None:
    for after, reason in [
        ([rule(version=2, threshold=95.0)], "rule changed"),
        ([rule(version=2, enabled=False)], "rule changed"),
        ([rule(version=2, mcis="db")], "rule changed"),
        ([], "rule removed"),
    ]:
        bench = Bench([rule()])
        bench.send(90.0)
        bench.rules = after
        assert bench.renew() == [("resolved", "vm-a", reason)]
        assert bench.renew() == []
        bench.pass_time(2)
        assert bench.send(90.0) == []


def test_an_edited_rule_that_still_holds_fires_again_as_a_new_episode() -> None:
    bench = Bench([rule()])
    bench.send(90.0)
    bench.rules = [rule(version=2, threshold=85.0)]
    bench.renew()
    bench.pass_time(2)
    assert bench.send(90.0) == [("firing", "vm-a", "")]


def test_a_vm_removed_on_purpose_resolves_its_alarms() -> None:
    bench = Bench([rule(), rule(uid="al-nod", name="silent", no_data_s=6.0)])
    bench.send(90.0)
    bench.pass_time(10)
    bench.members = []
    assert sorted(bench.renew()) == [("resolved", "vm-a", "vm removed")] * 2
    assert bench.pass_time(100) == []


def test_silence_fires_at_its_deadline_and_the_next_sample_resolves() -> None:
    bench = Bench([rule(uid="al-nod", name="silent", no_data_s=6.0)])
    assert bench.judge.next_due() == 6.0
    bench.pass_time(4)
    bench.send(1.0)
    assert bench.pass_time(5.9) == []
    assert bench.pass_time(0.2) == [("firing", "vm-a", "no data")]
    assert bench.pass_time(60) == []
    assert bench.send(1.0) == [("resolved", "vm-a", "data again")]
    assert bench.pass_time(6.1) == [("firing", "vm-a", "no data")]


def test_who_is_not_expected_to_report_is_not_missed() -> None:
    bench = Bench([rule(uid="al-nod", name="silent", no_data_s=6.0)], [member(reports=False)])
    assert bench.pass_time(100) == []
    bench.members = [member()]
    bench.renew()
    assert bench.pass_time(5) == []
    assert bench.pass_time(2) == [("firing", "vm-a", "no data")]
    bench.members = [member(reports=False)]
    assert bench.renew() == [("resolved", "vm-a", "vm is not expected to report")]


def test_an_mcis_rule_judges_all_its_vms_together() -> None:
    of = rule(level=RuleLevel.MCIS, aggregation=Aggregation.AVG, threshold=50.0)
    bench = Bench([of], [member("a"), member("b"), member("c", mcis="mcis-2", mcis_name="db")])
    assert bench.send(90.0, "vm-a") == []
    assert bench.send(20.0, "vm-b") == [("firing", "mcis-1", "")]
    assert bench.send(99.0, "vm-c") == []
    bench.pass_time(2)
    assert bench.send(60.0, "vm-a") == [("resolved", "mcis-1", "")]


def test_a_silent_vm_is_left_out_of_its_mcis_and_a_start_does_not_wait_for_it_for_ever() -> None:
    of = rule(level=RuleLevel.MCIS, aggregation=Aggregation.MAX)
    bench = Bench([of], [member("a"), member("b")])
    bench.send(90.0, "vm-a")
    for _ in range(16):
        bench.pass_time(2)
        found = bench.send(10.0, "vm-b")
        if bench.mono < 2.5:
            assert found == [("firing", "mcis-1", "")]
    assert found == [("resolved", "mcis-1", "")]


def test_a_restarted_judge_goes_on_from_what_was_stored() -> None:
    of = rule(for_s=4.0)
    first = Bench([of])
    [(pending, _)] = first.take(frame("vm-a", START, 90.0))
    second = Judge(first.schemas)
    second.load([pending.state], {of.uid: of}, 0.0)
    assert second.renew({of.uid: of}, [member()], START, 0.0) == []
    out = second.frames([frame("vm-a", START + 4, 90.0)], START + 4, 4.0)
    assert told(out.findings) == [("firing", "vm-a", "")]


def test_what_changed_while_nobody_judged_ends_after_the_start() -> None:
    bench = Bench([rule()])
    [(fired, _)] = bench.take(frame("vm-a", START, 90.0))
    cases: list[tuple[list[AlarmRule], list[Member], str]] = [
        ([], [member()], "rule removed"),
        ([rule(version=2)], [member()], "rule changed"),
        ([rule()], [], "vm removed"),
    ]
    for rules, members, reason in cases:
        judge, known = Judge({}), {one.uid: one for one in rules}
        judge.load([fired.state], known, 0.0)
        [(change, _)] = judge.renew(known, members, START + 60, 0.0)
        assert (change.kind.value, change.reason) == ("resolved", reason)
        assert change.state.phase is AlarmPhase.OK
        assert change.state.episode == fired.state.episode
