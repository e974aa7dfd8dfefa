"""What is wrong is refused as problem+json that names the field and the remedy, and nothing is half done."""

import pytest

from mcisd.daemon.api.routes import ROUTES
from mcisd.model.records import Node, Record
from tests.integration.api.api_kit import Api, rows
from tests.integration.api.bad_requests import INFRA, Case, body_cases, query_cases, state_cases

pytestmark = pytest.mark.asyncio(loop_scope="session")
ODD = ["..", "%2e%2e", "%00", "a%2Fb", "%F0%9F%92%A9", "%ED%A0%80", "%FF", "x" * 2000, "a%20b", "%27%3B--", "*"]
"""Path segments that nobody sends by accident: parents, a null byte, an encoded slash, emoji, surrogates, no UTF-8."""


async def stored(api: Api) -> tuple[dict[str, list[Record]], int]:
    """All rows but that of the process itself, which beats whatever it is asked; and the newest event."""
    found = {table: kept for table, kept in (await rows(api.context.store)).items() if table != Node.table}
    return found, await api.context.store.last_sequence()


@pytest.mark.parametrize("case", [*body_cases(), *state_cases(), *query_cases()], ids=lambda case: case.what)
async def test_refused(quiet: Api, case: Case) -> None:
    before = await stored(quiet)
    answer = await quiet(case.method, case.path, case.body, raw=case.raw, headers=case.headers)
    assert answer.status == case.status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.body.get("field", "") == case.name, answer.text
    assert answer.body["remedy"]
    assert answer.body["status"] == case.status
    assert "\n" not in answer.body["detail"]
    assert await stored(quiet) == before


@pytest.mark.parametrize("odd", ODD)
async def test_odd_ids_are_not_found(quiet: Api, odd: str) -> None:
    """In every place of every path: never a fault of ours, never a change. Those of no UTF-8 may be refused."""
    before = await stored(quiet)
    for route in ROUTES:
        if "{" not in route.path:
            continue
        path = route.path
        while "{" in path:
            head, _, rest = path.partition("{")
            path = head + odd + rest.partition("}")[2]
        answer = await quiet(route.method, path, {} if route.body else None)
        assert answer.status in (400, 404, 405, 409, 422), f"{route.operation}: {answer.status} {answer.text}"
        assert answer.headers["Content-Type"].startswith("application/problem+json"), f"{route.operation}"
        assert answer.body.get("remedy"), f"{route.operation}: {answer.text}"
    assert await stored(quiet) == before


@pytest.mark.parametrize("path", ["/nothing", "/ns/here/nothing", "/", "/ns/", "/ns/here/infra/site/vms/vm-1/x"])
async def test_unknown_paths(quiet: Api, path: str) -> None:
    answer = await quiet("GET", path, expect=404)
    assert answer.body["code"] == "not-found"
    assert answer.body["remedy"]
    assert "nosniff" in answer.headers["X-Content-Type-Options"]


async def test_wrong_methods_name_the_right_ones(quiet: Api) -> None:
    for method, path in (("PATCH", "/ns"), ("DELETE", "/ns"), ("PUT", f"{INFRA}/suspend"), ("HEAD", "/ns")):
        answer = await quiet(method, path, expect=405)
        assert answer.headers["Allow"]
        if method != "HEAD":
            assert answer.headers["Allow"] in answer.body["remedy"]
