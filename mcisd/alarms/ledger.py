"""The ledger: each change comes in and is written in one transaction: state, messages and event, or none of them.

Changes wait in a bounded queue, in order. While the store is away the first is tried again and the judge goes on until
the queue is full; then whoever puts waits. A change that turns out to be written already (the answer of a commit was
lost) is not written twice.
"""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from mcisd.aio.clock import Clock
from mcisd.aio.queue import BoundedQueue
from mcisd.aio.retry import Backoff
from mcisd.alarms.judge import Finding
from mcisd.alarms.lifecycle import Change, ChangeKind
from mcisd.alarms.ports import Store, Transaction
from mcisd.alarms.stages import Draft, Stage
from mcisd.alarms.text import body, event, title
from mcisd.model.alarms import AlarmState
from mcisd.model.errors import McisdError

log = logging.getLogger(__name__)


class Ledger:
    """``on_message`` is called when message rows were written."""

    def __init__(
        self, store: Store, stages: Sequence[Stage], clock: Clock, on_message: Callable[[], None], size: int = 1000
    ) -> None:
        self._store = store
        self._stages = stages
        self._clock = clock
        self._on_message = on_message
        self._queue: BoundedQueue[Finding] = BoundedQueue(size)
        self._writing = False
        self._backoff = Backoff(0.1, 5.0)
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret

    @property
    def idle(self) -> bool:
        """Everything that was put is in the store."""
        return not self._writing and not len(self._queue)

    async def put(self, findings: Sequence[Finding]) -> None:
        """Have them written, in order; waits while the queue is full."""
        for finding in findings:
            await self._queue.put(finding)

    async def run(self) -> None:
        """Write what is put, for ever. An error that no waiting mends is raised: the owner starts afresh."""
        while True:
            finding = await self._queue.get()
            self._writing = True
            await self._persist(finding)
            self._writing = False

    async def _persist(self, finding: Finding) -> None:
        attempt = 0
        while True:
            try:
                told = await self.write(finding)
            except McisdError as error:
                if not error.retriable:
                    raise
                if attempt == 0:
                    log.warning("an alarm change cannot be stored yet, trying again: %s", error.message)
                await self._clock.sleep(self._backoff.delay(attempt, self._rng))
                attempt += 1
                continue
            if told:
                self._on_message()
            return

    async def write(self, finding: Finding) -> bool:
        """One change in one transaction; True if it made messages."""
        change, member = finding
        async with self._store.transaction() as tx:
            row = await tx.get(AlarmState, change.state.uid)
            if _written(row, change):
                return False
            drafts = await self._messages(finding, tx)
            await _store(row, change, tx)
            if change.kind is not ChangeKind.FORGOTTEN:
                await tx.emit(event(change, member))
        return bool(drafts)

    async def _messages(self, finding: Finding, tx: Transaction) -> list[Draft]:
        change, member = finding
        kind = change.kind.message
        if kind is None:
            return []
        subject = change.state.subject_name
        drafts = [Draft(change, kind, title(change, subject), body(change, subject, member))]
        for stage in self._stages:
            drafts = await stage.run(drafts, tx)
        return drafts


async def _store(row: AlarmState | None, change: Change, tx: Transaction) -> None:
    if row is None:
        await tx.insert(replace(change.state, version=0, created_at=0.0))
    elif change.last:
        await tx.delete(row)
    else:
        await tx.update(replace(change.state, version=row.version, created_at=row.created_at))


def _written(row: AlarmState | None, change: Change) -> bool:
    """The store holds this change already. We are the only writer of states and write in order."""
    if row is None:
        return change.last
    new = change.state
    return not change.last and (row.phase, row.since, row.episode) == (new.phase, new.since, new.episode)
