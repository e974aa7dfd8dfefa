"""Old messages go: rows that were sent or given up and are older than a time; a function for housekeeping."""

from mcisd.alarms.ports import Store
from mcisd.model.alarms import AlarmPhase, AlarmState, Message, MessageState

MOST, CHANNELS = 500, 8


async def prune_messages(store: Store, before: float) -> int:
    """Drop messages that are done with and were made before this time (seconds since the epoch); returns how many.

    Those of an episode that still fires stay: they tell who must hear that it is over. Works in small transactions.
    """
    dropped = 0
    while True:
        async with store.transaction() as tx:
            firing = {state.episode for state in await tx.find(AlarmState, phase=AlarmPhase.FIRING)}
            most = MOST + CHANNELS * len(firing)
            done = await tx.find(Message, state=[MessageState.SENT, MessageState.DEAD], limit=most)
            old = [one for one in done if one.created_at < before and one.uid.partition(":")[0] not in firing]
            for message in old[:MOST]:
                await tx.delete(message)
        dropped += len(old[:MOST])
        if len(old) < MOST:
            return dropped
