"""Between siblings: the collectors' windows as the series store takes them. The arrays are the same, not copied."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcisd.collectors.windows import WindowBlock as Collected
from mcisd.model.identity import NOBODY, Identity
from mcisd.store.series.base import SeriesStore, WindowBlock


@dataclass(frozen=True, slots=True)
class WindowSink:
    """Implements the collectors' WindowStore on a SeriesStore."""

    series: SeriesStore

    async def write(self, blocks: list[Collected], identities: Mapping[str, Identity] = NOBODY) -> int:
        return await self.series.write(
            [
                WindowBlock(b.columns, b.width_ms, b.vms, b.starts_ms, b.avg, b.min, b.max, b.last, b.count)
                for b in blocks
            ],
            identities,
        )
