"""What goes from the first stage of a rule about a whole MCIS to the second: per-VM values, as they travel on the bus.

A message of topic ``groups`` (key: MCIS uid) is any number of entries of 56 bytes, little-endian:
``vm uid 16 bytes | rule uid 16 bytes | rule version u32 | reserved u32 | time f64 | value f64``.
``time`` is seconds since the epoch, never later than the frame's arrival; ``value`` is finite.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

ENTRY = struct.Struct("<16s16sIIdd")
MOST = 500
"""Entries in one message, so that it stays small for any bus."""


@dataclass(frozen=True, slots=True)
class GroupValue:
    """What one rule (uid and version) reads of one VM at ``time``."""

    vm: str
    rule: str
    version: int
    time: float
    value: float


def pack_values(values: Iterable[GroupValue]) -> bytes:
    """The bus form; uids have at most 16 bytes."""
    return b"".join(ENTRY.pack(v.vm.encode(), v.rule.encode(), v.version, 0, v.time, v.value) for v in values)


def unpack_values(message: bytes) -> list[GroupValue]:
    """Raises ValueError on what is no such message."""
    if len(message) % ENTRY.size:
        raise ValueError(f"{len(message)} bytes are no whole entries of {ENTRY.size}")
    found = [
        GroupValue(vm.rstrip(b"\0").decode(), rule.rstrip(b"\0").decode(), version, time, value)
        for vm, rule, version, _, time, value in ENTRY.iter_unpack(message)
    ]
    if not all(math.isfinite(one.time) and math.isfinite(one.value) for one in found):
        raise ValueError("a time or a value is not a finite number")
    return found
