"""What kind each field is (gauge, counter, rate): a small catalogue beside the samples, which do not tell.

Written by whoever writes samples, when it first sees a field and once a day after that, into the bucket that keeps
longest; read by whoever meets a field it does not know.
"""

import logging
from collections.abc import Iterable

from mcisd.aio.clock import Clock
from mcisd.model.samples import COUNTER, GAUGE, RATE, Column
from mcisd.store.series.influx import flux
from mcisd.store.series.influx.answer import records
from mcisd.store.series.influx.http import LINES, InfluxHttp, RefusedError
from mcisd.store.series.influx.names import CATALOGUE, decode, encode
from mcisd.store.series.influx.options import DAY_S

log = logging.getLogger(__name__)
AGAIN_S = 30.0
"""Seconds between looks for a field that is in no catalogue."""
FOR_EVER_S = 730 * DAY_S
_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})


class Kinds:
    """The catalogue as this process knows it."""

    def __init__(self, http: InfluxHttp, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._known: dict[tuple[str, str], str] = {}
        self._written: dict[tuple[Column, ...], float] = {}
        self._looked: float | None = None

    async def note(self, schemas: Iterable[tuple[Column, ...]]) -> None:
        """Write down the kinds of these columns, unless that was done in the last day."""
        now = self._clock.now()
        fresh = {columns for columns in schemas if self._written.get(columns, 0.0) + DAY_S < now}
        if not fresh:
            return
        kinds = {(column.measurement, column.field): column.kind for columns in fresh for column in columns}
        self._known.update(kinds)
        if len(self._written) > 1_000:
            self._written.clear()
        lines = [
            f'{CATALOGUE},field={_tag(field)},measurement={_tag(measurement)} kind="{kind}" {int(now * 1000)}'
            for (measurement, field), kind in kinds.items()
        ]
        options = self._http.options
        query = {"org": options.org, "bucket": options.longest, "precision": "ms"}
        try:
            await self._http.call("POST", "/api/v2/write", query, "\n".join(lines).encode(), kind=LINES)
        except RefusedError as refused:  # the samples matter more: who reads them goes by the fields' names
            log.warning("InfluxDB refuses the kinds of %d fields: %s", len(kinds), refused.message)
        self._written.update(dict.fromkeys(fresh, now))

    async def learn(self, fields: Iterable[tuple[str, str]]) -> None:
        """Look these ``(measurement, field)`` up if one of them is not known."""
        if all(field in self._known for field in fields):
            return
        if self._looked is not None and self._clock.monotonic() < self._looked + AGAIN_S:
            return
        self._looked = self._clock.monotonic()
        options = self._http.options
        now_ms = int(self._clock.now() * 1000)
        span_ms = 1000 * (options.buckets[options.longest] or FOR_EVER_S)
        text = flux.catalogue(options.longest, CATALOGUE, now_ms - span_ms, now_ms + 1000 * DAY_S)
        body = {"query": text, "type": "flux", "dialect": {"header": True, "annotations": []}}
        answer = await self._http.call("POST", "/api/v2/query", {"org": options.org}, body)
        for row in records(answer.decode()):
            if row["_value"] in (GAUGE, COUNTER, RATE):
                self._known.setdefault((decode(row["measurement"]), decode(row["field"])), row["_value"])

    def of(self, measurement: str, field: str) -> str:
        """The kind; for a field that is in no catalogue what its name says."""
        return self._known.get((measurement, field)) or (RATE if field.endswith("_rate") else GAUGE)


def _tag(text: str) -> str:
    return encode(text).translate(_ESCAPES)
