"""Without the token there is nothing but 401; with it, secrets still never come out again."""

import re
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from mcisd.daemon.api.routes import ROUTES
from tests.integration.api.api_kit import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATHS = [(route.method, re.sub(r"{\w+}", "x", route.full_path)) for route in ROUTES] + [
    ("GET", "/openapi.json"),
    ("GET", "/api/v1/nothing"),
    ("PATCH", "/api/v1/ns"),
    ("GET", "/%61pi/v1/ns"),
    ("GET", "/api/v1/../v1/ns"),
]
WRONG = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Bearer \udcff\udcfe"},
    {"Authorization": "Basic dXNlcjpwYXNz"},
    {"Cookie": "mcisd_session=9999999999.00"},
    {"Cookie": "mcisd_session=²³.\udcff", "X-Mcisd": "1"},
    {"X-Mcisd": "1"},
]


@pytest.mark.parametrize("headers", WRONG, ids=[str(number) for number in range(len(WRONG))])
async def test_nothing_without_the_token(api: Api, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as stranger:
        for method, path in PATHS:
            url = URL(api.app.url + path, encoded=True)
            async with stranger.request(method, url, headers=headers, data=b"{}") as answer:
                assert (answer.status, await answer.read()) == (401, b""), f"{method} {path}"
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert "Allow" not in answer.headers


async def test_the_token_in_the_path_or_query_does_not_count(api: Api) -> None:
    async with aiohttp.ClientSession() as stranger:
        for path in (f"/api/v1/ns?token={api.token}", f"/api/v1/ns?access_token={api.token}"):
            async with stranger.get(api.app.url + path) as answer:
                assert answer.status == 401


async def test_health_and_console_are_open(api: Api) -> None:
    async with aiohttp.ClientSession() as stranger:
        for path, status in (("/livez", 200), ("/readyz", 200), ("/", 200), ("/login?code=guessed", 401)):
            async with stranger.get(api.app.url + path, allow_redirects=False) as answer:
                assert answer.status == status, path
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["/js/../../daemon/app.py", "/js/%2e%2e/%2e%2e/daemon/app.py", "/daemon/app.py", "/js/"]
)
async def test_the_console_gives_no_other_file(api: Api, path: str) -> None:
    async with aiohttp.ClientSession() as stranger, stranger.get(URL(api.app.url + path, encoded=True)) as answer:
        assert answer.status in (403, 404)
        assert b"import" not in await answer.read()


async def test_the_document_is_served_and_names_every_operation(api: Api) -> None:
    document = await api.get("!/openapi.json")
    assert document["openapi"].startswith("3.1")
    named = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert sorted(named) == sorted(route.operation for route in ROUTES)


async def test_files_of_the_home_are_private(api: Api) -> None:
    home: Path = api.app.settings.home
    assert home.stat().st_mode & 0o777 == 0o700
    for name in ("token", "secret.key"):
        assert (home / name).stat().st_mode & 0o777 == 0o600
