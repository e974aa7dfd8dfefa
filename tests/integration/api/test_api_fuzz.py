"""Random requests made from the OpenAPI document: no answer is a fault of ours, and every refusal is a problem.

In: the document. Out: bodies and queries that are near what is allowed, and far from it.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from yarl import URL

from mcisd import __version__
from mcisd.daemon.api.openapi import document
from tests.integration.api.api_kit import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")
DOCUMENT = document(__version__)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
METHODS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
FUZZED = sorted(name for name in METHODS if name not in {"StreamInfraSvcMonitoring", "TestChannel"})
"""A stream does not end by itself; a test message to a random address would leave this machine."""
NASTY = st.sampled_from(["", "\x00", "..", "\n", "💩", "a" * 5000, "%s", "'; drop table vm;--", "nan", "-1", "1e999"])
JUNK = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), NASTY, st.just([]), st.just({}))


def values(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that mostly fit ``schema``; about one in eight is something else altogether."""
    return st.one_of(*[fitting(schema, depth)] * 7, JUNK)


def fitting(schema: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return fitting(SCHEMAS[schema["$ref"].rsplit("/", 1)[1]], depth)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if "anyOf" in schema:
        return st.one_of(*(values(one, depth) for one in schema["anyOf"]))
    match schema.get("type"):
        case "object":
            return objects(schema, depth)
        case "array":
            return st.lists(values(schema.get("items", {}), depth + 1), max_size=3)
        case "integer":
            return st.one_of(st.integers(-2, 5), st.integers(), st.integers(2**63 - 1, 2**64))
        case "number":
            return st.one_of(st.floats(-1, 100), st.floats())
        case "boolean":
            return st.booleans()
        case "string":
            return texts(schema)
    return JUNK


def texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern")
    plain = st.one_of(st.sampled_from(["mock", "here", "site", "x", "10.0.0.0/16"]), st.text(max_size=20), NASTY)
    return st.one_of(st.from_regex(pattern), plain) if pattern else plain


def objects(schema: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    properties = schema.get("properties")
    if not properties:
        return st.dictionaries(st.text(max_size=5), values(schema.get("additionalProperties") or {}, depth), max_size=3)
    required = {name: values(properties[name], depth + 1) for name in schema.get("required", [])}
    others = {name: values(one, depth + 1) for name, one in properties.items() if name not in required}
    return st.fixed_dictionaries(required, optional=others)


def queries(operation: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    named = {one["name"]: values(one["schema"]) for one in operation.get("parameters", []) if one["in"] == "query"}
    return st.fixed_dictionaries({}, optional=named)


def harmless(name: str, body: Any) -> bool:
    """Huge groups would only make the mock cloud busy."""
    if name not in {"CreateInfraSvc", "ExpandInfraSvc"} or not isinstance(body, dict):
        return True
    groups = body.get("vmRequestList")
    if not isinstance(groups, list):
        return True
    counts = [group.get("count") for group in groups if isinstance(group, dict)]
    return all(not isinstance(count, int) or count <= 5 for count in counts)


@st.composite
def requests(draw: st.DrawFn, name: str) -> tuple[str, str, dict[str, str], Any]:
    method, path, operation = METHODS[name]
    for part in [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]:
        path = path.replace(f"{{{part}}}", draw(st.sampled_from(["here", "site", "vm-1", "mock", "none", "%00"])))
    query = {key: str(value) for key, value in draw(queries(operation)).items()}
    body = None
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = draw(values(schema).filter(lambda one: harmless(name, one)))
    return method, path, query, body


@pytest.mark.parametrize("name", FUZZED)
async def test_no_request_is_too_much(quiet: Api, name: str) -> None:
    @settings(
        max_examples=40, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(requests(name))
    def collect(request: tuple[str, str, dict[str, str], Any]) -> None:
        found.append(request)

    found: list[tuple[str, str, dict[str, str], Any]] = []
    collect()
    assert found
    for method, path, query, body in found:
        await ask(quiet, method, path, query, body)


async def ask(api: Api, method: str, path: str, query: dict[str, str], body: Any) -> None:
    full = str(URL(path, encoded=True).with_query(query))
    answer = await api(method, "!" + full, body)
    said = f"{method} {full[:300]} {str(body)[:300]}: {answer.status} {answer.text[:300]}"
    assert answer.status != 500, said
    if answer.status >= 400:
        assert answer.headers["Content-Type"].startswith("application/problem+json"), said
        assert answer.body["detail"], said
