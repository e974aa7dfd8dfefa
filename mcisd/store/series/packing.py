"""Matrices of whole numbers or of floats in, few bytes out, and back. Exact to the bit, no loop over values.

Whole numbers lose the least value of their row, then every row keeps only as many bytes of each value as its greatest
needs. The bytes are laid out by their place in the value (all lowest bytes together), which is what deflate can use.
Floats are told by their 64 bits: by their number in a dictionary if few are different, else byte place by byte place.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from mcisd.store.series.base import I64

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
LEVEL = 4
STORED, DEFLATED = b"\0", b"\1"
NOISE_BITS = 7.5  # of information in a byte; deflate gains nothing on more
PLANES, NUMBERED = b"\0", b"\1"
SAMPLE = 2048  # values that stand for all of them
FEW = 0.6  # different values for each value, below which a dictionary pays
LENGTH = struct.Struct("<I")
_THRESHOLDS = np.uint64(1) << np.arange(0, 64, 8, dtype=np.uint64)


def squeeze(data: bytes) -> bytes:
    """Deflated where that helps, with one byte in front that says so."""
    if len(data) > 32 and _bits(data) < NOISE_BITS:
        small = zlib.compress(data, LEVEL)
        if len(small) < len(data):
            return DEFLATED + small
    return STORED + data


def unsqueeze(data: bytes | memoryview) -> bytes:
    """What ``squeeze`` took."""
    return zlib.decompress(data[1:]) if data[:1] == DEFLATED else bytes(data[1:])


def pack_ints(rows: I64) -> bytes:
    """Whole numbers of shape (rows, values); at least one value in a row."""
    least = rows.min(axis=1)
    rest = rows - least[:, None]  # as unsigned numbers, if a row spans more than half of all
    widths = (rest.view(np.uint64).max(axis=1)[:, None] >= _THRESHOLDS).sum(axis=1).astype(np.uint8)
    parts = [widths.tobytes(), planes(least).tobytes()]
    parts += [planes(rest[widths == width], width).tobytes() for width in np.unique(widths[widths > 0]).tolist()]
    return squeeze(b"".join(parts))


def unpack_ints(data: bytes | memoryview, count: int, length: int) -> I64:
    """The matrix of ``count`` rows of ``length`` values."""
    plain = np.frombuffer(unsqueeze(data), np.uint8)
    widths, at = plain[:count], 9 * count
    least = unplanes(plain[count:at], (count,), 8)
    rows = np.empty((count, length), dtype=np.int64)
    for width in sorted(set(widths.tolist())):  # unlike numpy's unique that is quick for few
        where = np.flatnonzero(widths == width)
        size = len(where) * length * width
        rows[where] = least[where, None] + unplanes(plain[at : at + size], (len(where), length), width)
        at += size
    return rows


def pack_bits(rows: U64) -> bytes:
    """Bits of floats, of shape (rows, values)."""
    flat = rows.ravel()
    some = flat[:: max(1, len(flat) // SAMPLE)]
    if len(np.unique(some)) < FEW * len(some) or len(flat) <= SAMPLE:
        values, places = np.unique(flat, return_inverse=True)
        if len(values) < FEW * len(flat):
            numbers = values.view(np.int64)
            steps = numbers - np.append(np.int64(0), numbers[:-1])
            parts = [pack_ints(steps[None]), pack_ints(places.reshape(rows.shape).astype(np.int64, copy=False))]
            return NUMBERED + LENGTH.pack(len(values)) + joined(parts)
    return PLANES + joined([squeeze(plane.tobytes()) for plane in planes(flat.view(np.int64))])


def unpack_bits(data: bytes | memoryview, count: int, length: int) -> U64:
    """The matrix of ``count`` rows of ``length`` values."""
    if data[:1] == NUMBERED:
        (different,) = LENGTH.unpack(data[1:5])
        steps, numbers = parted(memoryview(data)[5:])
        values = np.cumsum(unpack_ints(steps, 1, different)[0]).view(np.uint64)
        return values[unpack_ints(numbers, count, length)]
    plain = np.frombuffer(b"".join(unsqueeze(part) for part in parted(memoryview(data)[1:])), np.uint8)
    return unplanes(plain, (count, length), 8).view(np.uint64)


def planes(values: I64, width: int = 8) -> U8:
    """The lowest ``width`` bytes of each value: shape (width, values)."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)[:, :width].T


def unplanes(plain: U8, shape: tuple[int, ...], width: int) -> I64:
    """Values of ``shape`` from their lowest ``width`` bytes."""
    if width == 1:
        return plain.astype(np.int64).reshape(shape)
    values: I64 = np.zeros(shape, dtype=np.int64)
    if width == 0:
        return values
    values.view(np.uint8).reshape(-1, 8)[:, :width] = plain.reshape(width, -1).T
    return values


def joined(parts: list[bytes]) -> bytes:
    """Parts that ``parted`` can tell apart."""
    return b"".join(piece for part in parts for piece in (LENGTH.pack(len(part)), part))


def parted(data: memoryview) -> list[memoryview]:
    """The parts that ``joined`` took, not copied."""
    parts, at = [], 0
    while at < len(data):
        (size,) = LENGTH.unpack_from(data, at)
        parts.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return parts


def _bits(data: bytes) -> float:
    """About how much information is in a byte of ``data``, of the order zero."""
    some = np.frombuffer(data, np.uint8)[:: max(1, len(data) // SAMPLE)]
    shares = np.bincount(some) / len(some)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
