"""The ledger: changes come in and are written, many in one transaction: states, messages and events, or none of them.

Changes wait in a bounded queue, in order. While the store is away the first are tried again and the judges go on until
the queue is full; then whoever puts waits. The guard decides what a change still means for the row that is stored.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from mcisd.aio.clock import Clock
from mcisd.aio.queue import BoundedQueue
from mcisd.aio.retry import Backoff
from mcisd.alarms.guard import Refusal, admit
from mcisd.alarms.lifecycle import ChangeKind
from mcisd.alarms.ports import Store, Transaction
from mcisd.alarms.stages import Draft, Stage
from mcisd.alarms.text import body, event, title
from mcisd.alarms.tracks import Finding
from mcisd.model.alarms import AlarmState
from mcisd.model.errors import McisdError

log = logging.getLogger(__name__)
BATCH = 200


class Ledger:
    """``on_message`` is called when message rows were written, ``on_stale`` with how many changes came too late."""

    def __init__(
        self,
        store: Store,
        stages: Sequence[Stage],
        clock: Clock,
        on_message: Callable[[], None],
        on_stale: Callable[[int], None] = lambda count: None,
        size: int = 1000,
    ) -> None:
        self.put_in = 0
        self.written = 0
        self._store = store
        self._stages = stages
        self._clock = clock
        self._on_message = on_message
        self._on_stale = on_stale
        self._queue: BoundedQueue[Finding] = BoundedQueue(size)
        self._batch: list[Finding] = []
        self._waiting: deque[str] = deque()
        self._turn = asyncio.Lock()
        self._backoff = Backoff(0.1, 5.0)
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret

    @property
    def idle(self) -> bool:
        """Everything that was put is in the store."""
        return self.written == self.put_in

    @property
    def busy(self) -> frozenset[str]:
        """The uids of the states that are yet to be written."""
        return frozenset(self._waiting)

    async def put(self, findings: Sequence[Finding]) -> int:
        """Have them written, in order; waits while the queue is full. They are when ``written`` reaches the answer."""
        self._waiting.extend(change.state.uid for change, _ in findings)
        for finding in findings:
            await self._queue.put(finding)
            self.put_in += 1
        return self.put_in

    async def run(self) -> None:
        """Write what is put, for ever. An error that no waiting mends is raised: the owner starts afresh."""
        while True:
            async with self._turn:
                await self._write_some()

    async def flush(self) -> None:
        """Until all that was put by now is written, also if nobody runs the ledger any more."""
        end = self.put_in
        while self.written < end:
            async with self._turn:
                if self.written < end:
                    await self._write_some()

    async def _write_some(self) -> None:
        # What was taken stays until it is written: whoever writes may be stopped in between.
        if not self._batch:
            self._batch = await self._queue.get_many(BATCH)
        await self._persist(self._batch)
        self.written += len(self._batch)
        for _ in self._batch:
            self._waiting.popleft()
        self._batch = []

    async def _persist(self, findings: Sequence[Finding]) -> None:
        attempt = 0
        while True:
            try:
                await self.write(findings)
            except McisdError as error:
                if not error.retriable:
                    raise
                if attempt == 0:
                    log.warning("alarm changes cannot be stored yet, trying again: %s", error.message)
                await self._clock.sleep(self._backoff.delay(attempt, self._rng))
                attempt += 1
                continue
            return

    async def write(self, findings: Sequence[Finding]) -> None:
        """These changes in one transaction."""
        async with self._store.transaction() as tx:
            uids = list(dict.fromkeys(change.state.uid for change, _ in findings))
            before = {row.uid: row for row in await tx.find(AlarmState, uid=uids)}
            after, admitted, stale = _apply(before, findings)
            await _store(before, after, tx)
            drafts = [draft for finding in admitted if (draft := _draft(finding)) is not None]
            for stage in self._stages if drafts else ():
                drafts = await stage.run(drafts, tx)
            told = [event(*finding) for finding in admitted if finding[0].kind is not ChangeKind.FORGOTTEN]
            await tx.emit_all(told)
        if stale:
            self._on_stale(stale)
        if drafts:
            self._on_message()


Rows = dict[str, AlarmState]


def _apply(before: Rows, findings: Sequence[Finding]) -> tuple[Rows, list[Finding], int]:
    """The rows as they are after the changes, the changes as they apply, and how many came too late."""
    rows, admitted, stale = dict(before), [], 0
    for change, member in findings:
        found = admit(rows.get(change.state.uid), change)
        if isinstance(found, Refusal):
            stale += found is Refusal.STALE
            continue
        admitted.append((found, member))
        if found.last:
            rows.pop(change.state.uid, None)
        else:
            rows[change.state.uid] = found.state
    return rows, admitted, stale


async def _store(before: Rows, after: Rows, tx: Transaction) -> None:
    new = [replace(row, version=0, created_at=0.0) for uid, row in after.items() if uid not in before]
    moved = [
        replace(row, version=before[uid].version, created_at=before[uid].created_at)
        for uid, row in after.items()
        if uid in before and row is not before[uid]
    ]
    await tx.insert_all(new)
    await tx.update_all(moved)
    for uid in before.keys() - after.keys():
        await tx.delete(before[uid])


def _draft(finding: Finding) -> Draft | None:
    change, member = finding
    kind = change.kind.message
    if kind is None:
        return None
    subject = change.state.subject_name
    return Draft(change, kind, title(change, subject), body(change, subject, member))
