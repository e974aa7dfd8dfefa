"""A chunk gives back every value to the bit, whatever it is; and what is regular takes next to nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mcisd.store.series.base import F64, I64
from mcisd.store.series.chunks import decode, encode
from mcisd.store.series.grid import VALUES, Grid
from mcisd.store.series.packing import pack_bits, pack_ints, squeeze, unpack_bits, unpack_ints, unsqueeze

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 20))
ANY = st.floats(width=64)  # NaN, infinities, -0.0 and the smallest included
LIKELY = st.one_of(
    st.integers(-(2**52), 2**52).map(float),
    st.integers(0, 10_000).map(lambda number: number / 100),
    st.integers(0, 4000).map(lambda number: 100.0 * number / 4096),
    st.sampled_from([0.0, -0.0, 1.0, 4096.0, float("nan")]),
)


def grid(stats: dict[str, F64], count: I64, width: int = 10_000) -> Grid:
    series = np.arange(1, count.shape[0] + 1, dtype=np.int64) * 7
    starts = 1_700_000_000_000 + width * np.arange(count.shape[1], dtype=np.int64)
    return Grid(3, width, series, starts, stats, count)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    shape = draw(SHAPES)
    elements = draw(st.sampled_from([ANY, LIKELY]))
    stats = {name: draw(arrays.arrays(np.float64, shape, elements=elements)) for name in VALUES}
    counts = st.integers(0, 5) if draw(st.booleans()) else st.sampled_from([1, 5, 3000, 2**40])
    count = draw(arrays.arrays(np.int64, shape, elements=counts))
    count[0, 0] = max(1, count[0, 0])
    return grid(stats, count)


def bits(values: F64) -> list[int]:
    found: list[int] = np.ascontiguousarray(values).view(np.int64).ravel().tolist()
    return found


@given(grids(), st.sets(st.sampled_from(VALUES)))
@settings(max_examples=100, deadline=None)
def test_any_grid_comes_back_to_the_bit(given_grid: Grid, names: set[str]) -> None:
    back = decode(memoryview(encode(given_grid)), sorted(names))
    assert (back.vm, back.width_ms) == (3, 10_000)
    assert back.series.tolist() == given_grid.series.tolist()
    assert back.starts_ms.tolist() == given_grid.starts_ms.tolist()
    assert back.count.tolist() == given_grid.count.tolist()
    there = given_grid.count > 0
    assert back.stats.keys() == names
    for name in names:
        assert bits(back.stats[name][there]) == bits(given_grid.stats[name][there]), name


@given(arrays.arrays(np.int64, SHAPES))
@settings(max_examples=60, deadline=None)
def test_whole_numbers(rows: I64) -> None:
    assert unpack_ints(pack_ints(rows), *rows.shape).tolist() == rows.tolist()


@pytest.mark.parametrize("different", [1, 3, 700, 5000])
def test_bits_with_few_and_many_different_values(different: int) -> None:
    values = np.random.default_rng(different).random(different)
    rows = np.resize(values, (5, 1000)).view(np.uint64)
    packed = pack_bits(rows)
    assert unpack_bits(packed, 5, 1000).tolist() == rows.tolist()
    assert len(packed) < rows.nbytes * min(1.0, 0.3 + different / 5000)


@given(st.binary(max_size=300))
def test_squeezing_never_costs_more_than_a_byte(data: bytes) -> None:
    small = squeeze(data)
    assert unsqueeze(small) == data
    assert len(small) <= len(data) + 1


def regular(values: F64) -> Grid:
    """Windows of five samples each of the series ``values`` (series, sample)."""
    cut = values.reshape(len(values), -1, 5)
    stats = {"avg": cut.sum(axis=2) / 5, "min": cut.min(axis=2), "max": cut.max(axis=2), "last": cut[:, :, -1].copy()}
    return grid(stats, np.full(cut.shape[:2], 5, dtype=np.int64))


def test_what_is_regular_takes_next_to_nothing() -> None:
    samples = np.arange(1800.0)
    hour = regular(np.stack([np.full(1800, 2.5274794e10), samples, 1e9 + samples * 4096, samples % 1]))
    assert len(encode(hour)) < 400


def test_a_share_of_a_constant_total_is_a_whole_number() -> None:
    """For that the total must be a series of the same chunk; without it the values are noise."""
    used = np.random.default_rng(1).integers(0, 2**20, 1800) * 1024.0
    total = np.full(1800, 2.5274794e10)
    share = 100.0 * used / total
    alone, beside = len(encode(regular(share[None]))), len(encode(regular(np.stack([share, total]))))
    assert beside < 0.6 * alone
