"""Names, labels and marks as Google allows them."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.drivers.gcp import names
from mcisd.drivers.marks import INSTALLATION, TOKEN
from mcisd.model.errors import CloudInvalidError

TEXT = st.text(max_size=80)
TAGS = st.dictionaries(st.text(min_size=1, max_size=70), TEXT, max_size=8)


def marks(**tags: str) -> names.Marks:
    return names.Marks("inst-1", "asia-northeast3", "Tok.1", "web", tags, {"user": "me"})


@given(TEXT, TEXT, TEXT)
def test_any_name_becomes_one_of_googles(name: str, installation: str, token: str) -> None:
    made = names.resource_name(name, installation, "us-east1", token)
    assert names.is_name(made)
    assert len(made) <= 54, "there is room for a number behind it"
    assert made == names.resource_name(name, installation, "us-east1", token)


def test_names_differ_by_token_installation_and_region() -> None:
    made = {
        names.resource_name("web", *which)
        for which in (("i", "r", "t"), ("j", "r", "t"), ("i", "s", "t"), ("i", "r", "u"))
    }
    assert len(made) == 4


@given(TEXT, TAGS)
def test_marks_survive(name: str, tags: dict[str, str]) -> None:
    wrote = names.Marks("i", "r", "t", name, tags, {"k": "v"})
    assert names.load(names.dump(wrote)) == wrote


@pytest.mark.parametrize("text", ["", "a network", "[]", "{}", '{"mcisd": 3}', '{"mcisd": {"token": "t"}}', "null"])
def test_foreign_descriptions_are_not_ours(text: str) -> None:
    assert names.load(text) is None


def test_tags_that_do_not_fit_a_description_are_refused() -> None:
    with pytest.raises(CloudInvalidError) as caught:
        names.description(marks(note="x" * 3000))
    assert caught.value.field == "tags"


@given(TAGS, TEXT)
def test_labels_are_allowed_ones(tags: dict[str, str], token: str) -> None:
    made = names.labels(names.Marks("Inst 1", "us-east1", token, "n", tags))
    assert all(re.fullmatch(r"[a-z][-_a-z0-9]{0,62}", key) for key in made)
    assert all(re.fullmatch(r"[-_a-z0-9]{0,63}", value) for value in made.values())
    assert made[INSTALLATION] == names.label("Inst 1")
    assert made[TOKEN] == names.label(token)


def test_many_tags_leave_room_for_ours() -> None:
    made = names.labels(marks(**{f"tag{n}": "x" for n in range(100)}))
    assert len(made) == names.MOST_LABELS
    assert {INSTALLATION, TOKEN, names.REGION} <= made.keys()


def test_labels_that_fit_stay_readable() -> None:
    assert names.labels(marks(purpose="suite", Owner="Me", team="A B"))["purpose"] == "suite"
    assert not {"Owner", "team"} & names.labels(marks(Owner="Me", team="A B")).keys()


def test_request_ids() -> None:
    first = names.request_id("instance z/n", 0)
    assert uuid.UUID(first).int != 0
    assert first == names.request_id("instance z/n", 0)
    assert first != names.request_id("instance z/n", 1)


def test_description_filter_is_a_harmless_pattern() -> None:
    text = names.description_filter("a'b.*\"")
    assert text.count("'") == 2
    assert "a.*b.*" in text
