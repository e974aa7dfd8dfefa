"""One message per episode, kind and channel: what was drafted twice or stored before is dropped."""

from collections.abc import Sequence

from mcisd.alarms.ports import Transaction
from mcisd.alarms.stages.base import Draft
from mcisd.model.alarms import Message


class Dedup:
    async def run(self, drafts: Sequence[Draft], tx: Transaction) -> list[Draft]:
        fresh: dict[str, Draft] = {}
        for draft in drafts:
            if draft.uid not in fresh and await tx.get(Message, draft.uid) is None:
                fresh[draft.uid] = draft
        return list(fresh.values())
