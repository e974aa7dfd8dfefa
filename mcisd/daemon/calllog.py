"""The call history: one row per attempt of a call to a cloud, written in batches so that no call waits for it."""

from mcisd.aio.clock import Clock
from mcisd.aio.queue import BoundedQueue
from mcisd.daemon.telemetry import Labels
from mcisd.drivers.calls import CallRecord
from mcisd.model.ids import new_id
from mcisd.model.records import Call
from mcisd.store.base import MetadataStore

BATCH = 500
PAUSE = 0.25


class CallLog:
    """``record`` is what the gate calls. When the store is away the oldest rows make room, and are counted.

    ``requests`` counts what went over the wire: (provider, api) → number.
    """

    def __init__(self, store: MetadataStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._queue: BoundedQueue[CallRecord] = BoundedQueue(20_000)
        self.requests: dict[Labels, float] = {}

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    def record(self, row: CallRecord) -> None:
        if row.requests:
            key = (row.provider, row.api)
            self.requests[key] = self.requests.get(key, 0.0) + row.requests
        if not self._queue.closed:
            self._queue.push(row)

    async def run(self) -> None:
        """Write for ever, a few batches a second."""
        while True:
            await self._write(await self._queue.get_many(BATCH))
            await self._clock.sleep(PAUSE)

    async def drain(self) -> None:
        """Write what is left."""
        while len(self._queue):
            await self._write(await self._queue.get_many(BATCH))

    async def _write(self, rows: list[CallRecord]) -> None:
        await self._store.add_calls(
            [
                Call(
                    uid=new_id("ca"),
                    created_at=row.time,
                    connection=row.connection,
                    provider=row.provider,
                    region=row.region,
                    resource=row.resource,
                    api=row.api,
                    elapsed_ms=round(row.elapsed_ms, 3),
                    attempt=row.attempt,
                    error_code=row.error_code or "",
                    error=row.error_message or "",
                    requests=row.requests,
                )
                for row in rows
            ]
        )
