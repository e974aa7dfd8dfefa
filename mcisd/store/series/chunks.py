"""A grid in, a chunk of bytes out, and back, bit by bit the same.

Most series are whole numbers in disguise: counters, sizes, loads with two decimals, rates over two seconds, shares of a
total that stands beside them. Each series is tried as ``number × factor / divisor`` with a few such pairs. Where that
gives every value back exactly, the numbers are kept: the last values by their differences in time, minimum and maximum
by their distance from the last value, the average as the sum it came from, and by how many units in the last place that
misses it (almost always 0). All other series are kept by their bits.
"""

import struct
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from mcisd.store.series.base import F64, I64
from mcisd.store.series.grid import VALUES, Grid
from mcisd.store.series.packing import (
    joined,
    pack_bits,
    pack_ints,
    parted,
    planes,
    squeeze,
    unpack_bits,
    unpack_ints,
    unplanes,
    unsqueeze,
)

SHAPE = struct.Struct("<qqqqq?")  # VM, width, series, starts, series that are whole numbers, one count for all series
LIMITS = ("last", "min", "max")
SCALES = ((1.0, 1.0), (1.0, 2.0), (1.0, 100.0), (1.0, 10.0), (1.0, 1000.0))
PER_CENT = 100.0
MOST_TOTALS = 8
MOST_NUMBER = float(2**50)
MOST_COUNT = 2**11  # MOST_NUMBER × MOST_COUNT still is a whole number of 64 bits
PROBES = 12  # values of a series that are tried before all are


def encode(grid: Grid) -> bytes:
    """The chunk of a merged grid that has all of VALUES and at least one cell."""
    count = grid.count
    alike = bool((count == count[:1]).all())
    stats = grid.stats if count.all() else _filled(grid)
    factor, divisor, (last, low, high) = _numbers(stats, count)
    whole = divisor > 0
    head = np.concatenate(
        [
            np.diff(grid.series, prepend=0),
            factor.view(np.int64),
            divisor.view(np.int64),
            np.diff(grid.starts_ms, prepend=0),
            last[:, 0],
            count[0] if alike else count.ravel(),
        ]
    )
    parts = [SHAPE.pack(grid.vm, grid.width_ms, *count.shape, int(whole.sum()), alike), squeeze(planes(head).tobytes())]
    if whole.any():
        avg = _pack_average(stats["avg"][whole], count[whole] * last, count[whole], factor[whole], divisor[whole])
        parts += [pack_ints(np.diff(last, axis=1, prepend=last[:, :1])), avg, pack_ints(last - low)]
        parts.append(pack_ints(high - last))
    if not whole.all():
        others = ~whole
        limits = np.concatenate([stats[name][others] for name in LIMITS])
        parts += [pack_bits(limits.view(np.uint64)), pack_bits(stats["avg"][others].view(np.uint64))]
    return joined(parts)


def decode(data: memoryview, names: Collection[str] = VALUES) -> Grid:
    """The grid of a chunk with the statistics ``names``."""
    shape, packed, *streams = parted(data)
    vm, width, rows, length, wholes, alike = SHAPE.unpack(shape)
    plain = np.frombuffer(unsqueeze(packed), np.uint8)
    head = unplanes(plain, (len(plain) // 8,), 8)
    series, factor, divisor = head[: 3 * rows].reshape(3, rows)
    rest = head[3 * rows :]
    starts, first, count = rest[:length], rest[length : length + wholes], rest[length + wholes :]
    count = np.repeat(count[None], rows, axis=0) if alike else count.reshape(rows, length)
    grid = Grid(vm, width, np.cumsum(series), np.cumsum(starts), {}, count)
    whole = divisor.view(np.float64) > 0
    found: list[dict[str, F64]] = []
    if names and wholes:
        scale = factor.view(np.float64)[whole, None], divisor.view(np.float64)[whole, None]
        found.append(_unpack_whole(streams[:4], first[:, None], count[whole], *scale, names))
    if names and wholes < rows:
        found.append(_unpack_others(streams[4 if wholes else 0 :], rows - wholes, length, names))
    if len(found) == 1:
        grid.stats = found[0]
    else:
        order = np.argsort(~whole, kind="stable").argsort()
        grid.stats = {name: np.concatenate([part[name] for part in found])[order] for name in names}
    return grid


def _filled(grid: Grid) -> dict[str, F64]:
    """Cells that are not there say what the one before (else the first one) says: that costs nothing."""
    there = grid.count > 0
    place = np.maximum.accumulate(np.where(there, np.arange(there.shape[1]), -1), axis=1)
    place = np.where(place < 0, there.argmax(axis=1)[:, None], place)
    return {name: np.take_along_axis(values, place, axis=1) for name, values in grid.stats.items()}


def _numbers(stats: dict[str, F64], count: I64) -> tuple[F64, F64, list[I64]]:
    """Factor and divisor of each series (0 if it is not whole), and last, min and max of those that are, as numbers."""
    rows, length = count.shape
    factor, divisor = np.zeros(rows), np.zeros(rows)
    numbers = [np.zeros((rows, length), dtype=np.int64) for _ in range(3)]
    values = [stats[name] for name in ("last", "min", "max")]
    some = values[0][:, :: max(1, length // PROBES)]
    left = np.flatnonzero(count.max(axis=1) < MOST_COUNT)
    for multiply, divide in (*SCALES, *_totals(stats)):
        tried = left[_whole(some[left], multiply, divide)[1]]
        if not len(tried):
            continue
        found = [_whole(value[tried], multiply, divide) for value in values]
        fits = found[0][1] & found[1][1] & found[2][1]
        for target, (number, _) in zip(numbers, found, strict=True):
            target[tried[fits]] = number[fits]
        factor[tried[fits]], divisor[tried[fits]] = multiply, divide
        left = np.setdiff1d(left, tried[fits], assume_unique=True)
    return factor, divisor, [number[divisor > 0] for number in numbers]


def _totals(stats: dict[str, F64]) -> list[tuple[float, float]]:
    """Series that never change may be what others are a share of, in per cent."""
    constant = stats["min"][:, 0][(stats["min"].min(axis=1) == stats["max"].max(axis=1))]
    totals = np.unique(constant[(constant > 1) & (constant < MOST_NUMBER) & (constant == np.rint(constant))])
    return [(PER_CENT, total) for total in totals[-MOST_TOTALS:].tolist()]


def _whole(values: F64, factor: float, divisor: float) -> tuple[I64, NDArray[np.bool_]]:
    """Values as whole numbers, and which rows these give back exactly."""
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = np.rint(values * (divisor / factor)).astype(np.int64)
        again = _values(numbers, factor, divisor)
    same = again.view(np.int64) == np.ascontiguousarray(values).view(np.int64)
    return numbers, same.all(axis=1) & (np.abs(again) * (divisor / factor) < MOST_NUMBER).all(axis=1)


def _values(numbers: I64, factor: float | F64, divisor: float | F64) -> F64:
    values: F64 = numbers.astype(np.float64) * factor / divisor
    return values


def _pack_average(avg: F64, near: I64, count: I64, factor: F64, divisor: F64) -> bytes:
    """Averages as the sums they came from, less what is ``near``, and by how far that misses them."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.rint(avg * count * (divisor / factor)[:, None]).astype(np.int64)
        again = _average(total, count, factor[:, None], divisor[:, None])
    return pack_ints(np.concatenate([total - near, avg.view(np.int64) - again.view(np.int64)]))


def _unpack_whole(
    streams: list[memoryview], first: I64, count: I64, factor: F64, divisor: F64, names: Collection[str]
) -> dict[str, F64]:
    rows, length = count.shape
    last = np.cumsum(unpack_ints(streams[0], rows, length), axis=1) + first
    result = {"last": _values(last, factor, divisor)} if "last" in names else {}
    if "avg" in names:
        total, missed = unpack_ints(streams[1], 2 * rows, length).reshape(2, rows, length)
        average = _average(total + count * last, count, factor, divisor)
        result["avg"] = (average.view(np.int64) + missed).view(np.float64)
    if "min" in names:
        result["min"] = _values(last - unpack_ints(streams[2], rows, length), factor, divisor)
    if "max" in names:
        result["max"] = _values(last + unpack_ints(streams[3], rows, length), factor, divisor)
    return result


def _average(total: I64, count: I64, factor: F64, divisor: F64) -> F64:
    return _values(total, factor, divisor) / np.maximum(count, 1)


def _unpack_others(streams: list[memoryview], rows: int, length: int, names: Collection[str]) -> dict[str, F64]:
    result: dict[str, F64] = {}
    if any(name in LIMITS for name in names):
        limits = unpack_bits(streams[0], 3 * rows, length).view(np.float64).reshape(3, rows, length)
        result = {name: values for name, values in zip(LIMITS, limits, strict=True) if name in names}
    if "avg" in names:
        result["avg"] = unpack_bits(streams[1], rows, length).view(np.float64)
    return result
