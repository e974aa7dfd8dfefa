"""Blocks of windows in, rows with the numbers of their VMs and series out, sorted into hours. No loop over cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcisd.model.samples import Column
from mcisd.store.series.base import F64, I64, STATISTICS, WindowBlock

HOUR_MS = 3_600_000
COUNT = STATISTICS.index("count")


@dataclass(slots=True)
class Rows:
    """Windows of one width and one list of series: ``values[row, statistic, series]`` in the order of STATISTICS."""

    width_ms: int
    series: I64
    vms: I64
    starts_ms: I64
    values: F64

    def __len__(self) -> int:
        return len(self.vms)

    def take(self, index: I64) -> "Rows":
        return Rows(self.width_ms, self.series, self.vms[index], self.starts_ms[index], self.values[index])

    def key(self) -> bytes:
        """The same for all rows of this width and these series."""
        return self.width_ms.to_bytes(8, "little") + self.series.tobytes()


def to_rows(blocks: Sequence[WindowBlock], vms: Mapping[str, int], series: Mapping[Column, int]) -> list[Rows]:
    """The windows of ``blocks`` that have a sample."""
    return [rows for block in blocks if len(rows := _of_block(block, vms, series))]


def by_hour(parts: Sequence[Rows]) -> dict[int, list[Rows]]:
    """The rows of each hour since 1970, in their order."""
    hours: dict[int, list[Rows]] = {}
    for rows in parts:
        hour = rows.starts_ms // HOUR_MS
        first = int(hour[0])
        if (hour == first).all():
            hours.setdefault(first, []).append(rows)
            continue
        for number in np.unique(hour).tolist():
            hours.setdefault(number, []).append(rows.take(np.flatnonzero(hour == number)))
    return hours


def cells(parts: Sequence[Rows]) -> int:
    """How many different cells have a sample."""
    keys = np.concatenate(
        [np.stack([rows.vms, rows.starts_ms, np.full(len(rows), rows.width_ms)]) for rows in parts], 1
    )
    order = np.lexsort(keys)
    repeated = (keys[:, order[1:]] == keys[:, order[:-1]]).all(axis=0).any()
    if not repeated and all(len(np.unique(rows.series)) == len(rows.series) for rows in parts):
        return sum(int(np.count_nonzero(rows.values[:, COUNT])) for rows in parts)
    different = set()
    for rows in parts:
        for row, column in zip(*np.nonzero(rows.values[:, COUNT]), strict=True):
            different.add((rows.width_ms, int(rows.vms[row]), int(rows.starts_ms[row]), int(rows.series[column])))
    return len(different)


def check(block: WindowBlock) -> None:
    """ValueError if the arrays of a block do not fit together."""
    shape = (len(block.vms), len(block.columns))
    for name in STATISTICS:
        if getattr(block, name).shape != shape:
            raise ValueError(f"{name} has shape {getattr(block, name).shape}, the block is {shape}")
    if block.starts_ms.shape != (len(block.vms),):
        raise ValueError(f"starts_ms has shape {block.starts_ms.shape}, the block has {len(block.vms)} rows")
    if block.width_ms <= 0:
        raise ValueError("width_ms must be positive")


def _of_block(block: WindowBlock, vms: Mapping[str, int], series: Mapping[Column, int]) -> Rows:
    rows = Rows(
        width_ms=block.width_ms,
        series=np.fromiter((series[item] for item in block.columns), dtype=np.int64, count=len(block.columns)),
        vms=np.fromiter((vms[uid] for uid in block.vms), dtype=np.int64, count=len(block.vms)),
        starts_ms=np.asarray(block.starts_ms, dtype=np.int64),
        values=np.stack([getattr(block, name) for name in STATISTICS], axis=1, dtype=np.float64, casting="unsafe"),
    )
    there = rows.values[:, COUNT].any(axis=1)
    return rows if there.all() else rows.take(np.flatnonzero(there))
