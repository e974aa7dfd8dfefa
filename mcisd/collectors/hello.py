"""What an agent says first, checked: a JSON payload in, typed values or a wire error out. Pure."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mcisd.collectors.rates import RatedSchema
from mcisd.model import wire
from mcisd.model.samples import RATE, Schema

_VM = re.compile(r"[a-z0-9-]{1,16}")
_LATEST_MS = 1 << 53


@dataclass(frozen=True, slots=True)
class Hello:
    """The HELLO of an agent. ``token`` is a secret."""

    vm: str
    token: str
    agent: str
    protocol: int
    time_ms: int
    link: int
    stay: bool = False  # it was sent here, or could not reach the server before this one: do not send it on

    def __repr__(self) -> str:
        return f"Hello(vm={self.vm!r}, agent={self.agent!r}, protocol={self.protocol})"


def parse_hello(payload: bytes) -> Hello:
    """Raises WireError on anything that is not a HELLO."""
    match wire.unpack_json(payload):
        case {"protocol": int(protocol), "vm": str(vm), "token": str(token), "time_ms": int(time_ms), **rest}:
            link = rest.get("link", 0)  # protocol 1 had none; it is told so in a REFUSED that it understands
            if not _VM.fullmatch(vm) or len(token) > 4096 or not 0 <= time_ms <= _LATEST_MS:
                raise wire.WireError("HELLO with a value out of bounds")
            if not isinstance(link, int) or not 0 <= link <= _LATEST_MS:
                raise wire.WireError("HELLO with a link that is no number")
            return Hello(vm, token, str(rest.get("agent", ""))[:80], protocol, time_ms, link, rest.get("stay") is True)
    raise wire.WireError("HELLO without protocol, vm, token and time_ms")


@lru_cache(maxsize=256)
def parse_schema(payload: bytes) -> tuple[int, RatedSchema]:
    """The number and the columns of a SCHEMA. Raises WireError.

    Agents on equal hosts say the same, to the byte: they share one parsed schema, which nobody changes.
    """
    match wire.unpack_json(payload):
        case {"id": int(number), "columns": list(columns)} if columns:
            try:
                schema = Schema.from_json(json.dumps(columns))
            except ValueError as error:
                raise wire.WireError(f"SCHEMA: {error}") from None
            if any(column.kind == RATE for column in schema.columns):
                raise wire.WireError("SCHEMA with a rate; rates are made here")
            if len({(c.measurement, c.field, c.tags) for c in schema.columns}) != len(schema.columns):
                raise wire.WireError("SCHEMA names a series twice")
            return number, RatedSchema(schema)
    raise wire.WireError("SCHEMA without id and columns")


def parse_measured(reply: dict[str, object]) -> tuple[int, int, NDArray[np.float64]]:
    """``(schema number, time in ms, values)`` of the answer to "measure". Raises WireError."""
    match reply:
        case {"schema": int(number), "time_ms": int(time_ms), "values": list(values)}:
            if any(v is not None and not isinstance(v, int | float) for v in values):
                raise wire.WireError("REPLY with values that are no numbers")
            try:
                return number, time_ms, np.array([np.nan if v is None else v for v in values], dtype=np.float64)
            except OverflowError:
                raise wire.WireError("REPLY with a value that is too large") from None
    raise wire.WireError("REPLY without schema, time_ms and values")
