"""Rates of counters: two frames of a VM in, per-second values out, as extra columns behind the measured ones. Pure.

A counter that went back means that the host or the agent started anew: how much was counted in between is not known,
so the rate is "not measured" (NaN) for that tick, never a guess. The same holds for frames that lie too close
together or too far apart, which is what a clock that jumps looks like.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mcisd.model.samples import COUNTER, RATE, Column, Schema

F64 = NDArray[np.float64]
MOST_MS = 60_000
FEW = 5  # frames that are quicker to reckon one by one
_F64, _BITS = np.dtype("<f8"), np.dtype("<u8")
_INFINITE = np.array(0x7FF0_0000_0000_0000, _BITS)  # as bits: less than that is neither negative, infinite nor NaN


def per_second(previous: F64, current: F64, elapsed_ms: int, interval_ms: int = 0) -> F64:
    """Increase per second of each counter; NaN where it cannot be known. Never negative.

    Less than half the interval between two frames is not believed, nor is more than a minute (or two intervals).
    Values that are no numbers, or overflow, are for the caller to keep numpy quiet about: see ``quiet``.
    """
    rate = current - previous
    rate *= _scale(elapsed_ms, interval_ms)
    return _known(rate)


def _scale(elapsed_ms: int, interval_ms: int) -> float:
    if max(1, interval_ms // 2) <= elapsed_ms <= max(MOST_MS, 2 * interval_ms):
        return 1000.0 / elapsed_ms
    return np.nan


def _known(rate: F64) -> F64:
    """The same with NaN in place of what is negative or infinite; mostly nothing is, which is seen at one look."""
    if b"\0" not in (rate.view(_BITS) < _INFINITE).tobytes():
        return rate
    return np.where((rate >= 0) & (rate < np.inf), rate, np.nan)


def quiet() -> np.errstate:
    """A context in which numpy says nothing about values that are no numbers. Once for many frames, as it is dear."""
    return np.errstate(invalid="ignore", over="ignore")


class RatedSchema:
    """A schema as measured, and the one with the rates of its counters appended."""

    def __init__(self, measured: Schema) -> None:
        self.measured = measured
        names = {(c.measurement, c.field, c.tags) for c in measured.columns}
        rated = [(i, _rate_of(c)) for i, c in enumerate(measured.columns) if c.kind == COUNTER]
        rated = [(i, c) for i, c in rated if (c.measurement, c.field, c.tags) not in names]
        self.counters = np.array([i for i, _ in rated], dtype=np.intp)
        self.full = Schema.of(measured.columns + tuple(c for _, c in rated)) if rated else measured
        self.width = len(measured.columns)
        self.unknown = np.full(len(rated), np.nan, _F64).tobytes()  # the rates of a first frame


class Rates:
    """The last counters of one VM that is measured every ``interval_ms``, as far as one knows."""

    def __init__(self, interval_ms: int = 0) -> None:
        self.interval_ms = interval_ms
        self._schema = b""
        self._time = 0
        self._counters: F64 = np.empty(0)

    def extend(self, schema: RatedSchema, time_ms: int, columns: bytes) -> bytes:
        """The columns of a frame with its rates appended; the first frame of a schema has none."""
        if not schema.counters.size:
            return columns
        counters: F64 = np.frombuffer(columns, _F64)[schema.counters]
        rates = schema.unknown
        if schema.measured.key == self._schema:
            rates = per_second(self._counters, counters, time_ms - self._time, self.interval_ms).tobytes()
        self._schema, self._time, self._counters = schema.measured.key, time_ms, counters
        return columns + rates

    def extend_all(self, schema: RatedSchema, times_ms: Sequence[int], frames: Sequence[bytes]) -> list[bytes]:
        """The same for frames that follow each other: what ``extend`` would answer to one after the other."""
        if len(frames) <= FEW or not schema.counters.size:
            return [self.extend(schema, time_ms, columns) for time_ms, columns in zip(times_ms, frames, strict=True)]
        first = self.extend(schema, times_ms[0], frames[0])
        counters: F64 = np.frombuffer(b"".join(frames), _F64).reshape(len(frames), schema.width)[:, schema.counters]
        rates = counters[1:] - counters[:-1]
        rates *= np.array([[_scale(after - before, self.interval_ms)] for before, after in pairwise(times_ms)])
        packed, size = _known(rates).tobytes(), 8 * schema.counters.size
        self._time, self._counters = times_ms[-1], counters[-1].copy()
        return [first, *(columns + packed[i * size : (i + 1) * size] for i, columns in enumerate(frames[1:]))]


def _rate_of(column: Column) -> Column:
    return replace(column, field=column.field + "_rate", kind=RATE)
