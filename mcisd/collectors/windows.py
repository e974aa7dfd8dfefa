"""Frames of windows in, window statistics out: one numpy pass over all windows that share a schema. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcisd.model.samples import FRAME_HEAD, Column, Schema, frame_head

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Statistics = tuple[F64, F64, F64, F64, I64]
"""Average, minimum, maximum, last and count, each (group, column)."""
_HEAD_CELLS = FRAME_HEAD.size // 8


@dataclass(slots=True)
class WindowBlock:
    """Windows of one schema: ``vms[i]`` is the VM of row i, ``starts_ms[i]`` its window; statistics are (row, column).

    NaN average with count 0 means the series had no sample in that window.
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


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """All bus frames of one VM in one window, in order. ``schema`` is their schema's key, None if they have several.
    ``partition`` is where on the bus they came from."""

    vm: str
    start_ms: int
    schema: bytes | None
    frames: Sequence[bytes]
    partition: int = 0


def summarise(windows: Iterable[FrameWindow], schemas: Mapping[bytes, Schema], width_ms: int) -> Iterator[WindowBlock]:
    """One block per schema, and one per window whose VM changed its schema within it. KeyError on unknown schemas."""
    alike: dict[bytes, list[FrameWindow]] = {}
    for window in windows:
        if window.schema is None:
            columns, table = _united(window.frames, schemas)
            yield _block(columns, width_ms, [window], table)
        else:
            alike.setdefault(window.schema, []).append(window)
    for key, group in alike.items():
        columns = schemas[key].columns
        yield _block(columns, width_ms, group, _table([f for w in group for f in w.frames], len(columns)))


def statistics(table: F64, sizes: I64) -> Statistics:
    """``(avg, min, max, last, count)`` of groups of so many rows, one behind the other; what is not finite was not
    measured.

    ``table`` is (frame, column); the results are (group, column), NaN where a group has no value. Groups of one size,
    as windows mostly are, are reckoned together: (group, frame, column).
    """
    columns, alike = table.shape[1], np.unique(sizes).tolist()
    if len(alike) == 1:
        return _of_groups(table.reshape(len(sizes), alike[0], columns))
    firsts = np.cumsum(sizes) - sizes
    chosen = [(size, np.flatnonzero(sizes == size)) for size in alike]
    parts = [(groups, _of_groups(table[firsts[groups, None] + np.arange(size)])) for size, groups in chosen]
    return _together(len(sizes), columns, parts)


def _of_groups(frames: F64) -> Statistics:
    """Of (group, frame, column). Groups where everything was measured, as in nearly all, are little work."""
    valid = np.isfinite(frames)
    complete = np.logical_and.reduce(valid, axis=(1, 2))
    if complete.all():
        return _of_complete(frames)
    whole, patchy = np.flatnonzero(complete), np.flatnonzero(~complete)
    parts = [(whole, _of_complete(frames[whole])), (patchy, _of_patchy(frames[patchy], valid[patchy]))]
    return _together(len(frames), frames.shape[2], parts)


def _of_complete(frames: F64) -> Statistics:
    groups, size, columns = frames.shape
    with np.errstate(invalid="ignore", over="ignore"):
        avg = frames.sum(axis=1) / size
    count = np.full((groups, columns), size, dtype=np.int64)
    return avg, frames.min(axis=1), frames.max(axis=1), frames[:, -1].copy(), count


def _of_patchy(frames: F64, valid: NDArray[np.bool_]) -> Statistics:
    values = np.where(valid, frames, np.nan)
    count = valid.sum(axis=1, dtype=np.int64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        avg = np.where(valid, frames, 0.0).sum(axis=1) / count
        low, high = np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)
    newest = frames.shape[1] - 1 - valid[:, ::-1].argmax(axis=1)
    last = np.take_along_axis(values, newest[:, None], axis=1)[:, 0]
    return avg, low, high, last, count


def _together(groups: int, columns: int, parts: Sequence[tuple[NDArray[np.intp], Statistics]]) -> Statistics:
    """Statistics of all groups from those of some each, which say which."""
    shape = groups, columns
    found = np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape, dtype=np.int64)
    for some, part in parts:
        for into, values in zip(found, part, strict=True):
            into[some] = values
    return found


def _block(columns: tuple[Column, ...], width_ms: int, windows: list[FrameWindow], table: F64) -> WindowBlock:
    sizes = np.array([len(w.frames) for w in windows], dtype=np.int64)
    starts = np.array([w.start_ms for w in windows], dtype=np.int64)
    return WindowBlock(columns, width_ms, [w.vm for w in windows], starts, *statistics(table, sizes))


def _table(frames: Sequence[bytes], columns: int) -> F64:
    """The columns of frames as (frame, column): heads are a whole number of cells, so one view cuts them all off."""
    cells: F64 = np.frombuffer(b"".join(frames), "<f8").reshape(len(frames), _HEAD_CELLS + columns)
    return cells[:, _HEAD_CELLS:]


def _united(frames: Sequence[bytes], schemas: Mapping[bytes, Schema]) -> tuple[tuple[Column, ...], F64]:
    """Frames of different schemas over all their columns; NaN where a frame has no such column."""
    keys = [frame_head(frame)[1] for frame in frames]
    places: dict[Column, int] = {}
    for key in keys:
        for column in schemas[key].columns:
            places.setdefault(column, len(places))
    table = np.full((len(frames), len(places)), np.nan)
    for row, (key, frame) in enumerate(zip(keys, frames, strict=True)):
        where = [places[column] for column in schemas[key].columns]
        table[row, where] = _table([frame], len(where))[0]
    return tuple(places), table
