"""What flows through the stages: one draft per message to be, first without a channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mcisd.alarms.lifecycle import Change
from mcisd.alarms.ports import Transaction
from mcisd.model.alarms import MessageKind


@dataclass(frozen=True, slots=True)
class Draft:
    change: Change
    kind: MessageKind
    title: str
    body: str
    channel: str = ""

    @property
    def episode(self) -> str:
        return self.change.state.episode

    @property
    def uid(self) -> str:
        """The message's identity: made once per episode, kind and channel."""
        return f"{self.episode}:{self.kind.value}:{self.channel}"


class Stage(Protocol):
    async def run(self, drafts: Sequence[Draft], tx: Transaction) -> list[Draft]:
        """Drop, multiply or change drafts, inside the transaction that stores their transitions. Order is kept."""
