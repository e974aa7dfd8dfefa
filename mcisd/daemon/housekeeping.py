"""Keeping the stores within their bounds: old samples, events and calls go once an hour."""

import logging

from mcisd.aio.clock import Clock
from mcisd.aio.periodic import every
from mcisd.daemon.settings import Settings
from mcisd.store.base import MetadataStore
from mcisd.store.series.base import SeriesStore

log = logging.getLogger(__name__)
HOUR, DAY = 3600.0, 86_400.0


class Housekeeping:
    def __init__(self, settings: Settings, clock: Clock, store: MetadataStore, series: SeriesStore) -> None:
        self._settings = settings
        self._clock = clock
        self._store = store
        self._series = series

    async def run(self) -> None:
        await every(self._clock, HOUR, self._tidy, offset=60.0)

    async def _tidy(self) -> None:
        now = self._clock.now()
        windows = await self._series.prune(int((now - self._settings.collector.retention_days * DAY) * 1000))
        rows = await self._store.prune(
            now - self._settings.store.events_days * DAY, now - self._settings.store.calls_days * DAY
        )
        if windows or rows:
            log.info("dropped what is older than its retention: %d windows, %d rows", windows, rows)
