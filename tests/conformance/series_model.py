"""Windows in plain Python: the reference the series suite judges stores by, and the blocks it feeds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from mcisd.model.samples import Column
from mcisd.store.series.base import SeriesQuery, SeriesResult, WindowBlock

WIDTH_MS = 10_000
BASE_MS = 1_700_000_000_000
VMS = ["vm-a", "vm-b", "vm-c"]
COLUMNS = (
    Column("cpu", "usage_user", (("cpu", "cpu-total"),), "g"),
    Column("cpu", "usage_user", (("cpu", "cpu0"),), "g"),
    Column("cpu", "usage_idle", (("cpu", "cpu-total"),), "g"),
    Column("net", "bytes_recv", (("interface", 'e"th,0'),), "r"),
    Column("mem", "used", (), "g"),
)
Cell = tuple[float, float, float, float, int]
"""Average, minimum, maximum, last, count."""
Answer = dict[tuple[str, Column], list[tuple[int, float]]]


@dataclass
class Model:
    """What a store should hold: one cell for each VM, column and start."""

    cells: dict[tuple[str, Column, int], Cell] = field(default_factory=dict)

    def write(self, blocks: Sequence[WindowBlock]) -> int:
        """The number of different cells in ``blocks`` that have samples."""
        written = set()
        for block in blocks:
            for (row, column), count in np.ndenumerate(block.count):
                if count:
                    key = (block.vms[row], block.columns[column], int(block.starts_ms[row]))
                    average, low, high, last = (
                        float(part[row, column]) for part in (block.avg, block.min, block.max, block.last)
                    )
                    self.cells[key] = (average, low, high, last, int(count))
                    written.add(key)
        return len(written)

    def query(self, query: SeriesQuery) -> Answer:
        steps: dict[tuple[str, Column], dict[int, list[Cell]]] = {}
        for (vm, column, start), cell in sorted(self.cells.items(), key=lambda item: item[0][2]):
            if vm in query.vms and _fits(column, query) and query.start_ms <= start < query.end_ms:
                offset = (start - query.start_ms) // query.step_ms * query.step_ms if query.step_ms else 0
                steps.setdefault((vm, column), {}).setdefault(query.start_ms + offset, []).append(cell)
        return {
            key: [(time, _combine(cells, query.statistic)) for time, cells in sorted(found.items())]
            for key, found in steps.items()
        }

    def last(self, vms: list[str], measurement: str | None) -> Answer:
        newest: Answer = {}
        for (vm, column, start), cell in sorted(self.cells.items(), key=lambda item: item[0][2]):
            if vm in vms and measurement in (None, column.measurement):
                newest[vm, column] = [(start, cell[3])]
        return newest


def _fits(column: Column, query: SeriesQuery) -> bool:
    tags = dict(column.tags)
    return (
        column.measurement == query.measurement
        and (not query.fields or column.field in query.fields)
        and all(tags.get(name) == value for name, value in query.tags.items())
    )


def _combine(cells: list[Cell], statistic: str) -> float:
    match statistic:
        case "avg":
            return sum(cell[0] * cell[4] for cell in cells) / sum(cell[4] for cell in cells)
        case "min":
            return min(cell[1] for cell in cells)
        case "max":
            return max(cell[2] for cell in cells)
        case "last":
            return cells[-1][3]
        case "count":
            return float(sum(cell[4] for cell in cells))
    raise AssertionError(statistic)


def answer(results: list[SeriesResult]) -> Answer:
    """Results as the model gives them; each series at most once."""
    found = {
        (item.vm, item.column): list(zip(item.times_ms.tolist(), item.values.tolist(), strict=True)) for item in results
    }
    assert len(found) == len(results)
    return found


def block(
    vms: list[str], starts: list[int], count: list[list[int]], value: float, columns: Sequence[Column]
) -> WindowBlock:
    """A block whose cells differ by VM, start and column; ``starts`` are window numbers from BASE_MS."""
    counts = np.array(count, dtype=np.int64).reshape(len(vms), len(columns))
    average = value + np.arange(counts.size, dtype=np.float64).reshape(counts.shape)
    average[counts == 0] = np.nan
    times = np.array([BASE_MS + start * WIDTH_MS for start in starts], dtype=np.int64)
    return WindowBlock(
        tuple(columns), WIDTH_MS, vms, times, average, average - 1.0, average + 2.0, average + 0.5, counts
    )


@st.composite
def blocks(draw: st.DrawFn) -> WindowBlock:
    """Any few windows of any few VMs and columns, in any order, also repeated."""
    columns = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4, unique=True))
    rows = draw(st.lists(st.tuples(st.sampled_from(VMS), st.integers(0, 12)), min_size=1, max_size=6))
    counts = draw(st.lists(st.integers(0, 5), min_size=len(rows) * len(columns), max_size=len(rows) * len(columns)))
    value = draw(st.floats(-1e6, 1e6))
    shaped = [counts[row * len(columns) : (row + 1) * len(columns)] for row in range(len(rows))]
    return block([vm for vm, _ in rows], [start for _, start in rows], shaped, value, columns)


@st.composite
def queries(draw: st.DrawFn) -> SeriesQuery:
    start = BASE_MS + draw(st.integers(-2, 10)) * WIDTH_MS + draw(st.sampled_from([0, 1, 3333]))
    return SeriesQuery(
        vms=draw(st.lists(st.sampled_from([*VMS, "vm-unknown"]), unique=True)),
        measurement=draw(st.sampled_from(["cpu", "net", "none"])),
        start_ms=start,
        end_ms=start + draw(st.integers(0, 14)) * WIDTH_MS,
        step_ms=draw(st.sampled_from([0, WIDTH_MS, 3 * WIDTH_MS, 7001])),
        statistic=draw(st.sampled_from(["avg", "min", "max", "last", "count"])),
        fields=draw(st.lists(st.sampled_from(["usage_user", "usage_idle", "none"]), max_size=2)),
        tags=draw(st.sampled_from([{}, {"cpu": "cpu-total"}, {"cpu": "none"}, {"none": "x"}])),
    )
