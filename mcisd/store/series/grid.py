"""The cells of one VM as matrices of series × window: pieces from several sources in, one grid out.

Of cells that come more than once the last one counts. Numbers of VMs and series are those of the dictionary.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from mcisd.store.series.base import F64, I64

VALUES = ("avg", "min", "max", "last")


@dataclass(slots=True)
class Grid:
    """``stats[name]`` and ``count`` are of shape (series, start); a count of 0 means there is no such cell.

    A merged grid has ``series`` and ``starts_ms`` in ascending order, each once. ``stats`` may hold only some of
    VALUES; what it says of cells that are not there means nothing.
    """

    vm: int
    width_ms: int
    series: I64
    starts_ms: I64
    stats: dict[str, F64]
    count: I64

    def cells(self) -> int:
        return int(np.count_nonzero(self.count))

    def of_series(self, wanted: I64) -> "Grid":
        """Only these series."""
        rows = np.flatnonzero(np.isin(self.series, wanted))
        if len(rows) == len(self.series):
            return self
        stats = {name: values[rows] for name, values in self.stats.items()}
        return Grid(self.vm, self.width_ms, self.series[rows], self.starts_ms, stats, self.count[rows])

    def between(self, start_ms: int, end_ms: int) -> "Grid":
        """Only windows that start in [start_ms, end_ms); of a merged grid."""
        low, high = np.searchsorted(self.starts_ms, [start_ms, end_ms]).tolist()
        if (low, high) == (0, len(self.starts_ms)):
            return self
        stats = {name: values[:, low:high] for name, values in self.stats.items()}
        return Grid(self.vm, self.width_ms, self.series, self.starts_ms[low:high], stats, self.count[:, low:high])

    def compact(self) -> "Grid":
        """Without series and windows that have no cell."""
        rows, places = self.count.any(axis=1), self.count.any(axis=0)
        if rows.all() and places.all():
            return self
        inner = np.ix_(rows, places)
        stats = {name: values[inner] for name, values in self.stats.items()}
        return Grid(self.vm, self.width_ms, self.series[rows], self.starts_ms[places], stats, self.count[inner])


def merged(pieces: Sequence[Grid], names: Collection[str]) -> Grid:
    """The cells of all pieces of one VM and one width; later pieces, and later windows in a piece, win."""
    first = pieces[0]
    if len(pieces) == 1 and _ascending(first.series) and _ascending(first.starts_ms):
        return first
    series = np.unique(np.concatenate([piece.series for piece in pieces]))
    starts = np.unique(np.concatenate([piece.starts_ms for piece in pieces]))
    shape = (len(series), len(starts))
    whole = Grid(first.vm, first.width_ms, series, starts, {}, np.zeros(shape, dtype=np.int64))
    whole.stats = {name: np.zeros(shape) for name in names}
    for piece in pieces:
        _lay_over(whole, piece)
    return whole


def _lay_over(whole: Grid, piece: Grid) -> None:
    rows = np.searchsorted(whole.series, piece.series)
    places = np.searchsorted(whole.starts_ms, piece.starts_ms)
    if piece.count.all() and _ascending(piece.starts_ms):
        target = np.ix_(rows, places)
        whole.count[target] = piece.count
        for name, values in whole.stats.items():
            values[target] = piece.stats[name]
        return
    row, place = np.nonzero(piece.count)
    to_row, to_place = rows[row], places[place]
    # Within a row the places come in the order they were written, and the last assignment stays.
    whole.count[to_row, to_place] = piece.count[row, place]
    for name, values in whole.stats.items():
        values[to_row, to_place] = piece.stats[name][row, place]


def _ascending(values: I64) -> bool:
    return bool((values[1:] > values[:-1]).all())
