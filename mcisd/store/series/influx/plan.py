"""The columns of a block in, and the pieces of line protocol that depend on nothing but them out, made once.

One line holds all fields of one measurement and its tags, so the columns are put in the order of their lines. Which
lines and keys a row has depends on which of its columns have samples: a Layout is made for each such pattern (there
are few), and the beginning of each line for each VM.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcisd.model.identity import Identity
from mcisd.model.samples import Column
from mcisd.store.series.base import I64
from mcisd.store.series.influx.names import encode, encode_field, encode_key, encode_measurement

MOST_VMS = 20_000
MOST_LAYOUTS = 4_096
_NAME = str.maketrans({",": "\\,", " ": "\\ "})
_KEY = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})


@dataclass(frozen=True, slots=True)
class Layout:
    """The text of one row of a pattern between its numbers: number i comes after ``keys[i]``.

    ``columns`` are places in the block, in the order of their lines. ``heads`` are the places in ``keys`` where a line
    begins and the number of that line: there its beginning comes before the key.
    """

    columns: I64
    keys: list[bytes]
    heads: list[tuple[int, int]]


class Plan:
    """What is known of one tuple of columns."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        lines: dict[tuple[str, tuple[tuple[str, str], ...]], list[int]] = {}
        for place, column in enumerate(columns):
            lines.setdefault((column.measurement, column.tags), []).append(place)
        self._lines = [
            (encode_measurement(name).translate(_NAME), _escaped({encode_key(key): value for key, value in tags}))
            for name, tags in lines
        ]
        self._order = np.array([place for places in lines.values() for place in places], dtype=np.int64)
        self._line_of = [number for number, places in enumerate(lines.values()) for _ in places]
        self._keys = [_field_keys(columns[place].field) for place in self._order.tolist()]
        self._layouts: dict[bytes, Layout] = {}
        self._begins: dict[str, tuple[Identity | None, list[bytes]]] = {}

    def layout(self, mask: NDArray[np.bool_]) -> Layout:
        """The layout of rows that have the columns where ``mask`` is true, at least one."""
        pattern = mask.tobytes()
        found = self._layouts.get(pattern)
        if found is None:
            if len(self._layouts) >= MOST_LAYOUTS:
                self._layouts.clear()
            found = self._layouts[pattern] = self._make(mask)
        return found

    def begins(self, vm: str, identities: Mapping[str, Identity]) -> list[bytes]:
        """How each line of this VM begins: measurement, tags and the space before the first field."""
        identity = identities.get(vm)
        known = self._begins.get(vm)
        if known is None or (known[0] is not identity and known[0] != identity):
            if len(self._begins) >= MOST_VMS:
                self._begins.clear()
            owner = _escaped(identity.tags if identity else {"vm": vm})
            known = self._begins[vm] = (identity, [_begin(name, tags, owner) for name, tags in self._lines])
        return known[1]

    def _make(self, mask: NDArray[np.bool_]) -> Layout:
        keys: list[bytes] = []
        heads: list[tuple[int, int]] = []
        for place in np.flatnonzero(mask[self._order]).tolist():
            if not heads or heads[-1][1] != self._line_of[place]:
                heads.append((len(keys), self._line_of[place]))
                keys.append(self._keys[place][0][1:])
                keys += self._keys[place][1:]
            else:
                keys += self._keys[place]
        return Layout(self._order[mask[self._order]], keys, heads)


def _field_keys(field: str) -> list[bytes]:
    """The keys of a field's five values, each after the comma that ends the value before."""
    name = encode_field(field).translate(_KEY)
    return [f",{name}{suffix}=".encode() for suffix in ("", ":sum", ":min", ":max", ":count")]


def _escaped(tags: Mapping[str, str]) -> dict[str, str]:
    """Keys and values as line protocol has them."""
    return {key.translate(_KEY): encode(value).translate(_KEY) for key, value in tags.items()}


def _begin(name: str, tags: Mapping[str, str], owner: Mapping[str, str]) -> bytes:
    """The tags in the order of their keys, as InfluxDB wants them."""
    pairs = (f",{key}={value}" for key, value in sorted({**tags, **owner}.items()))
    return f"{name}{''.join(pairs)} ".encode()
