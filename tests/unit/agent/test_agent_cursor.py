"""What is safe on disk: a set of numbers, however it is told of, over restarts."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.agent.cursor import MOST_RANGES, Cursor

NEWS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


@given(NEWS, st.booleans())
@settings(deadline=None)
def test_it_covers_what_it_was_told_and_nothing_else(news: list[tuple[int, int]], restart: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cursor = Cursor(folder + "/acked")
        safe: set[int] = set()
        for above, upto in news:
            cursor.add(above, upto)
            safe.update(range(above + 1, upto + 1))
        if restart:
            cursor.save()
            cursor = Cursor(folder + "/acked")
        assert [number for number in range(1, 45) if cursor.covers(number)] == sorted(safe)
        assert all(number in safe for number in range(1, cursor.acked + 1))


@pytest.mark.parametrize("text", ["", "[[0, 5", "{}", '[["a", 1], [3]]', "\x00"])
def test_a_file_that_cannot_be_read_is_as_good_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "acked").write_text(text)
    assert Cursor(str(tmp_path / "acked")).acked == 0


def test_ranges_are_bounded(tmp_path: Path) -> None:
    cursor = Cursor(str(tmp_path / "acked"))
    for number in range(1, 3 * MOST_RANGES):
        cursor.add(10 * number, 10 * number + 5)
    cursor.save()
    assert len((tmp_path / "acked").read_text()) < 40 * MOST_RANGES
