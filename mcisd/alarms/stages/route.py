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
        fired = await self._fired(drafts, tx)
        routed: list[Draft] = []
        for draft in drafts:
            rule = draft.change.rule
            if draft.kind is MessageKind.FIRING:
                new = [replace(draft, channel=name) for name in rule.channels or self._default]
                for one in new:
                    fired.setdefault(one.episode, []).append(one.channel)
            else:
                # Whoever heard that it fired hears that it is over, also when the rule names other channels by now.
                new = [replace(draft, channel=name) for name in dict.fromkeys(fired.get(draft.episode, ()))]
            routed += new
        return routed

    async def _fired(self, drafts: Sequence[Draft], tx: Transaction) -> dict[str, list[str]]:
        """Who was told that these episodes fire: episode → channels."""
        ends = [draft for draft in drafts if draft.kind is MessageKind.RESOLVED]
        if not ends:
            return {}
        known = [channel.name for channel in await tx.find(Channel)]
        fired: dict[str, list[str]] = {}
        named = {name for draft in ends for name in (*draft.change.rule.channels, *self._default, *known)}
        # One question for each channel, so that its size is bounded by the number of drafts.
        for name in sorted(named):
            uids = [f"{draft.episode}:{MessageKind.FIRING.value}:{name}" for draft in ends]
            for message in await tx.find(Message, uid=uids):
                fired.setdefault(message.uid.partition(":")[0], []).append(name)
        return fired
