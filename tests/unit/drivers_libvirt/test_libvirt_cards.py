"""Cards: what stands on libvirt's objects. In: odd names and tags. Out: tests."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.drivers.libvirt import cards, machine
from mcisd.drivers.libvirt.settings import Settings

TEXT = st.text(max_size=40)


@given(name=TEXT, tags=st.dictionaries(TEXT, TEXT, max_size=4), fact=st.one_of(TEXT, st.lists(TEXT, max_size=3)))
def test_a_card_comes_back_as_it_was(name: str, tags: dict[str, str], fact: object) -> None:
    card = cards.new_card(cards.VM, name, tags, "inst", "tok", {"fact": fact})
    assert cards.parse(cards.text(card)) == card
    definition = machine.card_definition(Settings("lab"), str(uuid.uuid4()), card)
    assert cards.card_in(definition) == card


def test_marks() -> None:
    card = cards.new_card(cards.KEY, "key", {"purpose": "suite"}, "inst", "tok", {})
    assert (card.token, card.belongs("inst"), card.belongs("other")) == ("tok", True, False)
    assert card.shown_tags == {"purpose": "suite", "mcisd-installation": "inst"}


@pytest.mark.parametrize("text", ["", "<card/>", "<card>1</card>", '<card>{"kind":"vm"}</card>', "<card>{", "no xml"])
def test_what_others_wrote_is_no_card(text: str) -> None:
    assert cards.parse(text) is None


def test_definitions_without_a_card() -> None:
    assert cards.card_in("<network><name>default</name></network>") is None
    assert cards.card_in("not xml") is None


def test_one_token_one_id() -> None:
    first = cards.object_id("inst", cards.VM, "tok")
    assert first == cards.object_id("inst", cards.VM, "tok")
    others = {
        cards.object_id("inst", cards.KEY, "tok"),
        cards.object_id("other", cards.VM, "tok"),
        cards.object_id("inst", cards.VM, "tok2"),
    }
    assert len({first, *others}) == 4
    assert cards.is_id(first)


@pytest.mark.parametrize("odd", ["", "no-id", "x" * 300, "{12345678-1234-5678-1234-567812345678}", "A" * 36])
def test_odd_ids(odd: str) -> None:
    assert not cards.is_id(odd)


def test_kinds_are_told_by_name() -> None:
    item_id = cards.object_id("inst", cards.VM, "tok")
    for kind in (cards.KEY, cards.GROUP, cards.ENDED):
        assert cards.kind_of_name(cards.card_name(kind, item_id)) == kind
        assert not cards.foreign(cards.card_name(kind, item_id), item_id)
    for name in (cards.domain_name("web/front 1", item_id), "mcisd-key-mine", "mcisd-web", "test"):
        assert cards.kind_of_name(name) == cards.VM
        assert cards.foreign(name, item_id) == (item_id[:13] not in name)


def test_names_of_domains_are_readable_and_safe() -> None:
    item_id = cards.object_id("inst", cards.VM, "tok")
    assert cards.domain_name("web/front 1", item_id) == f"web-front-1-{item_id[:13]}"
    assert cards.domain_name("💥", item_id) == f"vm-{item_id[:13]}"
    assert len(cards.domain_name("x" * 500, item_id)) < 60
