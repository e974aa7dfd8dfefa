"""What an agent says is checked before it counts."""

import json

import numpy as np
import pytest

from mcisd.collectors.hello import parse_hello, parse_measured, parse_schema
from mcisd.model.wire import WireError

HELLO: dict[str, object] = {"protocol": 1, "vm": "vm-k3", "token": "s3cret", "time_ms": 5, "link": 6}


def packed(body: object) -> bytes:
    return json.dumps(body).encode()


def test_hello_is_taken_and_its_token_not_shown() -> None:
    hello = parse_hello(packed(HELLO | {"agent": "0.1", "session": "x"}))
    assert (hello.vm, hello.token, hello.agent, hello.protocol, hello.time_ms) == ("vm-k3", "s3cret", "0.1", 1, 5)
    assert "s3cret" not in repr(hello)


@pytest.mark.parametrize(
    "change",
    [
        {"vm": "x" * 17},
        {"vm": ""},
        {"vm": "a/b"},
        {"vm": 7},
        {"token": None},
        {"token": "t" * 5000},
        {"time_ms": -1},
        {"time_ms": 1 << 60},
        {"time_ms": 1.5},
        {"protocol": "1"},
        {"link": -1},
        {"link": "x"},
    ],
)
def test_hello_out_of_bounds_is_an_error_without_the_token(change: dict[str, object]) -> None:
    with pytest.raises(WireError) as caught:
        parse_hello(packed(HELLO | change))
    assert "s3cret" not in str(caught.value)


def test_schema_gets_rates() -> None:
    number, schema = parse_schema(packed({"id": 3, "columns": [["net", "bytes", {"b": "1", "a": "2"}, "c"]]}))
    assert number == 3
    assert [c.field for c in schema.full.columns] == ["bytes", "bytes_rate"]
    assert schema.measured.columns[0].tags == (("a", "2"), ("b", "1"))


@pytest.mark.parametrize(
    "columns",
    [[], "x", [["m", "f", {}]], [["m", "f", {}, "z"]], [["m", "f", {}, "r"]], [["m", "f", {}, "g"]] * 2],
)
def test_schema_that_is_none_is_an_error(columns: object) -> None:
    with pytest.raises(WireError):
        parse_schema(packed({"id": 1, "columns": columns}))


def test_measured_values_are_numbers_or_not_measured() -> None:
    number, time_ms, values = parse_measured({"schema": 1, "time_ms": 9, "values": [1, 2.5, None]})
    assert (number, time_ms) == (1, 9)
    assert np.array_equal(values, [1.0, 2.5, np.nan], equal_nan=True)


@pytest.mark.parametrize("values", [["1"], [[1.0]], [10**400], None])
def test_measured_nonsense_is_an_error(values: object) -> None:
    with pytest.raises(WireError):
        parse_measured({"schema": 1, "time_ms": 9, "values": values})
