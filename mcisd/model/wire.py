"""The agent link's wire form: length-prefixed messages over one TLS connection.

Both ends use this file. The agent carries it in its zipapp, so it is stdlib only, runs on Python 3.6 and
keeps annotations in quotes. Nothing here does I/O.

A message is ``length u32 big-endian (of type + payload) | type u8 | payload``. Payloads are JSON objects
except FRAME and ACK, which are binary little-endian:

    FRAME   schema u32 | seq u64 | time_ms i64 | flags u32 | one f64 per column of the schema
    ACK     replay u64 | live u64: how far the frames of each lane are safe with the daemon

A link has two lanes. When it comes up, the agent's kept frames from before the current window are *replayed*, at the
pace that WELCOME allows; those of the current window and all that are measured from then on are *live* and always go
first. In each lane numbers only grow, and an acknowledgement covers the lane's frames up to its number.

The current window is the one in which ``time_ms`` of HELLO lies: windows are ``window_ms`` wide, and each time of the
agent is corrected by ``skew_ms``, as WELCOME tells. Nothing is known of earlier links: all that is kept is sent again.

JSON goes through ``_json``, the C part of the module ``json``, where it has the form known here: the same encoder and
scanner without 1.5 MB of Python on top, half of it regular expressions. Whatever it refuses, ``json`` judges again.

A NaN in a frame means "not measured". Sequence numbers grow strictly over the whole life of an installed
agent, restarts included, so (VM, seq) names a frame for ever.
"""

import struct
import sys

MYPY = False
if MYPY:
    from collections.abc import Sequence
LIGHT = (3, 6) <= sys.version_info[:2] <= (3, 13)
if MYPY or LIGHT:
    import _json

PROTOCOL = 2
MAX_MESSAGE = 1 << 20

# up: {"protocol", "vm", "token", "agent", "session", "time_ms", "link": that of the last WELCOME or 0,
#   "stay": true if it was sent here, or found no other server: it should not be sent on}
HELLO = 1
# down: {"link": number of this link, above all before, "seen": highest seq known, "interval_ms", "time_ms",
#   "window_ms", "skew_ms", "replay_per_s", "servers"?: [[host, port], …] to call when this one is gone}
WELCOME = 2
SCHEMA = 3  # up: {"id": u32, "columns": [[measurement, field, {tag: value}, "g" | "c"], ...]}
FRAME = 4  # up, binary
ACK = 5  # down, binary
COMMAND = 6  # down: {"id": str, "op": "measure" | "interval" | "move" | "stop", ...}
REPLY = 7  # up: {"id": str, "ok": bool, "error"?: str, "schema"?: u32, "time_ms"?: int, "values"?: [f64 | null]}
REFUSED = 8  # down, then the link closes: {"code": str, "reason": str, "servers"?: where to call instead}
BYE = 9  # up, before an orderly close: {"reason"?: "moved"}
REPLAY_DONE = 10  # up, once in a link: {}; all frames of the replay lane have been sent

GAUGE = "g"
COUNTER = "c"

REPLAYED = 1  # frame flag: of the replay lane

_HEAD = struct.Struct(">IB")
_FRAME = struct.Struct("<IQqI")
_ACK = struct.Struct("<QQ")


_SPACE = " \t\n\r"


class _Scan:
    """The settings of the scanner: those of ``json.loads``."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float  # it understands NaN, Infinity and -Infinity


def _not_json(value: "object") -> "object":
    raise TypeError("%s is not JSON serializable" % type(value).__name__)


class WireError(ValueError):
    """The peer sent what is not a message of this protocol."""


def to_json(value: "object", sort_keys: "bool" = False) -> "str":
    """``value`` as compact ASCII JSON. Raises TypeError, ValueError for what JSON cannot hold."""
    if not LIGHT:
        import json

        return json.dumps(value, separators=(",", ":"), sort_keys=sort_keys)
    encoder = _json.encode_basestring_ascii
    encode = _json.make_encoder({}, _not_json, encoder, None, ":", ",", sort_keys, False, True)
    return "".join(encode(value, 0))


def from_json(text: "str") -> "object":
    """The value of a JSON text. Raises ValueError."""
    if LIGHT:
        try:
            scan = _json.make_scanner(_Scan)  # type: ignore[arg-type]  # any object with these attributes will do
            value, end = scan(text.lstrip(_SPACE), 0)
            if end == len(text.strip(_SPACE)):
                return value
        except (StopIteration, SystemError, ValueError, RecursionError):
            value = None  # bad JSON: some versions have no words for it unless the module json is loaded
    import json

    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def pack(kind: "int", payload: "bytes") -> "bytes":
    """One message, ready to send."""
    return _HEAD.pack(len(payload) + 1, kind) + payload


def pack_json(kind: "int", body: "dict[str, object]") -> "bytes":
    """One message with a JSON payload, ready to send."""
    return pack(kind, to_json(body).encode())


def unpack_json(payload: "bytes") -> "dict[str, object]":
    """The JSON object of a payload."""
    try:
        body = from_json(payload.decode())
    except ValueError as error:
        raise WireError("payload is not JSON: %s" % error) from None
    if not isinstance(body, dict):
        raise WireError("payload is not a JSON object")
    return body


def pack_frame(schema: "int", seq: "int", time_ms: "int", flags: "int", values: "Sequence[float]") -> "bytes":
    """One FRAME message of one measuring tick; ``values`` in the order of the schema's columns."""
    return pack(FRAME, _FRAME.pack(schema, seq, time_ms, flags) + struct.pack("<%dd" % len(values), *values))


def unpack_frame(payload: "bytes") -> "tuple[int, int, int, int, bytes]":
    """``(schema, seq, time_ms, flags, column bytes)`` of a FRAME payload; the columns stay little-endian f64."""
    if len(payload) < _FRAME.size or (len(payload) - _FRAME.size) % 8:
        raise WireError("frame of %d bytes" % len(payload))
    schema, seq, time_ms, flags = _FRAME.unpack_from(payload)
    return schema, seq, time_ms, flags, payload[_FRAME.size :]


def pack_ack(replay: "int", live: "int") -> "bytes":
    """One ACK message."""
    return pack(ACK, _ACK.pack(replay, live))


def unpack_ack(payload: "bytes") -> "tuple[int, int]":
    """How far the frames of the replay and of the live lane are safe, of an ACK payload."""
    if len(payload) != _ACK.size:
        raise WireError("ack of %d bytes" % len(payload))
    replay, live = _ACK.unpack(payload)
    return replay, live


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
