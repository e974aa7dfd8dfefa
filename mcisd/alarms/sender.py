"""The sender: queued message rows come in, deliveries go out; one loop per channel, so a slow one hinders no other.

Of several processes one sends: whoever owns that work runs it, and cancels it when the work goes elsewhere. It keeps
nothing but what the rows say, so it may be cancelled at any point and go on in another process. Towards the receiver
it is at least once: a crash, or such a change, between a delivery and the note of it repeats the message, and the
episode in its text tells so. A message that is not delivered within the deadline becomes a dead letter.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace

from mcisd.aio.clock import Clock
from mcisd.aio.retry import Backoff, retry
from mcisd.alarms.bell import Bell
from mcisd.alarms.ports import Notifier, Store, Transaction
from mcisd.model.alarms import Channel, Message, MessageKind, MessageState
from mcisd.model.errors import DeliveryError
from mcisd.model.events import Event
from mcisd.model.ids import new_id

log = logging.getLogger(__name__)
MOST = 1000
MARK_DEADLINE_S = 3600.0
LOOK_S = 30.0
"""Seconds after which it looks by itself: messages are made by other processes, too, and a call can be lost."""


class Sender:
    """Run it under a supervisor. ``unseal`` gives a channel's URL; it is held only while a message is on its way."""

    def __init__(
        self,
        *,
        store: Store,
        notifier: Notifier,
        unseal: Callable[[Channel], str],
        clock: Clock,
        deadline_s: float = 3600.0,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._store, self._notifier, self._unseal, self._clock = store, notifier, unseal, clock
        self._deadline_s = deadline_s
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._bell = Bell(clock)

    def wake(self) -> None:
        """There are new messages."""
        self._bell.ring()

    async def run(self) -> None:
        """Send for ever; begins with what was left queued."""
        bells: dict[str, Bell] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                for name in await self._channels():
                    if not bells:
                        group.create_task(self._notifier.prepare(), name="alarm-notifier")
                    if name not in bells:
                        bells[name] = Bell(self._clock)
                        group.create_task(self._serve(name, bells[name]), name=f"alarm-channel-{name}")
                    bells[name].ring()
                await self._bell.wait(LOOK_S)

    async def test_channel(self, channel: Channel) -> None:
        """Send a test message now; DeliveryError if it does not arrive."""
        text = f"This is a test of the channel {channel.name}. No alarm fires."
        await self._notifier.send(self._unseal(channel), f"[TEST] channel {channel.name}", text, "test")

    async def deliver_due(self, name: str) -> float | None:
        """Send what is due on one channel, in order; seconds until the next is due, None if nothing is queued."""
        async with self._store.reading() as tx:
            messages = await tx.find(Message, state=MessageState.QUEUED, channel=name, limit=MOST)
            channel = await tx.first(Channel, name=name)
        messages.sort(key=_order)
        waiting: set[str] = set()  # episodes whose earlier message is still to come
        wait: float | None = None
        for message in messages:
            episode = message.uid.partition(":")[0]
            if episode in waiting:
                continue
            left = message.next_try_at - self._clock.now()
            if left <= 0 and not await self._still(message):
                continue
            if left <= 0:
                again = await self._deliver(message, channel)
                if again is None:
                    continue
                left = again
            waiting.add(episode)
            wait = left if wait is None else min(wait, left)
        return 0.0 if wait is None and len(messages) == MOST else wait

    async def _serve(self, name: str, bell: Bell) -> None:
        while True:
            await bell.wait(await self.deliver_due(name))

    async def _channels(self) -> list[str]:
        """Those there are, and those only the oldest messages name: such messages are to be given up."""
        async with self._store.reading() as tx:
            messages = await tx.find(Message, state=MessageState.QUEUED, limit=MOST)
            channels = await tx.find(Channel)
        return list(dict.fromkeys([*(message.channel for message in messages), *(one.name for one in channels)]))

    async def _still(self, message: Message) -> bool:
        """Nobody else has tried it meanwhile: for a moment two processes may take themselves for the sender."""
        async with self._store.reading() as tx:
            row = await tx.get(Message, message.uid)
        return row is not None and row.version == message.version

    async def _deliver(self, message: Message, channel: Channel | None) -> float | None:
        """Try once; None when it is done with (sent or dead), else the seconds until the next try."""
        try:
            if channel is None:
                raise DeliveryError(f"there is no channel {message.channel}", retriable=False)
            await self._notifier.send(self._unseal(channel), message.title, message.body, message.kind.value)
        except DeliveryError as error:
            return await self._failed(message, error)
        now = self._clock.now()
        done = replace(message, state=MessageState.SENT, attempts=message.attempts + 1, sent_at=now, error="")
        await self._mark(done)
        return None

    async def _failed(self, message: Message, error: DeliveryError) -> float | None:
        now = self._clock.now()
        wait = max(self._backoff.delay(message.attempts, self._rng), error.retry_after or 0.0)
        tried = replace(message, attempts=message.attempts + 1, error=error.message)
        if error.retriable and now + wait <= message.created_at + self._deadline_s:
            await self._mark(replace(tried, next_try_at=now + wait))
            return wait
        log.error("message %s was not delivered and is a dead letter: %s", message.uid, error.message)
        await self._mark(replace(tried, state=MessageState.DEAD))
        return None

    async def _mark(self, message: Message) -> None:
        """Note what became of a message. The store may be away: until it is back this channel sends nothing more."""

        async def once() -> None:
            async with self._store.transaction() as tx:
                await self._note(message, tx)

        await retry(once, clock=self._clock, deadline=MARK_DEADLINE_S, backoff=Backoff(0.1, 5.0), rng=self._rng)

    async def _note(self, message: Message, tx: Transaction) -> None:
        row = await tx.get(Message, message.uid)
        if row is None or row.attempts >= message.attempts:
            return
        await tx.update(replace(message, version=row.version))
        if message.state is MessageState.DEAD:
            await tx.emit(_dead(message, self._clock.now()))


def _order(message: Message) -> tuple[float, bool]:
    return message.created_at, message.kind is MessageKind.RESOLVED


def _dead(message: Message, now: float) -> Event:
    data: dict[str, object] = {
        "message": message.uid,
        "channel": message.channel,
        "ruleUid": message.rule,
        "kind": message.kind.value,
        "title": message.title,
        "attempts": message.attempts,
        "error": message.error,
    }
    return Event(new_id("ev"), "alarm.message-dead", f"channel/{message.channel}", now, data)
