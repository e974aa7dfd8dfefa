"""The time-series port. Columns in, columns out.

A window is one VM × one series × [start, start + width): average, minimum, maximum, last value and count of the
samples in it. Writing the same window again replaces it, so writes are idempotent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mcisd.model.identity import NOBODY, Identity
from mcisd.model.samples import Column

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
STATISTICS = ("avg", "min", "max", "last", "count")


@dataclass(slots=True)
class WindowBlock:
    """Windows of one schema: ``vms[i]`` is the VM of row i, ``starts_ms[i]`` its window; statistics are (row, column).

    NaN average with count 0 means the series had no sample in that window; such cells are not stored.
    """

    columns: tuple[Column, ...]
    width_ms: int
    vms: list[str]
    starts_ms: I64
    avg: F64
    min: F64
    max: F64
    last: F64
    count: I64


@dataclass(slots=True)
class SeriesQuery:
    """``step_ms`` 0 asks for one value per series over the whole span; ``fields`` empty means all."""

    vms: list[str]
    measurement: str
    start_ms: int
    end_ms: int
    step_ms: int
    statistic: str = "avg"
    fields: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class SeriesResult:
    """One series of one VM. Gaps are absent, never zero. ``values`` follow ``times_ms`` (start of each step)."""

    vm: str
    column: Column
    times_ms: I64
    values: F64


class SeriesStore(Protocol):
    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        """Durable and queryable when it returns; the number of windows written. StoreError if it could not.

        ``identities`` (VM uid → whose series these are) may lack a VM: its series then bear the tag ``vm`` alone.
        """

    async def query(self, query: SeriesQuery) -> list[SeriesResult]:
        """Steps: avg weighs by count; min, max of all; last by time; count is the sum."""

    async def last(self, vms: list[str], measurement: str | None = None) -> list[SeriesResult]:
        """The newest window's last value of each series (one time, one value each)."""

    async def delete(self, vms: list[str]) -> None:
        """Forget these VMs' series."""

    async def prune(self, before_ms: int) -> int:
        """Drop windows that start before; returns how many."""

    async def compact(self, now_ms: int) -> int:
        """Pack what will hardly change any more, as far as this store does such a thing; the windows packed. Called now
        and then; takes a bounded time."""

    def rejected(self) -> Mapping[str, int]:
        """Values that the store will never take, by reason; they only grow."""

    async def check(self) -> str:
        """One line on what the store is (engine, version, where); StoreError says what is wrong and the remedy."""

    async def close(self) -> None: ...
