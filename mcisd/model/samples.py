"""Samples: the schema of a frame, and the frame as it travels on the bus.

A schema names the columns once; a frame is one measuring tick of one VM: an array of little-endian f64, one per
column, NaN where nothing was measured. A schema is known by the hash of its content, so any consumer of the topic can
resolve it, and two agents that measure the same share it. No Python object per sample anywhere.

A bus frame (value of topic ``metrics``, key = VM uid) is
``vm uid 16 bytes | schema hash 16 bytes | seq u64 | time_ms i64 | link u64 | flags u32 | reserved u32 | f64 …``,
little-endian. The same frame may be there several times, as an agent sends again what was not acknowledged: ``seq``
names it, ``link`` grows from one link of the VM to the next.
"""

import hashlib
import json
import struct
from dataclasses import dataclass

FRAME_HEAD = struct.Struct("<16s16sQqQII")
GAUGE, COUNTER, RATE = "g", "c", "r"

REPLAYED = 1  # flag: was kept by the agent, and comes behind what is measured now
FIRST = 2  # flag: the first of its window on this link; those that follow without it belong to the same sending


@dataclass(frozen=True, slots=True)
class Column:
    """One series of a VM: ``measurement.field{tags}``; ``kind`` gauge, counter, or rate (derived, per second)."""

    measurement: str
    field: str
    tags: tuple[tuple[str, str], ...]
    kind: str

    @property
    def series(self) -> str:
        """Its name in one string: ``cpu,cpu=cpu-total usage_user``."""
        return ",".join([self.measurement, *(f"{k}={v}" for k, v in self.tags)]) + " " + self.field


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a frame, in order. ``key`` is 16 bytes of the content's SHA-256."""

    key: bytes
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, columns: tuple[Column, ...]) -> "Schema":
        text = json.dumps([[c.measurement, c.field, c.tags, c.kind] for c in columns], separators=(",", ":"))
        return cls(hashlib.sha256(text.encode()).digest()[:16], columns)

    def to_json(self) -> str:
        return json.dumps([[c.measurement, c.field, dict(c.tags), c.kind] for c in self.columns])

    @classmethod
    def from_json(cls, text: str | bytes) -> "Schema":
        """Raises ValueError on what is not a schema."""
        rows = json.loads(text)
        if not isinstance(rows, list):
            raise ValueError("a schema is a list of columns")
        return cls.of(tuple(_column(row) for row in rows))


def _column(row: object) -> Column:
    match row:
        case [str(measurement), str(name), dict(tags), str(kind)] if kind in (GAUGE, COUNTER, RATE):
            return Column(measurement, name, tuple(sorted((str(k), str(v)) for k, v in tags.items())), kind)
    raise ValueError(f"not a column: {row!r:.80}")


def pack_frame(vm: str, schema: bytes, seq: int, time_ms: int, flags: int, columns: bytes, link: int = 0) -> bytes:
    """The bus form of one frame."""
    return FRAME_HEAD.pack(vm.encode().ljust(16, b"\0"), schema, seq, time_ms, link, flags, 0) + columns


def frame_head(value: bytes) -> tuple[str, bytes, int, int, int]:
    """``(vm, schema hash, seq, time_ms, flags)`` of a bus frame; the columns start at FRAME_HEAD.size."""
    vm, schema, seq, time_ms, _, flags, _ = FRAME_HEAD.unpack_from(value)
    return vm.rstrip(b"\0").decode(), schema, seq, time_ms, flags
