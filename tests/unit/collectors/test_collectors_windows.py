"""Statistics of windows against the plain arithmetic of each series."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.collectors.windows import FrameWindow, WindowBlock, summarise
from mcisd.model.samples import Column, Schema, pack_frame

ONE = Schema.of((Column("cpu", "usage", (), "g"), Column("net", "bytes", (), "c")))
TWO = Schema.of((Column("net", "bytes", (), "c"), Column("disk", "used", (), "g")))
SCHEMAS = {schema.key: schema for schema in (ONE, TWO)}
NAN = math.nan


def frame(schema: Schema, *values: float) -> bytes:
    return pack_frame("vm", schema.key, 1, 0, 0, np.array(values, "<f8").tobytes())


def cells(blocks: list[WindowBlock]) -> dict[tuple[str, int, str], list[float]]:
    return {
        (vm, int(block.starts_ms[row]), column.field): [
            float(table[row, i]) for table in (block.avg, block.min, block.max, block.last, block.count)
        ]
        for block in blocks
        for row, vm in enumerate(block.vms)
        for i, column in enumerate(block.columns)
    }


def plain(values: list[float]) -> list[float]:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return [NAN, NAN, NAN, NAN, 0]
    return [sum(known) / len(known), min(known), max(known), known[-1], len(known)]


VALUES = st.one_of(st.floats(-1e12, 1e12), st.just(NAN), st.just(math.inf))
ROWS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6)


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=8))
def test_statistics_are_those_of_plain_arithmetic(windows: list[list[tuple[float, float]]]) -> None:
    given_windows = [
        FrameWindow(f"vm-{i}", i * 10, ONE.key, [frame(ONE, *row) for row in rows]) for i, rows in enumerate(windows)
    ]
    found = cells(list(summarise(given_windows, SCHEMAS, 10)))
    for i, rows in enumerate(windows):
        for j, name in enumerate(("usage", "bytes")):
            want = plain([row[j] for row in rows])
            assert found[f"vm-{i}", i * 10, name] == pytest.approx(want, rel=1e-9, abs=1e-3, nan_ok=True)


def test_one_block_per_schema() -> None:
    windows = [
        FrameWindow("a", 0, ONE.key, [frame(ONE, 1, 2)]),
        FrameWindow("b", 0, TWO.key, [frame(TWO, 3, 4)]),
        FrameWindow("c", 0, ONE.key, [frame(ONE, 5, 6)]),
    ]
    assert [block.vms for block in summarise(windows, SCHEMAS, 10)] == [["a", "c"], ["b"]]


def test_schema_that_changes_within_a_window_gives_one_row_over_all_columns() -> None:
    window = FrameWindow("a", 0, None, [frame(ONE, 1, 10), frame(TWO, 20, 7), frame(TWO, 30, NAN)])
    (block,) = summarise([window], SCHEMAS, 10)
    assert [c.field for c in block.columns] == ["usage", "bytes", "used"]
    assert block.avg[0].tolist() == [1, 20, 7]
    assert block.last[0].tolist() == [1, 30, 7]
    assert block.count[0].tolist() == [1, 3, 1]


def test_unknown_schema_is_an_error() -> None:
    with pytest.raises(KeyError):
        list(summarise([FrameWindow("a", 0, b"?" * 16, [frame(ONE, 1, 2)])], SCHEMAS, 10))
