"""The judge: rules, VMs, schemas and frames come in, changes of alarms come out. Synchronous, no I/O, no clock.

For each VM and schema a plan is compiled once: which rules read which bytes. A frame then costs its matching rules.
"""

import struct
from collections import deque
from collections.abc import Iterable

from mcisd.alarms.lifecycle import Change, end, fired_under, heard, silent
from mcisd.alarms.ports import Member
from mcisd.alarms.roster import Roster, placeholder, with_version
from mcisd.alarms.silence import Silence
from mcisd.alarms.text import subject_name
from mcisd.alarms.track import Probe, Track
from mcisd.model.alarms import AlarmPhase, AlarmRule, AlarmState, RuleLevel
from mcisd.model.samples import FRAME_HEAD, Schema, frame_head

Finding = tuple[Change, Member | None]
HELD, HOLD_S = 1000, 60.0


class Judge:
    """``stale_s``: a VM silent for longer is left out of its MCIS's value."""

    def __init__(self, stale_s: float = 30.0) -> None:
        self.stale_s = stale_s
        self.malformed = 0
        self.unknown_vm = 0
        self.roster = Roster()
        self._tracks: dict[tuple[str, str], Track] = {}
        self._schemas: dict[bytes, Schema] = {}
        self._plans: dict[str, tuple[bytes, tuple[Probe, ...]]] = {}
        self._quiet: dict[str, set[str]] = {}
        self._silence = Silence()
        self._held: deque[tuple[bytes, bytes, float]] = deque(maxlen=HELD)

    def load(self, states: Iterable[AlarmState], rules: Iterable[AlarmRule], mono: float) -> None:
        """Take over what was stored; the next ``renew`` ends what lost its rule or subject meanwhile."""
        known = {rule.uid: rule for rule in rules}
        for state in states:
            rule = known.get(state.rule) or placeholder(state)
            if state.phase is AlarmPhase.FIRING:
                rule = with_version(rule, fired_under(state))
            elif state.phase is AlarmPhase.PENDING and not rule.enabled:
                rule = with_version(rule, -1)
            self._tracks[state.rule, state.subject] = Track(rule, state, mono, stored=True)

    def renew(self, rules: Iterable[AlarmRule], members: Iterable[Member], now: float, mono: float) -> list[Finding]:
        """The rules and VMs there are now; alarms that lost theirs end."""
        before, self.roster = self.roster, Roster(rules, members)
        self._plans.clear()
        findings = [found for key in list(self._tracks) if (found := self._settle(key, before, now, mono))]
        self._silence.expect(self.roster.reporting, mono)
        return findings + self._watch_silence(now, mono)

    def add_schema(self, schema: Schema, now: float) -> list[Finding]:
        """A schema is known from now on; frames that came before it are judged."""
        if schema.key in self._schemas:
            return []
        self._schemas[schema.key] = schema
        waiting = [item for item in self._held if item[0] == schema.key]
        self._held = deque((item for item in self._held if item[0] != schema.key), maxlen=HELD)
        return [found for _, value, mono in waiting for found in self.frame(value, now, mono)]

    def frame(self, value: bytes, now: float, mono: float) -> list[Finding]:
        """Judge one frame that arrived at ``now``; its time counts, but never as later than its arrival."""
        try:
            vm, key, _, time_ms, _ = frame_head(value)
        except (struct.error, UnicodeDecodeError):
            self.malformed += 1
            return []
        member = self.roster.members.get(vm)
        if member is None:
            self.unknown_vm += 1
            return []
        if member.reports:
            self._silence.hear(vm, mono)
        findings = self._heard_again(member, now)
        schema = self._schemas.get(key)
        if schema is None:
            self._held.append((key, value, mono))
        elif len(value) != FRAME_HEAD.size + 8 * len(schema.columns):
            self.malformed += 1
        else:
            findings += self._judge(member, schema, value, min(time_ms / 1000, now), mono)
        return findings

    def holds_frames(self, mono: float) -> bool:
        """Frames of the last minute still wait for their schema; older ones are given up."""
        while self._held and mono - self._held[0][2] > HOLD_S:
            self._held.popleft()
            self.malformed += 1
        return bool(self._held)

    def next_due(self) -> float | None:
        """Monotonic time of the next deadline of a no-data rule."""
        return self._silence.next_due()

    def overdue(self, now: float, mono: float) -> list[Finding]:
        """Alarms of the VMs that have been silent for too long by now."""
        findings: list[Finding] = []
        for vm, uid, version in self._silence.overdue(mono):
            rule, member = self.roster.rules.get(uid), self.roster.members.get(vm)
            if rule is None or member is None or rule.version != version:
                continue
            track = self._track(rule, member, mono)
            change = track.take(silent(track.state, rule, now))
            self._quiet.setdefault(vm, set()).add(uid)
            if change is not None:
                findings.append((change, member))
        return findings

    def _judge(self, member: Member, schema: Schema, frame: bytes, time: float, mono: float) -> list[Finding]:
        findings: list[Finding] = []
        for probe in self._plan(member, schema, mono):
            value = probe.read(time, frame)
            if value is None:
                continue
            if probe.per_vm:
                change = probe.track.judge(time, value)
            else:
                peers = self.roster.reporting_in(member.mcis)
                change = probe.track.judge_group(member.vm, time, value, mono, peers, self.stale_s)
            if change is not None:
                findings.append((change, member))
        return findings

    def _plan(self, member: Member, schema: Schema, mono: float) -> tuple[Probe, ...]:
        known = self._plans.get(member.vm)
        if known is not None and known[0] == schema.key:
            return known[1]
        rules = [rule for rule in self.roster.rules_of(member) if rule.no_data_s <= 0]
        probes = (Probe.of(self._track(rule, member, mono), member.vm, schema) for rule in rules)
        plan = tuple(probe for probe in probes if probe is not None)
        self._plans[member.vm] = (schema.key, plan)
        return plan

    def _track(self, rule: AlarmRule, member: Member, mono: float) -> Track:
        subject = member.vm if rule.level is RuleLevel.VM else member.mcis
        track = self._tracks.get((rule.uid, subject))
        if track is None:
            name = subject_name(rule, member)
            uid = f"{rule.uid}:{subject}"
            state = AlarmState(uid=uid, rule=rule.uid, subject=subject, ns=rule.ns, mcis=rule.mcis, subject_name=name)
            track = self._tracks[rule.uid, subject] = Track(rule, state, mono)
        return track

    def _settle(self, key: tuple[str, str], before: Roster, now: float, mono: float) -> Finding | None:
        """End or restart a track that the new roster does not carry on as it was."""
        track, subject = self._tracks[key], key[1]
        member = self.roster.of_subject(track.rule, subject)
        rule, reason, last = self.roster.verdict(track.rule, member)
        if member is not None and not last:
            self._forget_gone_vms(track)
        if not reason:
            return None
        change = end(track.state, track.rule, now, reason, last=last)
        if last:
            del self._tracks[key]
            change = change if track.stored else None
        else:
            track.take(change)
            track.restart(rule, track.state, mono)
        return (change, member or before.of_subject(track.rule, subject)) if change else None

    def _forget_gone_vms(self, track: Track) -> None:
        for vm in track.series.keys() - self.roster.members.keys():
            track.series.pop(vm)
            track.latest.pop(vm, None)

    def _watch_silence(self, now: float, mono: float) -> list[Finding]:
        """Arm every no-data rule for its VMs; one that fires for a VM not expected to report any more resolves."""
        findings: list[Finding] = []
        self._quiet = {}
        for rule, member in self.roster.no_data_pairs():
            track = self._track(rule, member, mono)
            if track.state.phase is not AlarmPhase.FIRING:
                self._silence.arm(member.vm, rule)
            elif member.reports:
                self._quiet.setdefault(member.vm, set()).add(rule.uid)
            elif change := track.take(heard(track.state, rule, now, "vm is not expected to report")):
                findings.append((change, member))
        return findings

    def _heard_again(self, member: Member, now: float) -> list[Finding]:
        quiet = self._quiet.pop(member.vm, None)
        if not quiet:
            return []
        findings: list[Finding] = []
        for uid in quiet:
            rule, track = self.roster.rules[uid], self._tracks[uid, member.vm]
            if change := track.take(heard(track.state, rule, now)):
                findings.append((change, member))
            self._silence.arm(member.vm, rule)
        return findings
