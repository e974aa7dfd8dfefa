"""The tracks of one partition: stored states, rules and VMs come in, alarms that lost theirs come out. Pure."""

from collections.abc import Iterable, Mapping

from mcisd.alarms.lifecycle import Change, end, fired_under
from mcisd.alarms.ports import Member
from mcisd.alarms.roster import Roster, placeholder, with_version
from mcisd.alarms.text import subject_name
from mcisd.alarms.track import Track
from mcisd.model.alarms import AlarmPhase, AlarmRule, AlarmState, RuleLevel

Finding = tuple[Change, Member | None]


class Tracks:
    """``roster`` has the members of this partition, and all rules."""

    def __init__(self) -> None:
        self.roster = Roster()
        self._tracks: dict[tuple[str, str], Track] = {}

    def load(self, states: Iterable[AlarmState], rules: Mapping[str, AlarmRule], mono: float) -> None:
        """Take over what was stored; the next ``renew`` ends what lost its rule or subject meanwhile."""
        for state in states:
            self._tracks[state.rule, state.subject] = Track(_rule_of(state, rules), state, mono, stored=True)

    def renew(
        self, rules: Mapping[str, AlarmRule], members: Iterable[Member], now: float, mono: float
    ) -> list[Finding]:
        """The rules and VMs there are now; alarms that lost theirs end."""
        before, self.roster = self.roster, Roster(rules, members)
        return [found for key in list(self._tracks) if (found := self._settle(key, before, now, mono))]

    def of(self, rule: AlarmRule, member: Member, mono: float) -> Track:
        """The track of a rule on this VM or, by the rule's level, on its MCIS; a fresh one where there is none."""
        subject = member.vm if rule.level is RuleLevel.VM else member.mcis
        track = self._tracks.get((rule.uid, subject))
        if track is None:
            name = subject_name(rule, member)
            uid = f"{rule.uid}:{subject}"
            state = AlarmState(uid=uid, rule=rule.uid, subject=subject, ns=rule.ns, mcis=rule.mcis, subject_name=name)
            track = self._tracks[rule.uid, subject] = Track(rule, state, mono)
        return track

    def all(self) -> Iterable[Track]:
        return self._tracks.values()

    def states(self) -> dict[str, AlarmState]:
        """What is taken for the state of each alarm, by uid."""
        return {track.state.uid: track.state for track in self._tracks.values()}

    def adopt(
        self, rows: Iterable[AlarmState], before: Mapping[str, AlarmState], busy: frozenset[str], mono: float
    ) -> bool:
        """Believe the store where it differs: another process wrote. True if anything did.

        ``before`` is what ``states`` gave before the rows were read. What changed since, or is ``busy`` (about to be
        written), is left as it is. A ``renew`` must follow.
        """
        adopted = False
        for row in rows:
            track = self._tracks.get((row.rule, row.subject))
            if row.uid in busy or (track is not None and track.state is not before.get(row.uid)):
                continue
            if track is None:
                adopted |= row.phase is not AlarmPhase.OK
                self.load([row] if row.phase is not AlarmPhase.OK else [], self.roster.rules, mono)
            elif (track.state.phase, track.state.episode) != (row.phase, row.episode):
                track.restart(_rule_of(row, self.roster.rules), row, mono)
                track.stored = adopted = True
        return adopted

    def _settle(self, key: tuple[str, str], before: Roster, now: float, mono: float) -> Finding | None:
        """End or restart a track that the new roster does not carry on as it was."""
        track, subject = self._tracks[key], key[1]
        member = self.roster.of_subject(track.rule, subject)
        rule, reason, last = self.roster.verdict(track.rule, member)
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


def _rule_of(state: AlarmState, rules: Mapping[str, AlarmRule]) -> AlarmRule:
    """The rule of a stored state, as it was when the state was stored, as far as that shows."""
    rule = rules.get(state.rule) or placeholder(state)
    if state.phase is AlarmPhase.FIRING:
        return with_version(rule, fired_under(state))
    if state.phase is AlarmPhase.PENDING and not rule.enabled:
        return with_version(rule, -1)
    return rule
