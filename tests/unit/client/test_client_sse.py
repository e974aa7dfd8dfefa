"""The parser of event streams: pure, fed in any pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.client.sse import MAX_LINE, Sse, SseParser

STREAM = (
    b": hello\n\nid: 1\nevent: vm.running\ndata: {}\n\nid: 2\r\ndata: a\r\ndata: b\r\n\r\nid: 3\n\ndata:\xc3\xa9\n\n"
)
MESSAGES = [Sse("vm.running", "{}", "1"), Sse("message", "a\nb", "2"), Sse("message", "é", "3")]


def test_messages_comments_and_ids() -> None:
    parser = SseParser()
    assert parser.feed(STREAM) == MESSAGES
    assert parser.last_id == "3"


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    parser = SseParser()
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [one for start, end in itertools.pairwise(edges) for one in parser.feed(STREAM[start:end])]
    assert found == MESSAGES


def test_an_unfinished_message_is_not_given() -> None:
    parser = SseParser()
    assert parser.feed(b"id: 7\ndata: half\n") == []
    assert parser.last_id == ""
    assert parser.feed(b"\n") == [Sse("message", "half", "7")]
    assert parser.last_id == "7"


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        SseParser().feed(b"x" * (MAX_LINE + 1))
