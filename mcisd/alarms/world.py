"""What is so at the moment, cut into partitions: rules and VMs from outside, stored states, and whose each of them is.

VM uids belong to the partitions of topic ``metrics``, MCIS uids to those of ``groups``; the state of an alarm belongs
where its rule is judged, and where that rule is gone, to the partition of its subject as a VM.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mcisd.alarms.ports import Directory, Member, Store
from mcisd.model.alarms import AlarmPhase, AlarmRule, AlarmState, RuleLevel

METRICS, GROUPS = "metrics", "groups"
LONGEST_BACK_S, BEFORE_S = 3600.0, 20.0
REMEMBERED, ASKED = 500_000, 1000
PartitionOf = Callable[[str, str], int]


@dataclass(frozen=True, slots=True)
class World:
    """Rules by uid, also the disabled ones, and all VMs."""

    rules: Mapping[str, AlarmRule] = field(default_factory=dict)
    members: Sequence[Member] = ()

    @property
    def look_back_s(self) -> float:
        """How many seconds of frames tell a judge that begins all that rules look back upon: windows, the sample before
        of a counter, and the time of each VM's newest sample."""
        rules = [rule for rule in self.rules.values() if rule.enabled and rule.no_data_s <= 0]
        return min(max((rule.window_s + BEFORE_S for rule in rules), default=0.0), LONGEST_BACK_S)


class Atlas:
    """Remembers which key is in which partition, as that may take a hash to tell."""

    def __init__(self, partition_of: PartitionOf) -> None:
        self._partition_of = partition_of
        self._known: dict[tuple[str, str], int] = {}

    def place(self, topic: str, key: str) -> int:
        found = self._known.get((topic, key))
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[topic, key] = self._partition_of(topic, key)
        return found

    def members(self, topic: str, members: Iterable[Member]) -> dict[int, list[Member]]:
        """The VMs by partition: on ``metrics`` each by itself, on ``groups`` all of an MCIS together."""
        parts: dict[int, list[Member]] = {}
        for member in members:
            parts.setdefault(self.place(topic, member.vm if topic == METRICS else member.mcis), []).append(member)
        return parts

    def states(
        self, topic: str, states: Iterable[AlarmState], rules: Mapping[str, AlarmRule]
    ) -> dict[int, list[AlarmState]]:
        """Those stored states that are judged in this topic, by partition."""
        parts: dict[int, list[AlarmState]] = {}
        for state in states:
            rule = rules.get(state.rule)
            judged_in = GROUPS if rule is not None and rule.level is RuleLevel.MCIS else METRICS
            if judged_in == topic:
                parts.setdefault(self.place(topic, state.subject), []).append(state)
        return parts


async def read_world(store: Store, directory: Directory) -> World:
    async with store.reading() as tx:
        rules = await tx.find(AlarmRule)
    return World({rule.uid: rule for rule in rules}, await directory.members())


async def read_states(store: Store) -> list[AlarmState]:
    async with store.reading() as tx:
        return await tx.find(AlarmState)


async def read_active(store: Store, also: Sequence[str]) -> list[AlarmState]:
    """The states of all alarms that are pending or firing, and of those named."""
    async with store.reading() as tx:
        rows = {row.uid: row for row in await tx.find(AlarmState, phase=[AlarmPhase.PENDING, AlarmPhase.FIRING])}
        wanted = [uid for uid in also if uid not in rows]
        for begin in range(0, len(wanted), ASKED):
            rows |= {row.uid: row for row in await tx.find(AlarmState, uid=wanted[begin : begin + ASKED])}
    return list(rows.values())
