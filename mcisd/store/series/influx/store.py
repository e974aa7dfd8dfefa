"""Time series in InfluxDB 2.7: blocks of windows in, series of steps out.

A window of one VM and one measurement is one point, as Telegraf would write it: its fields hold the window's last
values, and beside each there are its sum, minimum, maximum and count (``used``, ``used:sum``, ``used:min``, …). All
numbers are floats. Its time is the window's start, so writing a window again replaces it.
"""

import asyncio
from collections.abc import Mapping

from mcisd.aio.clock import Clock
from mcisd.model.errors import StoreError
from mcisd.model.identity import NOBODY, Identity
from mcisd.store.series.base import SeriesQuery, SeriesResult, WindowBlock
from mcisd.store.series.influx import flux
from mcisd.store.series.influx.admin import Admin
from mcisd.store.series.influx.answer import Answer
from mcisd.store.series.influx.http import InfluxHttp
from mcisd.store.series.influx.kinds import Kinds
from mcisd.store.series.influx.lines import LineWriter, wanted
from mcisd.store.series.influx.names import encode
from mcisd.store.series.influx.options import InfluxOptions
from mcisd.store.series.influx.spans import spans
from mcisd.store.series.influx.write import Rejections, Writer
from mcisd.store.series.rows import check as check_block

NOT_FINITE = "not a finite number"
LARGE = 1 << 18
"""Characters of an answer beyond which it is read in a thread, so that the loop goes on meanwhile."""
AHEAD_MS = 3_600_000
"""How far ahead of our clock a newest window may be."""


class InfluxSeriesStore:
    """Implements SeriesStore. ``open`` makes one that is ready; the constructor alone does not call InfluxDB."""

    def __init__(self, options: InfluxOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._http = InfluxHttp(options, clock)
        self._admin = Admin(self._http)
        self._kinds = Kinds(self._http, clock)
        self._lines = LineWriter(options.batch_lines, options.batch_values)
        self._rejections = Rejections()
        self._writer = Writer(self._http, self._rejections)
        self._deleting = asyncio.Lock()
        self._asking = asyncio.Semaphore(options.in_flight)

    @classmethod
    async def open(cls, options: InfluxOptions, clock: Clock) -> "InfluxSeriesStore":
        """A store whose buckets and tasks are there. StoreError if InfluxDB is away or refuses us."""
        store = cls(options, clock)
        try:
            await store.ensure()
        except BaseException:
            await store.close()
            raise
        return store

    async def ensure(self) -> None:
        """Make the buckets and tasks, or put right what differs from the settings."""
        await self._admin.ensure()

    def rejected(self) -> Mapping[str, int]:
        """Cells that InfluxDB has refused for good since the start, or that hold no finite number, by reason."""
        return dict(self._rejections.reasons)

    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        """Durable and queryable when it returns: the number of cells written (those with samples, each once)."""
        for block in blocks:
            check_block(block)
        masks, refused = wanted(blocks)
        if refused:
            self._rejections.add(refused, f"{refused} cells hold no finite numbers", NOT_FINITE)
        if not any(mask.any() for mask in masks):
            return 0
        seconds = self._options.write_timeout_s
        try:
            async with asyncio.timeout(seconds):
                await self._kinds.note(block.columns for block in blocks)
                return await self._writer.send(self._lines.batches(blocks, masks, identities))
        except TimeoutError:
            words = f"InfluxDB did not take the samples within {seconds:g} s"
            raise StoreError(words, remedy="see whether it is overloaded") from None

    async def query(self, query: SeriesQuery) -> list[SeriesResult]:
        """Ordered by VM, tags and field. InputError for an unknown statistic or a negative step."""
        flux.check(query)
        if query.end_ms <= query.start_ms:
            return []
        every_ms = query.step_ms or query.end_ms - query.start_ms
        shares = spans(query, self._options, int(self._clock.now() * 1000))
        parts = [[flux.steps(query, vms, span, every_ms) for span in shares] for vms in self._parts(query.vms)]
        return await self._results(parts, query.statistic, query.measurement, query.start_ms, every_ms)

    async def last(self, vms: list[str], measurement: str | None = None) -> list[SeriesResult]:
        """The newest windows of the last day (``last_span_s``)."""
        now_ms = int(self._clock.now() * 1000)
        start_ms = now_ms - int(self._options.last_span_s * 1000)
        parts = [
            [flux.newest(self._options.bucket, part, measurement, start_ms, now_ms + AHEAD_MS)]
            for part in self._parts(vms)
        ]
        return await self._results(parts, "last", measurement)

    async def delete(self, vms: list[str]) -> None:
        """Forget these VMs in all buckets, one after the other: a delete holds up InfluxDB's writes, and takes the
        longer the more series there are (seconds, with a thousand VMs)."""
        span = {"start": "1970-01-01T00:00:00Z", "stop": "2200-01-01T00:00:00Z"}
        async with self._deleting:
            for vm in dict.fromkeys(vms):
                body = span | {"predicate": f"vm={_quoted(encode(vm))}"}
                for bucket in self._options.buckets:
                    query = {"org": self._options.org, "bucket": bucket}
                    await self._http.call("POST", "/api/v2/delete", query, body, timeout=self._options.query_timeout_s)

    async def prune(self, before_ms: int) -> int:
        """0: InfluxDB itself drops what is older than the buckets' retention."""
        return 0

    async def compact(self, now_ms: int) -> int:
        """0: InfluxDB packs its files by itself."""
        return 0

    async def check(self) -> str:
        """One line on the server; StoreError says what is wrong and the remedy."""
        return await self._admin.check()

    async def close(self) -> None:
        await self._http.close()

    def _parts(self, vms: list[str]) -> list[list[str]]:
        every = list(dict.fromkeys(vms))
        size = self._options.vms_per_query
        return [every[first : first + size] for first in range(0, len(every), size)]

    async def _results(
        self, parts: list[list[str]], statistic: str, measurement: str | None, start_ms: int = 0, every_ms: int = 0
    ) -> list[SeriesResult]:
        """The series of all parts; each part is some VMs' queries in the order of time."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._answer(part, start_ms, every_ms)) for part in parts]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        answers = [task.result() for task in tasks]
        await self._kinds.learn({(measurement or one.measurement, one.field) for a in answers for one in a.values})
        found = [one for answer in answers for one in answer.results(statistic, measurement, self._kinds.of)]
        return sorted(found, key=lambda one: (one.vm, one.column.measurement, one.column.tags, one.column.field))

    async def _answer(self, texts: list[str], start_ms: int, every_ms: int) -> Answer:
        """``in_flight`` questions are under way at once, of all callers together: some connections are always left for
        samples."""
        answer = Answer(start_ms, every_ms)
        query, timeout = {"org": self._options.org}, self._options.query_timeout_s
        for text in texts:
            body = {"query": text, "type": "flux", "dialect": {"header": True, "annotations": []}}
            async with self._asking:
                found = (await self._http.call("POST", "/api/v2/query", query, body, timeout=timeout)).decode()
            if len(found) > LARGE:
                await asyncio.to_thread(answer.add, found)
            else:
                answer.add(found)
        return answer


def _quoted(text: str) -> str:
    """A string of the language of delete predicates."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
