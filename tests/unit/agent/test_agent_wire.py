"""The wire form: what is packed is taken again, whatever the chunks."""

import array
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.model import wire

MESSAGES = st.lists(st.tuples(st.integers(1, 9), st.binary(max_size=300)), max_size=20)


@given(MESSAGES, st.lists(st.integers(1, 97), min_size=1, max_size=50))
def test_take_gives_what_pack_made_in_any_chunks(messages: list[tuple[int, bytes]], chunks: list[int]) -> None:
    stream = b"".join(wire.pack(kind, payload) for kind, payload in messages)
    buffer = bytearray()
    got: list[tuple[int, bytes]] = []
    at = turn = 0
    while at < len(stream):
        size = chunks[turn % len(chunks)]
        buffer += stream[at : at + size]
        at, turn = at + size, turn + 1
        got += wire.take(buffer)
    assert got == messages
    assert not buffer


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(), max_size=50),
)
def test_frame_round_trip(schema: int, seq: int, time_ms: int, flags: int, values: list[float]) -> None:
    message = bytearray(wire.pack_frame(schema, seq, time_ms, flags, array.array("d", values)))
    [(kind, payload)] = wire.take(message)
    assert kind == wire.FRAME
    *head, columns = wire.unpack_frame(payload)
    assert head == [schema, seq, time_ms, flags]
    got = array.array("d", columns)
    assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(got, values, strict=True))


@given(st.integers(0, 2**64 - 1))
def test_ack_round_trip(seq: int) -> None:
    [(kind, payload)] = wire.take(bytearray(wire.pack_ack(seq)))
    assert (kind, wire.unpack_ack(payload)) == (wire.ACK, seq)


@pytest.mark.parametrize("start", [b"\0\0\0\0", b"\xff\xff\xff\xff", (wire.MAX_MESSAGE + 1).to_bytes(4, "big")])
def test_a_length_out_of_bounds_is_an_error(start: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.take(bytearray(start))


@pytest.mark.parametrize("payload", [b"", b"[1]", b"{", b"\xff"])
def test_a_payload_that_is_no_object_is_an_error(payload: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_json(payload)


def test_a_frame_of_odd_length_is_an_error() -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_frame(b"x" * 25)
    with pytest.raises(wire.WireError):
        wire.unpack_ack(b"x")
