"""The second stage of rules about a whole MCIS: per-VM values come in, changes of the MCIS's alarms come out. Pure.

The values of all VMs of an MCIS come to one partition of topic ``groups``, so one judge sees them all, in one order.
"""

from collections.abc import Iterable, Mapping, Sequence

from mcisd.alarms.gather import Gather
from mcisd.alarms.lifecycle import Change
from mcisd.alarms.ports import Member
from mcisd.alarms.track import Track
from mcisd.alarms.tracks import Finding, Tracks
from mcisd.alarms.values import GroupValue
from mcisd.model.alarms import AlarmRule, AlarmState, RuleLevel

STALE_S = 30.0


class _Watch:
    """One rule on one MCIS: its track, its VMs' values, and the time of the newest value of each. ``begun`` is when it
    began to hear of its VMs: at the start, or after a time in which it heard of none."""

    __slots__ = ("begun", "gather", "times", "track", "version")

    def __init__(self, track: Track, version: int, reporting: frozenset[str]) -> None:
        self.track, self.version, self.begun = track, version, track.born
        self.gather = Gather(track.rule.aggregation, reporting)
        self.times: dict[str, float] = {}

    def fits(self, track: Track, rule: AlarmRule) -> bool:
        return self.track is track and self.version == rule.version


class GroupJudge:
    """``stale_s``: a VM silent for longer is left out of its MCIS's value."""

    def __init__(self, stale_s: float = STALE_S) -> None:
        self.stale_s = stale_s
        self.tracks = Tracks()
        self._watches: dict[tuple[str, str], _Watch] = {}

    def load(self, states: Iterable[AlarmState], rules: Mapping[str, AlarmRule], mono: float) -> None:
        """Take over what was stored; the next ``renew`` ends what lost its rule or subject meanwhile."""
        self.tracks.load(states, rules, mono)

    def renew(
        self, rules: Mapping[str, AlarmRule], members: Sequence[Member], now: float, mono: float
    ) -> list[Finding]:
        """The rules and all VMs of the MCISs of this partition there are now; alarms that lost theirs end."""
        findings = self.tracks.renew(rules, members, now, mono)
        roster = self.tracks.roster
        for key, watch in list(self._watches.items()):
            if key[0] not in rules or roster.of_subject(watch.track.rule, key[1]) is None:
                del self._watches[key]
                continue
            watch.gather.keep(roster.vms_in(key[1]), roster.reporting_in(key[1]))
            watch.times = {vm: time for vm, time in watch.times.items() if vm in roster.members}
        return findings

    def take(
        self, values: Iterable[GroupValue], now: float, mono: float, *, again: bool = False
    ) -> tuple[list[Finding], int]:
        """Judge values that arrived at ``now``; those that come ``again`` are only remembered.

        Returns with the findings how many values were of no rule or VM known here.
        """
        findings: list[Finding] = []
        unknown = 0
        for one in values:
            rule, member = self.tracks.roster.rules.get(one.rule), self.tracks.roster.members.get(one.vm)
            if rule is None or member is None or not _meant(rule, one):
                unknown += 1
                continue
            watch = self._watch(rule, member, mono)
            # What comes again came long ago: it must not count as fresh.
            arrival = mono - max(0.0, now - one.time) if again else mono
            if one.time <= watch.times.get(one.vm, 0.0) or arrival < mono - self.stale_s:
                continue
            watch.gather.expire(mono - self.stale_s)
            if not len(watch.gather) and watch.times:
                # Nothing was heard of the whole MCIS, as the bus or we were away: the first to be heard is not all.
                watch.begun = mono
                watch.gather.missing = set(self.tracks.roster.reporting_in(member.mcis))
            watch.times[one.vm] = one.time
            watch.gather.put(one.vm, one.value, arrival)
            if not again and (change := self._judge(watch, one.time, mono)) is not None:
                findings.append((change, member))
        return findings, unknown

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

    def _judge(self, watch: _Watch, time: float, mono: float) -> Change | None:
        gather, track = watch.gather, watch.track
        # At first it waits until every VM that reports was heard, for a while: half an MCIS is not one.
        if gather.missing and mono - watch.begun < self.stale_s:
            return None
        value = gather.value()
        # The VMs' clocks differ a little: time of the MCIS is the newest of them, so every arrival counts.
        return None if value is None else track.judge(max(time, track.seen), value)

    def _watch(self, rule: AlarmRule, member: Member, mono: float) -> _Watch:
        track = self.tracks.of(rule, member, mono)
        key = rule.uid, member.mcis
        watch = self._watches.get(key)
        if watch is None or not watch.fits(track, rule):
            reporting = self.tracks.roster.reporting_in(member.mcis)
            watch = self._watches[key] = _Watch(track, rule.version, reporting)
        return watch


def _meant(rule: AlarmRule, value: GroupValue) -> bool:
    """The value was read for the rule as it is now."""
    return rule.enabled and rule.version == value.version and rule.level is RuleLevel.MCIS
