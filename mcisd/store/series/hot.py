"""The log of an hour that still changes: rows of windows in, durable when ``append`` returns; grids of a VM out.

A frame is what one write brought, with a checksum, so after a crash it is there whole or not at all. All parts of it
are a multiple of 8 bytes long: the file as a whole is an array of floats that a query takes its cells from.
"""

import itertools
import logging
import mmap
import os
import struct
import weakref
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from mcisd.store.series.base import F64, I64, STATISTICS
from mcisd.store.series.grid import Grid
from mcisd.store.series.rows import Rows

log = logging.getLogger(__name__)

FRAME = struct.Struct("<4sIQ")  # magic, CRC-32 of what follows the head, its length
BLOCK = struct.Struct("<qqq")  # rows, series, width
MAGIC = b"mcH1"
FIRST_PLACES = 1024
VM, START, PLACE, LAYOUT = range(4)
Layout = tuple[int, I64]
"""Width and series of rows."""


class HotLog:
    """One thread appends, others may read at the same time: they see the rows that were there when they began."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if it is not there; what a crash tore off at its end is cut away. Blocks. OSError."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._close = weakref.finalize(self, os.close, self._file)  # no reader may find another file behind its number
        self._index = np.empty((4, FIRST_PLACES), dtype=np.int64)
        self._rows = 0
        self._layouts: list[Layout] = []
        self._numbers: dict[bytes, int] = {}
        self._words: F64 = np.empty(0)
        self._end = 0
        self._recover()

    def __len__(self) -> int:
        return self._rows

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._end

    def append(self, parts: Sequence[Rows]) -> None:
        """Write rows in their order and wait until they are on the disk. OSError: then nothing of them is there."""
        pieces: list[bytes] = []
        for rows in parts:
            head = BLOCK.pack(len(rows), len(rows.series), rows.width_ms)
            arrays = (rows.series, rows.vms, rows.starts_ms, rows.values)
            pieces += [head, *(np.ascontiguousarray(array).tobytes() for array in arrays)]
        body = b"".join(pieces)
        self._write([FRAME.pack(MAGIC, zlib.crc32(body), len(body)), body])
        at = self._end + FRAME.size
        for rows in parts:
            at = self._note(rows, at)
        self._end = at

    def vms(self) -> I64:
        count = self._rows
        return np.unique(self._index[VM, :count])

    def pieces(self, vms: I64, wanted: I64 | None, names: Collection[str]) -> Iterator[Grid]:
        """Rows of these VMs, VM by VM and in the order they were written; of ``wanted`` series or, if None, of all."""
        count = self._rows  # before the index: it may grow meanwhile, but what is in it stays
        index = self._index[:, :count]
        found = np.flatnonzero(index[VM] == vms[0] if len(vms) == 1 else np.isin(index[VM], vms))
        if not len(found):
            return
        found = found[np.argsort(index[VM, found], kind="stable")]
        vm, start, place, layout = index[:, found]
        words = self._view()
        cuts = np.flatnonzero((vm[1:] != vm[:-1]) | (layout[1:] != layout[:-1])) + 1
        edges = [0, *cuts.tolist(), len(vm)]
        for low, high in itertools.pairwise(edges):
            width, series = self._layouts[int(layout[low])]
            columns = np.arange(len(series)) if wanted is None else np.flatnonzero(np.isin(series, wanted))
            if not len(columns):
                continue
            cell = columns[:, None] + place[low:high]
            stats = {name: words[cell + STATISTICS.index(name) * len(series)] for name in names}
            counts = words[cell + STATISTICS.index("count") * len(series)].astype(np.int64)
            yield Grid(int(vm[low]), width, series[columns], start[low:high], stats, counts)

    def close(self) -> None:
        """Let the file go; nobody may read it any more."""
        self._close()

    def remove(self) -> None:
        """Readers that have begun go on; the last one lets the file go."""
        self.path.unlink(missing_ok=True)

    def _write(self, pieces: list[bytes]) -> None:
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise

    def _note(self, rows: Rows, at: int) -> int:
        """Enter a block that begins at byte ``at`` into the index; where the next one begins."""
        head = BLOCK.size + 8 * (len(rows.series) + 2 * len(rows))
        key = rows.key()
        if key not in self._numbers:
            self._layouts.append((rows.width_ms, rows.series))
            self._numbers[key] = len(self._layouts) - 1
        low, high = self._rows, self._rows + len(rows)
        if high > self._index.shape[1]:
            grown = np.empty((4, max(high, 2 * self._index.shape[1])), dtype=np.int64)
            grown[:, :low] = self._index[:, :low]
            self._index = grown
        size = len(STATISTICS) * len(rows.series)
        self._index[VM, low:high] = rows.vms
        self._index[START, low:high] = rows.starts_ms
        self._index[PLACE, low:high] = (at + head) // 8 + size * np.arange(len(rows))
        self._index[LAYOUT, low:high] = self._numbers[key]
        self._rows = high
        return at + head + 8 * size * len(rows)

    def _view(self) -> F64:
        """The file as floats, at least as far as the index goes."""
        size = os.fstat(self._file).st_size
        if size // 8 > len(self._words):
            self._words = np.frombuffer(mmap.mmap(self._file, size, access=mmap.ACCESS_READ), "<f8", size // 8)
        return self._words

    def _recover(self) -> None:
        size = os.fstat(self._file).st_size
        if size:
            whole = memoryview(mmap.mmap(self._file, size, access=mmap.ACCESS_READ))
            while self._end < size and (body := _body(whole, self._end)) is not None:
                at = self._end + FRAME.size
                for rows in _blocks(body):
                    at = self._note(rows, at)
                self._end = at
        if self._end < size:
            log.warning("%s: cut off %d bytes of a write that was not finished", self.path, size - self._end)
            os.ftruncate(self._file, self._end)


def _body(whole: memoryview, at: int) -> memoryview | None:
    """The frame at byte ``at``; None if it is not whole."""
    if len(whole) - at < FRAME.size:
        return None
    magic, checksum, length = FRAME.unpack_from(whole, at)
    body = whole[at + FRAME.size : at + FRAME.size + length]
    return body if magic == MAGIC and len(body) == length and zlib.crc32(body) == checksum else None


def _blocks(body: memoryview) -> Iterator[Rows]:
    at = 0
    while at < len(body):
        count, columns, width = BLOCK.unpack_from(body, at)
        at += BLOCK.size
        numbers = np.frombuffer(body, "<i8", columns + 2 * count, at).copy()
        at += 8 * len(numbers)
        values = np.frombuffer(body, "<f8", count * len(STATISTICS) * columns, at).reshape(count, -1, columns)
        at += values.nbytes
        yield Rows(width, numbers[:columns], numbers[columns : columns + count], numbers[columns + count :], values)
