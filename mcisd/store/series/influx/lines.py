"""Blocks of windows in, batches of line protocol out, with little work for each number: this is the hot path.

All numbers of rows that have the same columns are turned into text in one go; the text between them comes from the
Plan, and one join puts both together.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from mcisd.model.identity import Identity
from mcisd.model.samples import Column
from mcisd.store.series.base import I64, WindowBlock
from mcisd.store.series.influx.plan import Layout, Plan

Mask = NDArray[np.bool_]
MOST_PLANS = 256


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request carries: ``lines`` lines that hold ``cells`` cells (five numbers each)."""

    body: bytes
    lines: int
    cells: int


class LineWriter:
    """Makes the text; remembers the plans of the columns seen last."""

    def __init__(self, batch_lines: int, batch_values: int) -> None:
        self._batch_lines = batch_lines
        self._batch_values = batch_values
        self._plans: OrderedDict[tuple[Column, ...], Plan] = OrderedDict()

    def batches(
        self, blocks: list[WindowBlock], masks: list[Mask], identities: Mapping[str, Identity]
    ) -> Iterator[Batch]:
        """The cells where the masks are true; small pieces are put together into one batch."""
        held: list[Batch] = []
        lines = values = 0
        for piece in self._pieces(blocks, masks, identities):
            if held and (lines + piece.lines > self._batch_lines or values + 5 * piece.cells > self._batch_values):
                yield _joined(held)
                held, lines, values = [], 0, 0
            held.append(piece)
            lines += piece.lines
            values += 5 * piece.cells
        if held:
            yield _joined(held)

    def _pieces(
        self, blocks: list[WindowBlock], masks: list[Mask], identities: Mapping[str, Identity]
    ) -> Iterator[Batch]:
        for block, mask in zip(blocks, masks, strict=True):
            plan = self._plan(block.columns)
            for rows in _alike(mask):
                layout = plan.layout(mask[rows[0]])
                most = min(self._batch_lines // len(layout.heads), self._batch_values // len(layout.keys))
                step = max(1, most)
                for first in range(0, len(rows), step):
                    yield _text(block, rows[first : first + step], plan, layout, identities)

    def _plan(self, columns: tuple[Column, ...]) -> Plan:
        plan = self._plans.pop(columns, None) or Plan(columns)
        self._plans[columns] = plan
        if len(self._plans) > MOST_PLANS:
            self._plans.popitem(last=False)
        return plan


def wanted(blocks: list[WindowBlock]) -> tuple[list[Mask], int]:
    """Which cells to write: those with samples, and where a cell occurs twice only the later one; and how many cells
    were left out because a number in them is not finite (InfluxDB knows no such numbers)."""
    masks, refused = [], 0
    for block in blocks:
        sampled = np.asarray(block.count) > 0
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.asarray(block.avg) * block.count + block.min + block.max + block.last
        finite = np.isfinite(total)
        if not finite.all():  # a sum of finite numbers may itself be too large
            with np.errstate(over="ignore", invalid="ignore"):
                parts = (np.asarray(block.avg) * block.count, block.min, block.max, block.last)
            finite = np.logical_and.reduce([np.isfinite(part) for part in parts])
        masks.append(sampled & finite)
        refused += int(np.count_nonzero(sampled & ~finite))
    _drop_repeated(blocks, masks)
    return masks, refused


def _drop_repeated(blocks: list[WindowBlock], masks: list[Mask]) -> None:
    """Clear, in place, the cells that a later row writes again."""
    rows: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for number, block in enumerate(blocks):
        for row, key in enumerate(zip(block.vms, block.starts_ms.tolist(), strict=True)):
            rows.setdefault(key, []).append((number, row))
    for places in rows.values():
        if len(places) > 1:
            seen: set[Column] = set()
            for number, row in reversed(places):
                for column in np.flatnonzero(masks[number][row]).tolist():
                    name = blocks[number].columns[column]
                    masks[number][row, column] = name not in seen
                    seen.add(name)


def _alike(mask: Mask) -> list[I64]:
    """The rows with something in them, by which columns they have."""
    if mask.all() and mask.size:
        return [np.arange(len(mask))]
    patterns: dict[bytes, list[int]] = {}
    width = mask.shape[1]
    packed = np.packbits(mask, axis=1).tobytes()
    size = (width + 7) // 8
    nothing = bytes(size)
    for row in range(len(mask)):
        pattern = packed[row * size : (row + 1) * size]
        if pattern != nothing:
            patterns.setdefault(pattern, []).append(row)
    return [np.array(rows, dtype=np.int64) for rows in patterns.values()]


def _text(block: WindowBlock, rows: I64, plan: Plan, layout: Layout, identities: Mapping[str, Identity]) -> Batch:
    numbers = _numbers(block, rows, layout)
    width = len(layout.keys)
    keys = layout.keys * len(rows)
    end, base = b"", 0
    for row, start in zip(rows.tolist(), block.starts_ms[rows].tolist(), strict=True):
        begins = plan.begins(block.vms[row], identities)
        stamp = b" %d\n" % start
        for place, line in layout.heads:
            keys[base + place] = end + begins[line] + keys[base + place]
            end = stamp
        base += width
    parts = [b""] * (2 * len(numbers) + 1)
    parts[0:-1:2] = keys
    parts[1::2] = numbers
    parts[-1] = end
    return Batch(b"".join(parts), len(rows) * len(layout.heads), len(rows) * len(layout.columns))


def _numbers(block: WindowBlock, rows: I64, layout: Layout) -> list[bytes]:
    """All numbers as text, in the order of the keys."""
    cells = np.ix_(rows, layout.columns)
    count = np.asarray(block.count[cells], dtype=np.float64)
    numbers = np.empty((len(rows), len(layout.columns), 5))
    numbers[:, :, 0] = block.last[cells]
    numbers[:, :, 1] = block.avg[cells] * count
    numbers[:, :, 2] = block.min[cells]
    numbers[:, :, 3] = block.max[cells]
    numbers[:, :, 4] = count
    return orjson.dumps(numbers.reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def _joined(pieces: list[Batch]) -> Batch:
    if len(pieces) == 1:
        return pieces[0]
    return Batch(b"".join(piece.body for piece in pieces), sum(p.lines for p in pieces), sum(p.cells for p in pieces))
