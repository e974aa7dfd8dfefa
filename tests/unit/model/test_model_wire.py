"""The wire form: messages come out as they went in, however the network cuts them; nonsense is a WireError."""

import array
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.model import wire

MESSAGES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=200)), max_size=12)
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
JSON = st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none()))


@given(MESSAGES, st.lists(st.integers(1, 50), min_size=1))
def test_a_stream_cut_anywhere_gives_the_same_messages(messages: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(wire.pack(kind, payload) for kind, payload in messages)
    buffer, taken, at, turn = bytearray(), [], 0, 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        buffer += stream[at : at + step]
        taken += wire.take(buffer)
        at, turn = at + step, turn + 1
    assert taken == messages
    assert not buffer


@given(U32, U64, st.integers(-(2**63), 2**63 - 1), U32, st.lists(st.floats(width=64), max_size=20))
def test_a_frame_keeps_every_bit(schema: int, seq: int, time_ms: int, flags: int, values: list[float]) -> None:
    message = bytearray(wire.pack_frame(schema, seq, time_ms, flags, array.array("d", values)))
    [(kind, payload)] = wire.take(message)
    assert kind == wire.FRAME
    assert wire.unpack_frame(payload) == (schema, seq, time_ms, flags, struct.pack(f"<{len(values)}d", *values))


@given(U64, U64)
def test_an_acknowledgement_comes_back(replay: int, live: int) -> None:
    [(kind, payload)] = wire.take(bytearray(wire.pack_ack(replay, live)))
    assert (kind, wire.unpack_ack(payload)) == (wire.ACK, (replay, live))


@given(JSON)
def test_json_payloads_come_back(body: dict[str, object]) -> None:
    [(kind, payload)] = wire.take(bytearray(wire.pack_json(wire.COMMAND, body)))
    assert (kind, wire.unpack_json(payload)) == (wire.COMMAND, body)


@pytest.mark.parametrize("length", [0, wire.MAX_MESSAGE + 1, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_refused_before_its_bytes_come(length: int) -> None:
    with pytest.raises(wire.WireError, match=f"message of {length} bytes"):
        wire.take(bytearray(length.to_bytes(4, "big")))


@given(st.binary(max_size=300))
def test_nonsense_is_a_wire_error_or_nothing(noise: bytes) -> None:
    for read in (wire.unpack_json, wire.unpack_frame, wire.unpack_ack, lambda data: wire.take(bytearray(data))):
        try:
            read(noise)
        except wire.WireError:
            continue


@pytest.mark.parametrize("payload", [b"", b"[1]", b"\xff", b'"text"', b"{"])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(wire.WireError, match="payload is not"):
        wire.unpack_json(payload)
