"""Cutting streams into bounded text and lines: bytes in by callback, no network."""

import asyncssh
from hypothesis import given
from hypothesis import strategies as st

from mcisd.aio.queue import QueueClosedError
from mcisd.daemon.fleet.session import MAX_LINE, Capture, Lines


async def _drain(lines: Lines) -> list[tuple[str, str]]:
    got = []
    while True:
        try:
            got.append(await lines.queue.get())
        except QueueClosedError:
            return got
        lines.flow()


def test_capture_keeps_the_limit_of_each_stream() -> None:
    capture = Capture(4)
    capture.data_received(b"abc", None)
    assert not capture.truncated
    capture.data_received(b"def", None)
    capture.data_received(b"e", asyncssh.EXTENDED_DATA_STDERR)
    assert (capture.text(stderr=False), capture.text(stderr=True), capture.truncated) == ("abcd", "e", True)


@given(st.lists(st.text("aü\n", max_size=30), max_size=20), st.integers(1, 7), st.integers(1, 5))
async def test_lines_are_the_same_for_any_cut(texts: list[str], cut: int, size: int) -> None:
    text = "".join(texts)
    lines, data = Lines(size), text.encode()
    for at in range(0, len(data), cut):
        lines.data_received(data[at : at + cut], None)
    lines.connection_lost(None)
    expected = text.split("\n")
    if not expected[-1]:
        expected.pop()
    assert await _drain(lines) == [("stdout", line) for line in expected]


async def test_a_line_without_end_is_cut_into_pieces() -> None:
    lines = Lines(10)
    lines.data_received(b"x" * (2 * MAX_LINE + 5), asyncssh.EXTENDED_DATA_STDERR)
    lines.connection_lost(None)
    assert [len(line) for _, line in await _drain(lines)] == [MAX_LINE, MAX_LINE, 5]
