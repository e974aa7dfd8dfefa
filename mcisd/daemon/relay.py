"""From the store's outbox to the bus: events are published in order, as CloudEvents in binary mode."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from mcisd.aio.signal import Signal
from mcisd.bus.base import Bus
from mcisd.bus.topics import EVENTS
from mcisd.model.events import SPEC_VERSION, Event
from mcisd.model.records import Setting
from mcisd.store.base import MetadataStore

BATCH = 500
CURSOR = "cursor-relay"


def cloud_event(event: Event, installation: str) -> dict[str, object]:
    """The event in CloudEvents' JSON format."""
    return {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": f"/mcisd/{installation}",
        "type": event.type,
        "subject": event.subject,
        "time": datetime.fromtimestamp(event.time, UTC).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "sequence": event.sequence,
        "data": event.data,
    }


class Relay:
    """Follows the outbox. ``wake`` after a commit; it looks by itself once a second as well.

    Only one process relays at a time. Its place is stored, so the next one misses nothing; what was published after the
    place was stored last comes twice, with the same id and sequence.
    """

    def __init__(self, store: MetadataStore, bus: Bus, installation: str) -> None:
        self.relayed = 0
        self._store = store
        self._bus = bus
        self._installation = installation
        self._signal = Signal()

    def wake(self) -> None:
        self._signal.set()

    async def run(self) -> None:
        """Relay for ever, from the place where the one before ended; at the very first from what is newest."""
        sent = saved = await self._place()
        while True:
            events = await self._store.events_after(sent, BATCH)
            if events:
                await self._publish(events)
                sent = events[-1].sequence
            if len(events) < BATCH:
                if sent > saved:
                    await self._save(sent)
                    saved = sent
                await self._signal.wait(1.0)

    async def _publish(self, events: list[Event]) -> None:
        messages = []
        for event in events:
            body = cloud_event(event, self._installation)
            data = json.dumps(body.pop("data")).encode()
            messages.append((event.subject, data, {f"ce_{name}": str(value) for name, value in body.items()}))
        await self._bus.publish_all(EVENTS.name, messages)
        self.relayed += len(events)

    async def _place(self) -> int:
        async with self._store.reading() as tx:
            row = await tx.get(Setting, CURSOR)
        return int(row.value["sequence"]) if row is not None else await self._store.last_sequence()

    async def _save(self, sequence: int) -> None:
        async with self._store.transaction() as tx:
            row = await tx.get(Setting, CURSOR)
            value = {"sequence": str(sequence)}
            if row is None:
                await tx.insert(Setting(uid=CURSOR, value=value))
            else:
                await tx.update(replace(row, value=value))
