"""Texts of notifications: all names come out as they went in, in order, none too long for the database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.model.errors import TooLargeError
from mcisd.store.metadata.signals import ROOM, Signals, check_hint

NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just("ä" * 3000), max_size=30)


class Ear:
    """Another process: notes all it is told."""

    def __init__(self) -> None:
        self.signals = Signals()
        self.names: list[str] = []
        self.commits = 0
        self.signals.on_hint(self.names.append)
        self.signals.on_commit(self._committed)

    def _committed(self) -> None:
        self.commits += 1


@given(committed=st.booleans(), names=NAMES)
def test_there_and_back(committed: bool, names: list[str]) -> None:
    sender, ear = Ear(), Ear()
    texts = sender.signals.texts(names) + [sender.signals.commit] * committed
    for text in texts:
        assert len(text.encode()) < 8000
        ear.signals.hear(text)
        sender.signals.hear(text)
    assert (ear.names, ear.commits) == (names, int(committed))
    assert (sender.names, sender.commits) == ([], 0), "its own texts were told at once, not again"
    assert bool(texts) == (committed or bool(names))


def test_few_texts() -> None:
    assert len(Signals().texts(["x" * 10] * 1000)) == 2
    assert Signals().texts([]) == []


def test_names_too_long() -> None:
    check_hint("x" * (ROOM - 3))
    for name in ("x" * (ROOM - 2), "ä" * 3900, "\n" * 3900):
        with pytest.raises(TooLargeError):
            check_hint(name)


def test_who_leaves_hears_no_more() -> None:
    signals, heard = Signals(), list[str]()
    remove = signals.on_hint(heard.append)
    signals.tell(False, ["a"])
    remove()
    remove()
    signals.tell(True, ["b"])
    assert heard == ["a"]
