"""Who is there and which rules concern them: an index over one snapshot of rules and VMs. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from mcisd.alarms.ports import Member
from mcisd.alarms.rule import concerns
from mcisd.model.alarms import AlarmRule, AlarmState, RuleLevel

NO_RULES: Mapping[str, AlarmRule] = MappingProxyType({})


class Roster:
    """``rules`` by uid, also the disabled; ``members`` by VM uid; ``reporting``: VMs that should send samples."""

    def __init__(self, rules: Mapping[str, AlarmRule] = NO_RULES, members: Iterable[Member] = ()) -> None:
        self.rules = rules
        self.members = {member.vm: member for member in members}
        self.reporting = {member.vm for member in self.members.values() if member.reports}
        self._by_mcis: dict[tuple[str, str], list[AlarmRule]] = defaultdict(list)
        for rule in self.rules.values():
            if rule.enabled:
                self._by_mcis[rule.ns, rule.mcis].append(rule)
        self._groups: dict[str, list[Member]] = defaultdict(list)
        for member in self.members.values():
            self._groups[member.mcis].append(member)
        self._peers = {
            mcis: frozenset(member.vm for member in group if member.reports) for mcis, group in self._groups.items()
        }

    def rules_of(self, member: Member) -> list[AlarmRule]:
        """Enabled rules about this VM or its MCIS."""
        # An MCIS may be named by its name or by its uid.
        keys = dict.fromkeys([(member.ns, member.mcis), (member.ns, member.mcis_name)])
        return [rule for key in keys for rule in self._by_mcis.get(key, ()) if concerns(rule, member)]

    def reporting_in(self, mcis: str) -> frozenset[str]:
        """VMs of the MCIS with this uid that should send samples."""
        return self._peers.get(mcis, frozenset())

    def vms_in(self, mcis: str) -> frozenset[str]:
        """All VMs of the MCIS with this uid."""
        return frozenset(member.vm for member in self._groups.get(mcis, ()))

    def of_subject(self, rule: AlarmRule, subject: str) -> Member | None:
        """The VM of a subject, or for an MCIS any one of its VMs; None if there is none left."""
        if rule.level is RuleLevel.VM:
            return self.members.get(subject)
        return next(iter(self._groups.get(subject, ())), None)

    def no_data_pairs(self) -> Iterator[tuple[AlarmRule, Member]]:
        for member in self.members.values():
            for rule in self.rules_of(member):
                if rule.no_data_s > 0:
                    yield rule, member

    def verdict(self, rule: AlarmRule, member: Member | None) -> tuple[AlarmRule, str, bool]:
        """What becomes of a track under ``rule``: the rule as it is now, why the track must end (empty: it goes on),
        and whether for good."""
        current = self.rules.get(rule.uid)
        if current is None:
            return rule, "rule removed", True
        if member is None:
            return current, "vm removed" if rule.level is RuleLevel.VM else "infra removed", True
        if current.level is not rule.level or not concerns(current, member):
            return current, "rule changed", True
        if current.version != rule.version or current.enabled != rule.enabled:
            return current, "rule changed", False
        return current, "", False


def placeholder(state: AlarmState) -> AlarmRule:
    """Stands for the rule of a stored state if that rule is no longer there."""
    return AlarmRule(uid=state.rule, ns=state.ns, mcis=state.mcis, name=state.rule)


def with_version(rule: AlarmRule, version: int) -> AlarmRule:
    """``rule`` marked as an older version of itself, so that the difference shows."""
    return replace(rule, version=version)
