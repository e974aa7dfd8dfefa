"""How our marks stand at OpenStack, and that they come back whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.drivers.openstack import naming
from mcisd.model.errors import CloudInvalidError

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=120)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,80}", fullmatch=True)


@given(st.dictionaries(NAMES, WORDS, max_size=6))
def test_tags_come_back(tags: dict[str, str]) -> None:
    written = naming.to_tags(tags)
    assert all(len(tag) <= naming.TAG_LIMIT for tag in written)
    assert len(set(written)) == len(written)
    assert naming.from_tags(reversed(written)) == tags


def test_tags_of_others_are_left_out() -> None:
    note = naming.Ended(482_000, "02:00:00:00:00:01", "0" * 32)
    assert naming.from_tags(["blue", "purpose=suite", note.tag()]) == {"purpose": "suite"}


def test_description_tells_whose_it_is() -> None:
    text = naming.description("in1", "vm1")
    assert naming.owner(text) == ("in1", "vm1")
    for other in (None, "", "web servers", "mcisd in1", "mcisd in1 vm1 more"):
        assert naming.owner(other) is None


@pytest.mark.parametrize("token", ["", "two words", "x" * 260])
def test_description_refuses_what_would_not_come_back(token: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        naming.description("in1", token)
    assert caught.value.field == "token"


@given(WORDS, WORDS)
def test_hardware_address_is_local_and_of_one_station(installation: str, token: str) -> None:
    mac = naming.mac(installation, token)
    assert mac == naming.mac(installation, token)
    assert len(mac) == 17
    assert int(mac[:2], 16) & 0b11 == 0b10


def test_hardware_addresses_differ() -> None:
    assert len({naming.mac("in1", f"vm{n}") for n in range(2000)} | {naming.mac("in2", "vm1")}) == 2001


def test_end_of_a_vm_fits_into_a_tag() -> None:
    note = naming.Ended(482_123, naming.mac("in1", "vm1"), "12345678-1234-1234-1234-123456789abc")
    assert len(note.tag()) <= naming.TAG_LIMIT
    older = naming.Ended(482_100, naming.mac("in1", "vm0"), "12345678-1234-1234-1234-123456789abd")
    assert naming.ended([note.tag(), "a=b", older.tag()]) == [older, note]


def test_key_name_is_one_of_nova_s_and_never_another_s() -> None:
    assert naming.key_name("in1", "key-1") == "mcisd_in1_key-1"
    names = {
        naming.key_name(*pair) for pair in (("a_b", "c"), ("a", "b_c"), ("a b", "c"), ("ä", "c"), ("a", "x" * 300))
    }
    assert len(names) == 5
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") and len(name) <= 255 for name in names)


def test_key_keeps_its_marks_as_a_comment() -> None:
    line = naming.key_line("ssh-ed25519 AAAA someone@somewhere\n", {"token": "t", "tags": {"purpose": "ä"}})
    assert line.startswith("ssh-ed25519 AAAA mcisd:")
    assert naming.key_body(line) == {"token": "t", "tags": {"purpose": "ä"}}
    for other in ("ssh-ed25519 AAAA", "ssh-ed25519 AAAA me@here", "ssh-ed25519 AAAA mcisd:!!!", "ssh-rsa A mcisd:W10="):
        assert naming.key_body(other) is None


@pytest.mark.parametrize("line", ["", "nokey", "ssh-ed25519 AAAA\nssh-ed25519 BBBB"])
def test_key_must_be_one_line(line: str) -> None:
    with pytest.raises(CloudInvalidError):
        naming.key_line(line, {})


@pytest.mark.parametrize("odd", ["", "../x", "a b", "a/b", "x" * 65, "-x", "💥", "a\n"])
def test_odd_ids_are_none(odd: str) -> None:
    assert not naming.is_id(odd)


def test_servers_have_short_tags() -> None:
    tags = naming.server_tags("in" * 100, "vm,with/odd signs")
    assert all(len(tag) <= naming.TAG_LIMIT and not set(tag) & set(",/ ") for tag in tags)
    assert tags[0] == naming.installation_tag("in" * 100)
