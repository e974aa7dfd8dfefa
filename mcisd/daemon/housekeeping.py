"""Keeping the metadata within its bounds: old events, calls and messages go once an hour."""

import logging
from collections.abc import Awaitable, Callable

from mcisd.aio.clock import Clock
from mcisd.aio.periodic import every
from mcisd.daemon.settings import Settings
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
HOUR, DAY = 3600.0, 86_400.0
MESSAGE_DAYS = 30.0
PruneMessages = Callable[[MetadataStore, float], Awaitable[int]]
"""Drop messages that were done with before this time (alarms/sender.py); how many."""


class Housekeeping:
    def __init__(self, settings: Settings, clock: Clock, store: MetadataStore, prune_messages: PruneMessages) -> None:
        self._settings = settings
        self._clock = clock
        self._store = store
        self._prune_messages = prune_messages

    async def run(self) -> None:
        await every(self._clock, HOUR, self._tidy, offset=60.0)

    async def _tidy(self) -> None:
        now = self._clock.now()
        rows = await self._store.prune(
            now - self._settings.store.events_days * DAY, now - self._settings.store.calls_days * DAY
        )
        rows += await self._prune_messages(self._store, now - MESSAGE_DAYS * DAY)
        if rows:
            log.info("dropped what is older than its retention: %d rows", rows)
