"""The event feed: what the bus brings, with what was missed read from the store's outbox, in order and each once."""

import json
from collections.abc import AsyncIterator
from datetime import datetime

from mcisd.aio.queue import BoundedQueue
from mcisd.bus.base import Bus, Delivery
from mcisd.bus.topics import EVENTS
from mcisd.model.events import Event
from mcisd.store.base import MetadataStore

BATCH = 500
WAITING = 1_000
"""Events a slow reader may be behind the bus before it is sent back to the outbox."""


class Feed:
    """Fans the topic ``events`` out to readers."""

    def __init__(self, store: MetadataStore, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._readers: set[BoundedQueue[Event]] = set()

    async def run(self) -> None:
        """Follow the bus for ever."""
        subscription = self._bus.follow(EVENTS.name, "feed")
        try:
            while True:
                for delivery in await subscription.fetch():
                    event = from_delivery(delivery)
                    for reader in self._readers:
                        reader.push(event)
        finally:
            await subscription.close()

    async def follow(self, after: int) -> AsyncIterator[Event]:
        """Every event after this sequence, for ever. A reader that falls behind has the gap read again."""
        queue: BoundedQueue[Event] = BoundedQueue(WAITING)
        self._readers.add(queue)
        last = after
        try:
            while True:
                async for event in self._missed(last):
                    last = event.sequence
                    yield event
                dropped = queue.dropped
                while queue.dropped == dropped:
                    event = await queue.get()
                    if event.sequence > last + 1:
                        break  # the bus is ahead of what we have seen: fill the gap first
                    if event.sequence == last + 1:
                        last = event.sequence
                        yield event
        finally:
            self._readers.discard(queue)

    async def _missed(self, after: int) -> AsyncIterator[Event]:
        while True:
            events = await self._store.events_after(after, BATCH)
            for event in events:
                after = event.sequence
                yield event
            if len(events) < BATCH:
                return


def from_delivery(delivery: Delivery) -> Event:
    """The event of a bus message (CloudEvents binary mode)."""
    head = delivery.headers
    time = datetime.fromisoformat(head["ce_time"]).timestamp()
    return Event(
        head["ce_id"], head["ce_type"], head["ce_subject"], time, json.loads(delivery.value), int(head["ce_sequence"])
    )
