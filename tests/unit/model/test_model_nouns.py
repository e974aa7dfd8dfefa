"""Ids, events, samples: what goes in comes out again, and what is wrong is named."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.model.errors import InputError
from mcisd.model.events import Place, locate, mcis_subject, vm_subject
from mcisd.model.ids import check_name, new_id
from mcisd.model.samples import COUNTER, FRAME_HEAD, GAUGE, RATE, Column, Schema, frame_head, pack_frame

WORDS = st.text(min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
COLUMNS = st.builds(
    Column,
    WORDS,
    WORDS,
    st.dictionaries(WORDS, WORDS, max_size=3).map(lambda tags: tuple(sorted(tags.items()))),
    st.sampled_from([GAUGE, COUNTER, RATE]),
)


@given(NAMES)
def test_good_names_pass(name: str) -> None:
    assert check_name(name, "name") == name


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "-a", "a-", "a_b", "a b", "a/b", "a.b", "ä", "a" * 64, "a\n", "../etc", "a\0"]
)
def test_bad_names_are_named_with_the_remedy(name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_name(name, "infraSvcName")
    assert caught.value.field == "infraSvcName"
    assert "small letters" in str(caught.value.remedy)


@pytest.mark.parametrize("prefix", ["vm", "op", "mc"])
def test_ids_have_one_length_and_do_not_meet(prefix: str) -> None:
    ids = {new_id(prefix) for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(uid) for uid in ids} == {16}
    assert all(
        uid.startswith(f"{prefix}-") and set(uid[3:]) <= set(string.ascii_lowercase + string.digits) for uid in ids
    )


@given(NAMES, NAMES, NAMES)
def test_a_subject_leads_back_to_its_place(ns: str, mcis: str, vm: str) -> None:
    assert locate(vm_subject(ns, mcis, vm)) == Place(ns, mcis, vm)
    assert locate(mcis_subject(ns, mcis)) == Place(ns, mcis)
    assert locate("connection/aws") == Place()


@given(st.lists(COLUMNS, max_size=8))
def test_a_schema_survives_json_and_keeps_its_key(columns: list[Column]) -> None:
    schema = Schema.of(tuple(columns))
    assert len(schema.key) == 16
    assert Schema.from_json(schema.to_json()) == schema


@given(COLUMNS, COLUMNS)
def test_other_columns_have_another_key(one: Column, other: Column) -> None:
    assert (Schema.of((one,)).key == Schema.of((other,)).key) == (one == other)


@pytest.mark.parametrize(
    "text", ["{}", "[1]", '[["cpu","usage",{},"x"]]', '[["cpu","usage",[],"g"]]', "not json", "[[]]"]
)
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"schema|column|JSON|Expecting"):
        Schema.from_json(text)


def test_a_series_has_one_name() -> None:
    column = Column("cpu", "usage_user", (("cpu", "cpu-total"), ("host", "a")), GAUGE)
    assert column.series == "cpu,cpu=cpu-total,host=a usage_user"


@given(
    key=st.binary(min_size=16, max_size=16),
    seq=st.integers(0, 2**64 - 1),
    time_ms=st.integers(-(2**63), 2**63 - 1),
    flags=st.integers(0, 2**32 - 1),
    columns=st.binary(max_size=64),
)
def test_a_bus_frame_comes_back_as_it_went(key: bytes, seq: int, time_ms: int, flags: int, columns: bytes) -> None:
    vm = new_id("vm")
    value = pack_frame(vm, key, seq, time_ms, flags, columns)
    assert frame_head(value) == (vm, key, seq, time_ms, flags)
    assert value[FRAME_HEAD.size :] == columns
