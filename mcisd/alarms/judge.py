"""The judge of one partition: rules, VMs, schemas and frames come in, changes of alarms come out, and for rules about a
whole MCIS the values of its VMs. Synchronous, no I/O, no clock.

For each VM and schema a plan is compiled once: which rules read which bytes. A frame then costs its matching rules, and
next to nothing where the sieve lets it pass.
"""

import struct
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mcisd.alarms.lifecycle import heard, silent
from mcisd.alarms.ports import Member
from mcisd.alarms.sieve import Sieve
from mcisd.alarms.silence import Silence
from mcisd.alarms.track import Probe, Series
from mcisd.alarms.tracks import Finding, Tracks
from mcisd.alarms.values import GroupValue
from mcisd.model.alarms import AlarmPhase, AlarmRule, AlarmState, RuleLevel
from mcisd.model.samples import FRAME_HEAD, REPLAYED, Schema, frame_head

HELD, HOLD_S = 1000, 60.0


@dataclass(slots=True)
class Tally:
    """What became of frames: ``again`` ones only fed windows, ``replayed`` ones only told that their VM lives."""

    judged: int = 0
    again: int = 0
    replayed: int = 0
    unknown_vm: int = 0
    malformed: int = 0


@dataclass(slots=True)
class Outcome:
    """What followed from frames; ``values`` by the uid of the MCIS."""

    findings: list[Finding] = field(default_factory=list)
    values: dict[str, list[GroupValue]] = field(default_factory=dict)


class Judge:
    """``tally`` may be shared with other judges. After the making come ``load`` and ``renew``."""

    def __init__(self, schemas: Mapping[bytes, Schema], tally: Tally | None = None, *, sieve: bool = True) -> None:
        self.tally = tally or Tally()
        self.tracks = Tracks()
        self._schemas = schemas
        self._plans: dict[str, tuple[bytes, tuple[Probe, ...]]] = {}
        self._series: dict[tuple[str, str], Series] = {}
        self._quiet: dict[str, set[str]] = {}
        self._sieve = Sieve()
        self._sieves = sieve
        self._silence = Silence(lambda vm: float(self._sieve.heard[self._sieve.seat(vm)]))
        self._held: deque[tuple[bytes, bytes, float, bool]] = deque(maxlen=HELD)

    def load(self, states: Iterable[AlarmState], rules: Mapping[str, AlarmRule], mono: float) -> None:
        """Take over what was stored; the next ``renew`` ends what lost its rule or subject meanwhile."""
        self.tracks.load(states, rules, mono)

    def renew(
        self, rules: Mapping[str, AlarmRule], members: Sequence[Member], now: float, mono: float
    ) -> list[Finding]:
        """The rules and the VMs of this partition there are now; alarms that lost theirs end."""
        findings = self.tracks.renew(rules, members, now, mono)
        roster = self.tracks.roster
        self._plans.clear()
        self._series = {key: one for key, one in self._series.items() if key[0] in rules and key[1] in roster.members}
        self._sieve.renew(members, mono)
        return findings + self._watch_silence(now, mono)

    def frames(self, values: Sequence[bytes], now: float, mono: float) -> Outcome:
        """Judge frames that arrived at ``now``; their times count, but never as later than their arrival."""
        out = Outcome()
        left = self._sort(values, now, mono)
        self.tally.judged += len(values) - len(left)
        for place in left:
            self._frame(values[place], now, mono, out)
        return out

    def warm(self, values: Sequence[bytes], now: float, mono: float) -> None:
        """Frames that were judged before: they fill windows and counters, tell the newest times, and change nothing."""
        left = self._sort(values, now, mono)
        self.tally.again += len(values) - len(left)
        for place in left:
            self._frame(values[place], now, mono, Outcome(), again=True)

    def schema_known(self, key: bytes, now: float, mono: float) -> Outcome:
        """Judge the frames that came before their schema."""
        out = Outcome()
        if not self.holds_frames(mono):
            return out
        waiting = [item for item in self._held if item[0] == key]
        self._held = deque((item for item in self._held if item[0] != key), maxlen=HELD)
        for _, value, arrived, again in waiting:
            self._frame(value, now, arrived, out, again=again)
        return out

    def holds_frames(self, mono: float) -> bool:
        """Frames of the last minute still wait for their schema; older ones are given up. They are kept in memory
        alone: one VM with a schema that never comes must not hold back the position of all."""
        while self._held and mono - self._held[0][2] > HOLD_S:
            self._held.popleft()
            self.tally.malformed += 1
        return bool(self._held)

    def next_due(self) -> float | None:
        """Monotonic time of the next deadline of a no-data rule."""
        return self._silence.next_due()

    def overdue(self, now: float, mono: float) -> list[Finding]:
        """Alarms of the VMs that have been silent for too long by now."""
        findings: list[Finding] = []
        for vm, uid, version in self._silence.overdue(mono):
            rule, member = self.tracks.roster.rules.get(uid), self.tracks.roster.members.get(vm)
            if rule is None or member is None or rule.version != version:
                continue
            track = self.tracks.of(rule, member, mono)
            change = track.take(silent(track.state, rule, now))
            self._miss(vm, uid)
            if change is not None:
                findings.append((change, member))
        return findings

    def adopt(
        self,
        rows: Iterable[AlarmState],
        before: Mapping[str, AlarmState],
        busy: frozenset[str],
        now: float,
        mono: float,
    ) -> list[Finding]:
        """See ``Tracks.adopt``; what follows from what the store knew better."""
        if not self.tracks.adopt(rows, before, busy, mono):
            return []
        roster = self.tracks.roster
        return self.renew(roster.rules, list(roster.members.values()), now, mono)

    def _sort(self, values: Sequence[bytes], now: float, mono: float) -> Sequence[int]:
        return self._sieve.sort(values, now, mono) if self._sieves else range(len(values))

    def _frame(self, value: bytes, now: float, mono: float, out: Outcome, *, again: bool = False) -> None:
        try:
            vm, key, _, time_ms, flags = frame_head(value)
        except (struct.error, UnicodeDecodeError):
            self.tally.malformed += 1
            return
        member = self.tracks.roster.members.get(vm)
        if member is None:
            self.tally.unknown_vm += 1
            return
        if not again:
            self._sieve.heard[self._sieve.seat(vm)] = mono
            out.findings += self._heard_again(member, now)
        schema = self._schemas.get(key)
        if flags & REPLAYED:
            self.tally.replayed += 1
        elif schema is None:
            self.holds_frames(mono)
            self._held.append((key, value, mono, again))
        elif len(value) != FRAME_HEAD.size + 8 * len(schema.columns):
            self.tally.malformed += 1
        else:
            self._judge(member, schema, value, min(time_ms / 1000, now), mono, None if again else out)

    def _judge(
        self, member: Member, schema: Schema, frame: bytes, time: float, mono: float, out: Outcome | None
    ) -> None:
        """Without ``out`` the frame is only remembered."""
        probes = self._plan(member, schema, mono)
        seat, newest = self._sieve.seat(member.vm), self._sieve.newest
        fresh = time > newest[seat]
        if fresh:
            newest[seat] = time
        if out is None:
            self.tally.again += 1
        else:
            self.tally.judged += 1
        for probe in probes if fresh else ():
            value = probe.read(time, frame)
            if value is not None and out is not None:
                _weigh(probe, member, time, value, out)
        calm = member.vm not in self._quiet and all(
            probe.plain and probe.track is not None and probe.track.state.phase is AlarmPhase.OK for probe in probes
        )
        if calm:
            self._sieve.learn(member.vm, schema, probes)
        else:
            self._sieve.forget(member.vm)

    def _plan(self, member: Member, schema: Schema, mono: float) -> tuple[Probe, ...]:
        known = self._plans.get(member.vm)
        if known is not None and known[0] == schema.key:
            return known[1]
        rules = [rule for rule in self.tracks.roster.rules_of(member) if rule.no_data_s <= 0]
        plan = tuple(probe for rule in rules if (probe := self._probe(rule, member, schema, mono)) is not None)
        self._plans[member.vm] = (schema.key, plan)
        return plan

    def _probe(self, rule: AlarmRule, member: Member, schema: Schema, mono: float) -> Probe | None:
        series = self._series.get((rule.uid, member.vm))
        if series is None or series.version != rule.version:
            series = self._series[rule.uid, member.vm] = Series(rule)
        track = self.tracks.of(rule, member, mono) if rule.level is RuleLevel.VM else None
        return Probe.of(rule, track, series, schema)

    def _watch_silence(self, now: float, mono: float) -> list[Finding]:
        """Arm every no-data rule for its VMs; one that fires for a VM not expected to report any more resolves."""
        findings: list[Finding] = []
        self._quiet = {}
        pairs = list(self.tracks.roster.no_data_pairs())
        self._silence.keep({(member.vm, rule.uid, rule.version) for rule, member in pairs if member.reports})
        for rule, member in pairs:
            track = self.tracks.of(rule, member, mono)
            if track.state.phase is not AlarmPhase.FIRING:
                if member.reports:
                    self._silence.arm(member.vm, rule)
            elif member.reports:
                self._miss(member.vm, rule.uid)
            elif change := track.take(heard(track.state, rule, now, "vm is not expected to report")):
                findings.append((change, member))
        return findings

    def _miss(self, vm: str, rule: str) -> None:
        self._quiet.setdefault(vm, set()).add(rule)
        self._sieve.forget(vm)

    def _heard_again(self, member: Member, now: float) -> list[Finding]:
        quiet = self._quiet.pop(member.vm, None)
        if not quiet:
            return []
        findings: list[Finding] = []
        for uid in quiet:
            rule = self.tracks.roster.rules[uid]
            track = self.tracks.of(rule, member, 0.0)
            if change := track.take(heard(track.state, rule, now)):
                findings.append((change, member))
            self._silence.arm(member.vm, rule)
        return findings


def _weigh(probe: Probe, member: Member, time: float, value: float, out: Outcome) -> None:
    rule = probe.rule
    if probe.track is None:
        out.values.setdefault(member.mcis, []).append(GroupValue(member.vm, rule.uid, rule.version, time, value))
    elif change := probe.track.judge(time, value):
        out.findings.append((change, member))
