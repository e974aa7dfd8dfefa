"""Exercises: events, the daemon itself, links to the console."""

import aiohttp

from tests.integration.api import api_world
from tests.integration.api.exercise import Bench, exercises


@exercises("ListEvent")
async def events(bench: Bench) -> None:
    subject = bench.running.removeprefix("/")
    page = await bench.api.get(f"/events?after=0&subject={subject}&limit=1000")
    kinds = {event["type"] for event in page}
    assert {"infra.created", "operation.started", "vm.running", "operation.finished"} <= kinds
    assert all(event["data"]["text"] for event in page)
    numbers = [event["sequence"] for event in page]
    assert numbers == sorted(set(numbers))
    rest = await bench.api.get(f"/events?after={numbers[0]}&subject={subject}&limit=1000")
    assert rest == page[1:]
    some = {e["type"] for e in await bench.api.get("/events?after=0&type=infra.&limit=5")}
    assert "infra.created" in some
    assert all(kind.startswith("infra.") for kind in some)
    assert len(await bench.api.get("/events?limit=3")) == 3


@exercises("GetSystem")
async def system(bench: Bench) -> None:
    shown = await bench.api.get("/system")
    assert shown["installation"].startswith("in")
    assert set(shown["services"].values()) == {"ok"}


@exercises("CreateConsoleLink")
async def console_link(bench: Bench) -> None:
    """A browser: link → cookie → reads; writes need the header besides; the link works once."""
    link = (await bench.api.post("/console-links"))["url"]
    base = bench.api.app.url
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(f"{base}/api/v1/ns") as answer:
            assert answer.status == 401
        async with browser.get(link, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
        async with browser.get(f"{base}/api/v1/ns") as answer:
            assert answer.status == 200
        body = {"name": api_world.fresh("ns")}
        async with browser.post(f"{base}/api/v1/ns", json=body) as answer:
            assert (answer.status, await answer.text()) == (401, "")
        async with browser.post(f"{base}/api/v1/ns", json=body, headers={"X-Mcisd": "1"}) as answer:
            assert answer.status == 201
        async with browser.get(link, allow_redirects=False) as answer:
            assert answer.status == 401
            assert "Set-Cookie" not in answer.headers
