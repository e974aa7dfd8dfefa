"""From the store's outbox to the bus: events are published in order, as CloudEvents in binary mode."""

import json
from datetime import UTC, datetime

from mcisd.aio.signal import Signal
from mcisd.bus.base import Bus
from mcisd.bus.topics import EVENTS
from mcisd.model.events import SPEC_VERSION, Event
from mcisd.store.base import MetadataStore

BATCH = 500


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
    """Follows the outbox. ``wake`` after a commit; it looks by itself once a second as well."""

    def __init__(self, store: MetadataStore, bus: Bus, installation: str) -> None:
        self._store = store
        self._bus = bus
        self._installation = installation
        self._signal = Signal()
        self._sent: int | None = None

    def wake(self) -> None:
        self._signal.set()

    async def run(self) -> None:
        """Relay for ever, from what is newest now: who was away reads the outbox itself, by sequence."""
        if self._sent is None:
            self._sent = await self._store.last_sequence()
        while True:
            events = await self._store.events_after(self._sent, BATCH)
            for event in events:
                await self._publish(event)
                self._sent = event.sequence
            if len(events) < BATCH:
                await self._signal.wait(1.0)

    async def _publish(self, event: Event) -> None:
        body = cloud_event(event, self._installation)
        data = body.pop("data")
        headers = {f"ce_{name}": str(value) for name, value in body.items()}
        await self._bus.publish(EVENTS.name, event.subject, json.dumps(data).encode(), headers)
