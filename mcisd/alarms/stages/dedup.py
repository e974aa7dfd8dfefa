"""One message per episode, kind and channel: what was drafted twice or stored before is dropped."""

from collections.abc import Sequence

from mcisd.alarms.ports import Transaction
from mcisd.alarms.stages.base import Draft
from mcisd.model.alarms import Message

MOST = 1000


class Dedup:
    async def run(self, drafts: Sequence[Draft], tx: Transaction) -> list[Draft]:
        fresh = {draft.uid: draft for draft in reversed(drafts)}
        uids = list(reversed(fresh))
        for begin in range(0, len(uids), MOST):
            for message in await tx.find(Message, uid=uids[begin : begin + MOST]):
                fresh.pop(message.uid, None)
        return [fresh[uid] for uid in uids if uid in fresh]
