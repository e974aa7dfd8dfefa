"""The judge behind the stub: what does not fit Google's description is named; and so is each method we call."""

import json
import re
from pathlib import Path

import pytest

import mcisd.drivers.gcp
from mcisd.drivers.gcp.methods import METHODS, permissions, role
from tests.clouds.gcp.discovery import document
from tests.clouds.gcp.faces import Refusal
from tests.clouds.gcp.filters import matching

API = document("compute.v1")
ROOT = Path(__file__).resolve().parents[3]
GOOD = {"name": "net", "autoCreateSubnetworks": False}


def judge(verb: str, path: str, query: list[tuple[str, str]] | None = None, body: object = None) -> list[str]:
    found = API.find(verb, f"/compute/v1/{path}")
    assert found is not None
    text = b"" if body is None else json.dumps(body).encode()
    return API.request_misfits(*found, query or [], text)


def test_good_requests_fit() -> None:
    assert judge("POST", "projects/p/global/networks", body=GOOD) == []
    query = [("filter", "x"), ("maxResults", "500"), ("alt", "json")]
    assert judge("GET", "projects/p/aggregated/instances", query) == []


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "projects/p/global/netwerks"),
        ("PUT", "projects/p/global/networks"),
        ("GET", "projects/p/zones/z/instances/i/start"),
        ("GET", "projects/p"[:-2]),
    ],
)
def test_unknown_paths_and_methods(verb: str, path: str) -> None:
    assert API.find(verb, f"/compute/v1/{path}") is None
    assert API.find("GET", "/other/v1/projects/p") is None


@pytest.mark.parametrize(
    ("query", "body", "word"),
    [
        ([("requestID", "1")], GOOD, "requestID: unknown"),
        ([], {**GOOD, "lables": {}}, "body.lables: unknown"),
        ([], {**GOOD, "mtu": "1500"}, "body.mtu: str instead of integer"),
        ([], {**GOOD, "mtu": True}, "body.mtu: bool instead of integer"),
        ([], {**GOOD, "mtu": 2**40}, "body.mtu: out of range"),
        ([], {**GOOD, "autoCreateSubnetworks": "no"}, "body.autoCreateSubnetworks: str instead of boolean"),
        ([], {**GOOD, "id": "7"}, "body.id: is for answers only"),
        ([], {**GOOD, "name": "Net!"}, "body.name: does not match its pattern"),
        ([], {"autoCreateSubnetworks": False}, "body.name: missing"),
        ([], {**GOOD, "routingConfig": {"routingMode": "WILD"}}, "'WILD' is not one of its values"),
        ([], {**GOOD, "params": []}, "body.params: list instead of object"),
        ([], None, "body: NoneType instead of object"),
    ],
)
def test_bad_requests(query: list[tuple[str, str]], body: object, word: str) -> None:
    found = judge("POST", "projects/p/global/networks", query, body)
    assert [fault for fault in found if word in fault], found


def test_bad_parameters() -> None:
    assert judge("GET", "projects/p/aggregated/instances", [("maxResults", "many")]) == [
        "query: maxResults: not an integer"
    ]
    assert judge("GET", "projects/P!/regions/r") == ["path: project: does not match its pattern"]
    assert judge("GET", "projects/p/regions/r", body={}) == ["body: none is expected"]
    method = API.methods["images.getFromFamily"]
    assert "family: missing" in API.request_misfits(method, {"project": "p"}, [], b"")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({"id": "0xabc"}, "answer.id: not a decimal uint64"),
        ({"id": 7}, "answer.id: int instead of string"),
        ({"status": "FINE"}, "'FINE' is not one of its values"),
        ({"finished": True}, "answer.finished: unknown"),
        ({"error": {"errors": [{"code": 7}]}}, "answer.error.errors[0].code: int instead of string"),
    ],
)
def test_bad_answers(answer: object, word: str) -> None:
    found = API.answer_misfits(API.methods["networks.insert"], answer)
    assert [fault for fault in found if word in fault], found


def test_fingerprints_are_base64() -> None:
    schema = {"$ref": "Metadata"}
    assert API.value_misfits(schema, {"fingerprint": "a-b_"}, "x", "") == []
    assert API.value_misfits(schema, {"fingerprint": "%%"}, "x", "") == ["x.fingerprint: not base64"]


def test_filters() -> None:
    items = [{"name": "a-1", "labels": {"k-x": "v"}}, {"name": "b", "labels": {}}]
    assert matching('(labels.k-x = "v")', items) == items[:1]
    assert matching("name eq 'a-[0-9]+'", items) == items[:1]
    assert matching('name eq "a"', items) == [], "the whole field must match"
    for bad in ("name = a", '(name = "a") (x', "name like 'a'"):
        with pytest.raises(Refusal):
            matching(bad, items)


def test_each_method_we_call_is_in_googles_document_and_library() -> None:
    from google.cloud import compute_v1

    for name, method in METHODS.items():
        assert name in API.methods, name
        assert hasattr(getattr(compute_v1, method.client), method.call), name
        assert hasattr(compute_v1, method.request), name


def test_the_table_holds_what_the_driver_calls_and_no_more() -> None:
    source = "".join(
        path.read_text() for path in Path(mcisd.drivers.gcp.__file__).parent.glob("*.py") if path.stem != "methods"
    )
    called = set(re.findall(r'"([a-z]\w+\.[a-z]\w+)"', source)) & API.methods.keys()
    waited = {f"{scope}Operations.wait" for scope in ("zone", "region", "global")} | {"zoneOperations.get"}
    assert METHODS.keys() == called | waited


def test_the_role_in_the_documentation_is_this_one() -> None:
    text = (ROOT / "docs" / "clouds" / "gcp.md").read_text()
    assert f"```yaml\n{role()}```" in text
    assert all(name.startswith("compute.") for name in permissions())
