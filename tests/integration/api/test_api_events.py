"""The event stream: live, resumed after a lost connection, resumed over a restart of the daemon: no gap, no double."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.api import api_world
from tests.integration.api.api_kit import Api, daemon, settings_of
from tests.integration.api.api_sse import Sent, stream

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def take(api: Api, last: int, path: str, count: int) -> list[Sent]:
    """``count`` events after ``last``; the connection is cut then."""
    got: list[Sent] = []
    async with stream(api, path, last) as items:
        async for item in items:
            got.append(item)
            if len(got) == count:
                break
    return got


async def book(api: Api, after: int = 0) -> list[Any]:
    """What really happened: the page of all events."""
    return list(await api.get(f"/events?after={after}&limit=1000"))


async def test_a_stream_without_a_place_begins_now(api: Api) -> None:
    async with stream(api, "/events?type=infra.") as items:
        name = (await api_world.infra(api, await api_world.connection(api))).rsplit("/", 1)[1]
        first = await anext(aiter(items))
    assert (first.event, first.data["data"]["infraSvc"]) == ("infra.created", name)


async def test_resumed_streams_together_are_the_whole(api: Api, conn: str) -> None:
    start = await api.context.store.last_sequence()
    await api_world.infra(api, conn, count=2)
    whole = await book(api, start)
    got: list[Sent] = []
    while len(got) < len(whole):
        last = got[-1].id if got else start
        got += await take(api, last, "/events", min(3, len(whole) - len(got)))
    assert [item.data for item in got] == whole
    assert [item.id for item in got] == [event["sequence"] for event in whole]
    assert [item.event for item in got] == [event["type"] for event in whole]


async def test_last_event_id_counts_more_than_after(api: Api, running: str) -> None:
    first, second = (await book(api))[:2]
    got = await take(api, first["sequence"], "/events?after=0", 1)
    assert got[0].id == second["sequence"]


async def test_a_stream_goes_on_over_a_restart_of_the_daemon(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    async with daemon(settings) as before:
        conn = await api_world.connection(before)
        path = await api_world.infra(before, conn)
        seen = await take(before, 0, "/events", 3)
        first = await book(before)
    async with daemon(settings) as after:
        await api_world.wipe(after, path)
        whole = await book(after)
        assert whole[: len(first)] == first
        rest = await take(after, seen[-1].id, "/events", len(whole) - len(seen))
    assert [item.id for item in seen + rest] == [event["sequence"] for event in whole]


@pytest.mark.parametrize("last", ["²", "-1", "x", "9" * 30])
async def test_a_place_that_is_none_is_told(api: Api, last: str) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
    told = await api("GET", "/events", expect=422, headers=headers)
    assert told.body["field"] == "Last-Event-ID"
