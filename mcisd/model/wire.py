"""The agent link's wire form: length-prefixed messages over one TLS connection.

Both ends use this file. The agent carries it in its zipapp, so it is stdlib only, runs on Python 3.6 and
keeps annotations in quotes. Nothing here does I/O.

A message is ``length u32 big-endian (of type + payload) | type u8 | payload``. Payloads are JSON objects
except FRAME and ACK, which are binary little-endian:

    FRAME   schema u32 | seq u64 | time_ms i64 | flags u32 | one f64 per column of the schema
    ACK     seq u64: every frame with this or a smaller sequence number is safe with the daemon

A NaN in a frame means "not measured". Sequence numbers grow strictly over the whole life of an installed
agent, restarts included, so (VM, seq) names a frame for ever.
"""

import array
import json
import struct
import sys

PROTOCOL = 1
MAX_MESSAGE = 1 << 20

HELLO = 1  # up: {"protocol", "vm", "token", "agent", "session", "time_ms"}
WELCOME = 2  # down: {"acked": seq, "interval_ms": int, "time_ms": int}
SCHEMA = 3  # up: {"id": u32, "columns": [[measurement, field, {tag: value}, "g" | "c"], ...]}
FRAME = 4  # up, binary
ACK = 5  # down, binary
COMMAND = 6  # down: {"id": str, "op": "measure" | "interval" | "stop", ...}
REPLY = 7  # up: {"id": str, "ok": bool, "error"?: str, "schema"?: u32, "time_ms"?: int, "values"?: [f64 | null]}
REFUSED = 8  # down, then the link closes: {"code": str, "reason": str}
BYE = 9  # up, before an orderly close: {}

GAUGE = "g"
COUNTER = "c"

REPLAYED = 1  # frame flag: was kept on disk while the link was down

_HEAD = struct.Struct(">IB")
_FRAME = struct.Struct("<IQqI")
_ACK = struct.Struct("<Q")
_LITTLE = sys.byteorder == "little"


class WireError(ValueError):
    """The peer sent what is not a message of this protocol."""


def pack(kind: "int", payload: "bytes") -> "bytes":
    """One message, ready to send."""
    return _HEAD.pack(len(payload) + 1, kind) + payload


def pack_json(kind: "int", body: "dict[str, object]") -> "bytes":
    """One message with a JSON payload, ready to send."""
    return pack(kind, json.dumps(body, separators=(",", ":")).encode())


def unpack_json(payload: "bytes") -> "dict[str, object]":
    """The JSON object of a payload."""
    try:
        body = json.loads(payload.decode())
    except ValueError as error:
        raise WireError("payload is not JSON: %s" % error) from None
    if not isinstance(body, dict):
        raise WireError("payload is not a JSON object")
    return body


def pack_frame(schema: "int", seq: "int", time_ms: "int", flags: "int", values: "array.array[float]") -> "bytes":
    """One FRAME message of one measuring tick; ``values`` in the order of the schema's columns."""
    if not _LITTLE:
        values = array.array("d", values)
        values.byteswap()
    return pack(FRAME, _FRAME.pack(schema, seq, time_ms, flags) + values.tobytes())


def unpack_frame(payload: "bytes") -> "tuple[int, int, int, int, bytes]":
    """``(schema, seq, time_ms, flags, column bytes)`` of a FRAME payload; the columns stay little-endian f64."""
    if len(payload) < _FRAME.size or (len(payload) - _FRAME.size) % 8:
        raise WireError("frame of %d bytes" % len(payload))
    schema, seq, time_ms, flags = _FRAME.unpack_from(payload)
    return schema, seq, time_ms, flags, payload[_FRAME.size :]


def pack_ack(seq: "int") -> "bytes":
    """One ACK message."""
    return pack(ACK, _ACK.pack(seq))


def unpack_ack(payload: "bytes") -> "int":
    """The sequence number of an ACK payload."""
    if len(payload) != _ACK.size:
        raise WireError("ack of %d bytes" % len(payload))
    number = _ACK.unpack(payload)[0]
    assert isinstance(number, int)
    return number


def take(buffer: "bytearray") -> "list[tuple[int, bytes]]":
    """Cut all whole messages off the front of ``buffer`` as ``(type, payload)``; the rest stays in it."""
    messages = []
    at = 0
    end = len(buffer)
    while end - at >= 4:
        length = int.from_bytes(buffer[at : at + 4], "big")
        if not 1 <= length <= MAX_MESSAGE:
            raise WireError("message of %d bytes" % length)
        if end - at < 4 + length:
            break
        messages.append((buffer[at + 4], bytes(buffer[at + 5 : at + 4 + length])))
        at += 4 + length
    if at:
        del buffer[:at]
    return messages
