"""Blocks of windows in, one table of columns out: a row for each cell that has samples. No loop over cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcisd.model.samples import Column
from mcisd.store.series.base import F64, I64, WindowBlock

I32 = NDArray[np.int32]


@dataclass(slots=True)
class Rows:
    """Cells in the order start, VM, series, width; each once."""

    start_ms: I64
    width_ms: I64
    vm: I64
    series: I64
    avg: F64
    min: F64
    max: F64
    last: F64
    count: I64

    def __len__(self) -> int:
        return len(self.start_ms)

    def columns(self) -> dict[str, F64 | I64 | I32]:
        """As the table takes them."""
        return {
            "start_ms": self.start_ms,
            "width_ms": self.width_ms.astype(np.int32),
            "vm": self.vm.astype(np.int32),
            "series": self.series.astype(np.int32),
            "avg": self.avg,
            "min": self.min,
            "max": self.max,
            "last": self.last,
            "count": self.count,
        }

    def take(self, index: I64) -> "Rows":
        return Rows(*(getattr(self, name)[index] for name in self.__slots__))


def to_rows(blocks: Sequence[WindowBlock], vms: Mapping[str, int], series: Mapping[Column, int]) -> Rows:
    """The cells of ``blocks`` with their VM and series numbers; where a cell occurs twice the later one counts."""
    parts = [_of_block(block, vms, series) for block in blocks]
    rows = Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__slots__))
    keys = (rows.width_ms, rows.series, rows.vm, rows.start_ms)
    order = np.lexsort(keys)  # stable: of equal cells the later written is the later one
    repeated = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        ordered = key[order]
        repeated &= ordered[1:] == ordered[:-1]
    if repeated.any():
        order = order[np.append(~repeated, True)]
    return rows.take(order)


def _of_block(block: WindowBlock, vms: Mapping[str, int], series: Mapping[Column, int]) -> Rows:
    row, column = np.nonzero(block.count > 0)
    vm = np.fromiter((vms[uid] for uid in block.vms), dtype=np.int64, count=len(block.vms))
    number = np.fromiter((series[item] for item in block.columns), dtype=np.int64, count=len(block.columns))
    return Rows(
        start_ms=np.asarray(block.starts_ms, dtype=np.int64)[row],
        width_ms=np.full(len(row), block.width_ms, dtype=np.int64),
        vm=vm[row],
        series=number[column],
        avg=np.asarray(block.avg, dtype=np.float64)[row, column],
        min=np.asarray(block.min, dtype=np.float64)[row, column],
        max=np.asarray(block.max, dtype=np.float64)[row, column],
        last=np.asarray(block.last, dtype=np.float64)[row, column],
        count=np.asarray(block.count, dtype=np.int64)[row, column],
    )


def check(block: WindowBlock) -> None:
    """ValueError if the arrays of a block do not fit together."""
    shape = (len(block.vms), len(block.columns))
    for name in ("avg", "min", "max", "last", "count"):
        if getattr(block, name).shape != shape:
            raise ValueError(f"{name} has shape {getattr(block, name).shape}, the block is {shape}")
    if block.starts_ms.shape != (len(block.vms),):
        raise ValueError(f"starts_ms has shape {block.starts_ms.shape}, the block has {len(block.vms)} rows")
    if block.width_ms <= 0:
        raise ValueError("width_ms must be positive")
