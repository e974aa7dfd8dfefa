"""Alarms counted: what the journal implies against the rows of messages and what the receiver got.

In: the metadata store, the truth, the journal, the receiver. Out: an account of firing and resolved messages.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from mcisd.model.alarms import AlarmPhase, AlarmState, Message, MessageKind, MessageState
from mcisd.store.base import MetadataStore
from tests.scenarios.faults.expected import episodes
from tests.scenarios.faults.hook import Hook
from tests.scenarios.faults.truth import PER_MCIS, PER_VM, SILENT, Truth

MOST_WORDS = 12


@dataclass(slots=True)
class AlarmAccount:
    """``expected`` episodes; rows of firing and resolved messages; what arrived more than once or not at all."""

    expected: int = 0
    firing: int = 0
    resolved: int = 0
    delivered: int = 0
    repeated: int = 0  # the same message at the receiver again: at least once is what is promised there
    undelivered: int = 0
    words: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """One firing and one resolved for each episode, of the right subject, and all of them delivered."""
        return not self.words and not self.undelivered and self.firing == self.resolved == self.expected


async def account(
    store: MetadataStore, truth: Truth, journal: NDArray[np.void], hook: Hook, silent: int, until: float
) -> AlarmAccount:
    """Count by subject; ``silent`` is how often every VM was silent for too long, up to ``until`` (seconds since the
    epoch), when measuring ended. Episodes that still stand are wrong: a story ends with all conditions over."""
    async with store.reading() as tx:
        messages = await tx.find(Message)
        states = await tx.find(AlarmState)
    found = AlarmAccount()
    wanted = episodes(journal)
    _count(found, truth.rules[PER_VM], messages, sum(times for times, _ in wanted.values()))
    _count(found, truth.rules[PER_MCIS], messages, max((times for times, _ in wanted.values()), default=0))
    _subjects(found, truth, messages, wanted)
    if SILENT in truth.rules:
        own = [one for one in messages if one.rule != truth.rules[SILENT] or one.created_at <= until]
        _count(found, truth.rules[SILENT], own, silent * len(truth.vms))
    silence = truth.rules.get(SILENT)
    firing = [state.uid for state in states if state.phase is not AlarmPhase.OK and state.rule != silence]
    found.words += [f"still {len(firing)} alarms not OK: {firing[:3]}"] if firing else []
    for message in messages:
        times = hook.messages[message.uid.partition(":")[0], message.kind.value]
        found.delivered += times > 0
        found.repeated += max(0, times - 1)
        found.undelivered += times == 0 or message.state is not MessageState.SENT
    return found


def _count(found: AlarmAccount, rule: str, messages: list[Message], expected: int) -> None:
    kinds = Counter(one.kind for one in messages if one.rule == rule)
    found.expected += expected
    found.firing += kinds[MessageKind.FIRING]
    found.resolved += kinds[MessageKind.RESOLVED]
    if (kinds[MessageKind.FIRING], kinds[MessageKind.RESOLVED]) != (expected, expected):
        own = sorted((one for one in messages if one.rule == rule), key=lambda one: one.created_at)
        told = [f"{datetime.fromtimestamp(one.created_at, UTC):%H:%M:%S} {one.title}" for one in own[:MOST_WORDS]]
        found.words.append(f"{expected} episodes, but messages {told}")


def _subjects(found: AlarmAccount, truth: Truth, messages: list[Message], wanted: dict[int, tuple[int, int]]) -> None:
    """Each VM has as many messages of each kind as its condition began and ended."""
    names = Counter((_subject(one), one.kind) for one in messages if one.rule == truth.rules[PER_VM])
    for one in truth.vms:
        began, ended = wanted.get(one.number, (0, 0))
        seen = names[f"n{one.number}", MessageKind.FIRING], names[f"n{one.number}", MessageKind.RESOLVED]
        if seen != (began, ended):
            found.words.append(f"VM {one.number}: began and ended {began, ended}, firing and resolved {seen}")


def _subject(message: Message) -> str:
    """``[WARNING] herd/n12: …`` → ``n12``."""
    return message.title.partition("] ")[2].partition(":")[0].rpartition("/")[2]
