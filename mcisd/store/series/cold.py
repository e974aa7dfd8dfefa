"""The file of an hour that is over: chunks in, written once and never changed; chunks of a VM out.

The file is ``magic | chunk … | index | entries u64 | CRC-32 of the index u64 | magic``; the index is an array of the
fields of ``INDEX`` for each chunk, ordered by VM. A chunk holds series of one measurement only. Chunks that VMs share
belong to NOBODY and say in ``low`` and ``high`` whose they may be.
"""

import mmap
import os
import struct
import zlib
from collections.abc import Collection, Container, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mcisd.model.errors import StoreError
from mcisd.store.series.base import I64
from mcisd.store.series.chunks import decode
from mcisd.store.series.grid import VALUES, Grid

MAGIC = b"mcisdC1\n"
TAIL = struct.Struct("<QQ8s")
INDEX = ("vm", "first_series", "offset", "length", "checksum", "cells", "low", "high")
VM, FIRST, OFFSET, LENGTH, CHECKSUM, CELLS, LOW, HIGH = range(len(INDEX))
NOBODY = -1


class Entry(NamedTuple):
    """One chunk: its bytes and what the index says of it."""

    vm: int
    first_series: int
    cells: int
    data: bytes | memoryview
    span: tuple[int, int] = (NOBODY, NOBODY)


class ColdFile:
    """Opened at the first use; what was read stays readable after the file was removed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def vms(self) -> I64:
        vms: I64 = np.setdiff1d(self._index[VM], [NOBODY])
        return vms

    def cells_of(self, vms: I64) -> int:
        """How many cells these VMs have."""
        return int(self._index[CELLS, np.isin(self._index[VM], vms)].sum())

    def find(self, vms: I64, firsts: Container[int] | None = None) -> list[int]:
        """Places of the chunks of these VMs whose first series is one of ``firsts``; ordered by VM."""
        lows, highs = np.searchsorted(self._index[VM], [vms, vms + 1]).tolist()
        places = [place for low, high in zip(lows, highs, strict=True) for place in range(low, high)]
        return places if firsts is None else [place for place in places if int(self._index[FIRST, place]) in firsts]

    def find_shared(self, vms: I64, firsts: Container[int] | None = None) -> list[int]:
        """Places of the chunks of NOBODY that may hold some of these VMs, which are in ascending order."""
        shared = self._index[:, : np.searchsorted(self._index[VM], 0)]
        some = np.searchsorted(vms, shared[LOW]) < np.searchsorted(vms, shared[HIGH], side="right")
        return [
            place for place in np.flatnonzero(some).tolist() if firsts is None or int(shared[FIRST, place]) in firsts
        ]

    def head(self, place: int) -> tuple[int, int]:
        """VM and first series of a chunk."""
        return int(self._index[VM, place]), int(self._index[FIRST, place])

    def entry(self, place: int) -> Entry:
        """StoreError if the chunk is damaged."""
        vm, first, offset, length, checksum, cells, low, high = self._index[:, place].tolist()
        data = self._whole[offset : offset + length]
        if len(data) != length or zlib.crc32(data) != checksum:
            raise self._damaged()
        return Entry(vm, first, cells, data, (low, high))

    def grids(self, places: Collection[int], names: Collection[str] = VALUES) -> Iterator[Grid]:
        for place in places:
            yield decode(memoryview(self.entry(place).data), names)

    def hold(self) -> None:
        """Open it now, as its name is about to go: readers that have not come to it yet must still find it."""
        _ = self._whole

    def remove(self) -> None:
        """Readers that have begun go on."""
        self.path.unlink(missing_ok=True)

    @cached_property
    def _whole(self) -> memoryview:
        with self.path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    @cached_property
    def _index(self) -> I64:
        whole = self._whole
        if len(whole) < len(MAGIC) + TAIL.size:
            raise self._damaged()
        entries, checksum, magic = TAIL.unpack(whole[-TAIL.size :])
        size = 8 * len(INDEX) * entries
        data = whole[-TAIL.size - size : -TAIL.size]
        if magic != MAGIC or len(data) != size or zlib.crc32(data) != checksum:
            raise self._damaged()
        return np.frombuffer(data, "<i8").reshape(len(INDEX), entries)

    def _damaged(self) -> StoreError:
        return StoreError(f"{self.path} is damaged", remedy="move it away or restore it from a backup")


def write(path: Path, chunks: Iterator[Entry]) -> int:
    """Write a file of chunks, durable when this returns; how many cells. OSError."""
    index: list[tuple[int, ...]] = []
    with path.open("wb") as file:
        file.write(MAGIC)
        for chunk in chunks:
            head = (chunk.vm, chunk.first_series, file.tell(), len(chunk.data))
            index.append((*head, zlib.crc32(chunk.data), chunk.cells, *chunk.span))
            file.write(chunk.data)
        ordered = sorted(index, key=lambda entry: entry[VM])
        table = np.array(ordered, dtype="<i8").reshape(-1, len(INDEX)).T.tobytes()
        file.write(table)
        file.write(TAIL.pack(len(index), zlib.crc32(table), MAGIC))
        file.flush()
        os.fsync(file.fileno())
    return sum(entry[CELLS] for entry in index)
