"""The end of the pipeline: each draft becomes a message row, the outbox of the sender."""

from collections.abc import Callable, Sequence

from mcisd.alarms.ports import Transaction
from mcisd.alarms.stages.base import Draft
from mcisd.model.alarms import Message

STEP_S = 1e-6


class Notify:
    """``now`` gives the time in seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    async def run(self, drafts: Sequence[Draft], tx: Transaction) -> list[Draft]:
        now = self._now()
        # Messages of one transaction keep their order by a microsecond each: they are sent in the order of their times.
        rows = [
            Message(
                uid=draft.uid,
                created_at=now + i * STEP_S,
                channel=draft.channel,
                rule=draft.change.rule.uid,
                kind=draft.kind,
                title=draft.title,
                body=draft.body,
            )
            for i, draft in enumerate(drafts)
        ]
        await tx.insert_all(rows)
        return list(drafts)
