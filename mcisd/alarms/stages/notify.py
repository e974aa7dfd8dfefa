"""The end of the pipeline: each draft becomes a message row, the outbox of the sender."""

from collections.abc import Sequence

from mcisd.alarms.ports import Transaction
from mcisd.alarms.stages.base import Draft
from mcisd.model.alarms import Message


class Notify:
    async def run(self, drafts: Sequence[Draft], tx: Transaction) -> list[Draft]:
        for draft in drafts:
            await tx.insert(
                Message(
                    uid=draft.uid,
                    channel=draft.channel,
                    rule=draft.change.rule.uid,
                    kind=draft.kind,
                    title=draft.title,
                    body=draft.body,
                )
            )
        return list(drafts)
