"""Batches of line protocol in, stored points out; points that InfluxDB will never take are counted, not tried again.

A refused batch is halved until the lines at fault are found, within a bound of requests; the others are stored.
Writing a line twice changes nothing, so halves may be sent although a part of the whole was stored. Nothing is
compressed: it would cost more of our time than making the text does.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterator

from mcisd.store.series.influx.http import LINES, InfluxHttp, RefusedError
from mcisd.store.series.influx.lines import Batch

log = logging.getLogger(__name__)
MOST_HALVINGS = 200
"""Requests that one write call may spend on finding lines at fault."""
_DROPPED = re.compile(r"\bdropped=(\d+)")
_REASONS = (
    (re.compile(r"retention policy", re.IGNORECASE), "older than the bucket keeps"),
    (re.compile(r"field type conflict", re.IGNORECASE), "field of another type"),
    (re.compile(r"unable to parse", re.IGNORECASE), "not understood"),
    (re.compile(r"too large|exceed", re.IGNORECASE), "too large"),
)


class Rejections:
    """How many cells will never be stored, by reason. Each reason is logged once."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()

    def add(self, cells: int, words: str, reason: str = "") -> None:
        reason = reason or next((name for pattern, name in _REASONS if pattern.search(words)), "refused")
        if reason not in self.reasons:
            log.warning("InfluxDB refuses points (%s; said once, counted from now on): %s", reason, words)
        self.reasons[reason] += cells


class Writer:
    """Sends to one bucket, several batches at once."""

    def __init__(self, http: InfluxHttp, rejections: Rejections) -> None:
        self._http = http
        self._rejections = rejections

    async def send(self, batches: Iterator[Batch]) -> int:
        """The number of cells stored. StoreError when a batch could not be sent: some may be stored then."""
        options = self._http.options
        sending = _Sending(self._http, self._rejections)

        async def sender() -> None:
            for batch in batches:  # shared: each sender takes the next one that nobody has
                await sending.send(batch, options.bucket)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(options.in_flight):
                    group.create_task(sender())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return sending.stored


class _Sending:
    """One write call."""

    def __init__(self, http: InfluxHttp, rejections: Rejections) -> None:
        self._http = http
        self._rejections = rejections
        self._halvings = MOST_HALVINGS
        self.stored = 0

    async def send(self, batch: Batch, bucket: str) -> None:
        options = self._http.options
        query = {"org": options.org, "bucket": bucket, "precision": "ms"}
        try:
            await self._http.call(
                "POST", "/api/v2/write", query, batch.body, kind=LINES, timeout=options.write_timeout_s
            )
            self.stored += batch.cells
        except RefusedError as refused:
            await self._refused(batch, bucket, refused)

    async def _refused(self, batch: Batch, bucket: str, refused: RefusedError) -> None:
        said = _DROPPED.search(refused.message)
        dropped = min(int(said[1]), batch.lines) if said else batch.lines
        if batch.lines == 1 or (said and dropped == batch.lines):
            self._rejections.add(batch.cells, refused.message)
        elif self._halvings <= 0:
            # Which lines it was stays unknown; their share of the cells is a guess.
            cells = batch.cells * dropped // batch.lines
            self._rejections.add(cells, refused.message)
            self.stored += batch.cells - cells
        else:
            self._halvings -= 2
            for half in _halves(batch):
                await self.send(half, bucket)


def _halves(batch: Batch) -> list[Batch]:
    lines = batch.body.splitlines(keepends=True)
    middle = len(lines) // 2
    return [
        Batch(b"".join(part), len(part), sum(line.count(b":sum=") for line in part))
        for part in (lines[:middle], lines[middle:])
    ]
