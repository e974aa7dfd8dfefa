"""A record class in, a Hypothesis strategy for its instances out."""

import dataclasses
import types
import typing
from enum import Enum
from typing import Any, TypeVar

from hypothesis import strategies as st

from mcisd.model.records import Record

R = TypeVar("R", bound=Record)
# No NUL and no half surrogates: not every engine can keep them, and nothing of ours makes them.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**53), 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PLAIN: dict[object, st.SearchStrategy[Any]] = {
    str: TEXT,
    float: NUMBER,
    int: WHOLE,
    bool: st.booleans(),
    object: JSON,
    type(None): st.none(),
}


def records(kind: type[R]) -> st.SearchStrategy[R]:
    """Instances as a caller makes them: not stored yet, so version 0; the uid has at least one character."""
    given = {"uid": TEXT.filter(bool), "version": st.just(0), "created_at": st.floats(1.0, 4e9)}
    return st.builds(kind, **(_fields(kind) | given))


def _fields(kind: type[Any]) -> dict[str, st.SearchStrategy[Any]]:
    hints = typing.get_type_hints(kind)
    return {field.name: _values(hints[field.name]) for field in dataclasses.fields(kind)}


def _values(hint: Any) -> st.SearchStrategy[Any]:
    if hint in PLAIN:
        return PLAIN[hint]
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return st.one_of(*(_values(argument) for argument in arguments))
    if typing.get_origin(hint) is dict:
        return st.dictionaries(_values(arguments[0]), _values(arguments[1]), max_size=3)
    if typing.get_origin(hint) is tuple:
        return st.lists(_values(arguments[0]), max_size=3).map(tuple)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return st.builds(hint, **_fields(hint))
