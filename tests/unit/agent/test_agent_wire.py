"""The wire form: what is packed is taken again, whatever the chunks."""

import array
import json
import math
import sys

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


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_ack_round_trip(replay: int, live: int) -> None:
    [(kind, payload)] = wire.take(bytearray(wire.pack_ack(replay, live)))
    assert (kind, wire.unpack_ack(payload)) == (wire.ACK, (replay, live))


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


@pytest.mark.parametrize("light", [True, False])
@given(value=JSON, sort=st.booleans())
def test_json_is_that_of_the_standard_library(light: bool, value: object, sort: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "LIGHT", light)
        text = wire.to_json(value, sort)
        assert text == json.dumps(value, separators=(",", ":"), sort_keys=sort)
        assert wire.from_json(f" \n{json.dumps(value, indent=1)}\t") == value


@pytest.mark.parametrize("light", [True, False])
@given(text=st.text(alphabet='{}[]",:0123456789.eE+-truefalsnN I\\u\x00\ufeff ') | st.text())
def test_any_text_is_judged_as_by_the_standard_library(light: bool, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "LIGHT", light)
        try:
            expected = json.loads(text)
        except ValueError:
            with pytest.raises(ValueError, match=r".+"):
                wire.from_json(text)
        else:
            assert wire.to_json(wire.from_json(text)) == wire.to_json(expected)


@pytest.mark.parametrize("value", [{"a": b"x"}, [object()], {("a",): 1}])
def test_what_json_cannot_hold_is_an_error(value: object) -> None:
    with pytest.raises(TypeError):
        wire.to_json(value)
    around: list[object] = []
    around.append(around)
    with pytest.raises(ValueError, match="Circular"):
        wire.to_json(around)


def test_json_nested_too_deep_is_an_error() -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_json(b"[" * (sys.getrecursionlimit() * 100))
