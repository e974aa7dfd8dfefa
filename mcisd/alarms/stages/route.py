"""Which channels: the rule's own or the default ones; a resolved message follows its firing message."""

from collections.abc import Sequence
from dataclasses import replace

from mcisd.alarms.ports import Transaction
from mcisd.alarms.stages.base import Draft
from mcisd.model.alarms import Channel, Message, MessageKind


class Route:
    def __init__(self, default_channels: tuple[str, ...] = ()) -> None:
        self._default = default_channels

    async def run(self, drafts: Sequence[Draft], tx: Transaction) -> list[Draft]:
        routed: list[Draft] = []
        for draft in drafts:
            routed += [replace(draft, channel=channel) for channel in await self._channels(draft, tx)]
        return routed

    async def _channels(self, draft: Draft, tx: Transaction) -> list[str]:
        if draft.kind is MessageKind.FIRING:
            return list(draft.change.rule.channels or self._default)
        # Whoever heard that it fired hears that it is over, also when the rule names other channels by now.
        known = [channel.name for channel in await tx.find(Channel)]
        names = dict.fromkeys([*draft.change.rule.channels, *self._default, *known])
        fired = f"{draft.change.state.episode}:{MessageKind.FIRING.value}:"
        return [name for name in names if await tx.get(Message, fired + name) is not None]
