"""The client against a fake API: errors, retries, operations, streams."""

from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

from mcisd.client import ApiError, Client, Target
from mcisd.client import transport as transport_module
from tests.integration.cli.cli_fake_api import Turn, event, fake_api, nothing, operation, refusing, sse, streaming


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_PAUSE", 0.0)
    monkeypatch.setattr(transport_module, "_MOST_PAUSE", 0.0)


async def test_paths_are_quoted_and_the_token_is_sent() -> None:
    async with fake_api() as fake, Client(fake.target) as client:
        fake.answers["GET /ns/a%2Fb/infra/x"] = {"name": "x"}
        with pytest.raises(ApiError):
            await client.get_infra("a/b", "x")
        assert fake.asked[0].headers["Authorization"].startswith("Bearer ")
        assert fake.asked[0].path == "/ns/a/b/infra/x"  # aiohttp shows it decoded; it was one segment on the wire


async def test_a_problem_becomes_the_one_error() -> None:
    async with fake_api() as fake, Client(fake.target) as client:
        fake.answers["POST /ns"] = refusing(409, "conflict", "the name is taken", field="name", remedy="choose another")
        with pytest.raises(ApiError) as caught:
            await client.create_namespace("demo")
        error = caught.value
        assert (error.status, error.code, error.field, error.remedy) == (409, "conflict", "name", "choose another")
        assert str(error) == "the name is taken (field name). Remedy: choose another"
        assert not error.no_access


async def test_answers_that_are_no_problem_json() -> None:
    async def html(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>")

    async def text(_: web.Request) -> web.StreamResponse:
        return web.Response(text="hello")

    async with fake_api() as fake, Client(fake.target) as client:
        fake.answers |= {"GET /system": html, "GET /ns": text, "DELETE /ns/x": nothing}
        with pytest.raises(ApiError, match="502"):
            await client.system()
        with pytest.raises(ApiError, match="not JSON"):
            await client.list_of("ns")
        await client.remove("ns", "x")


async def test_a_wrong_token_is_no_access() -> None:
    async with fake_api() as fake, Client(Target(fake.url, "wrong")) as client:
        with pytest.raises(ApiError) as caught:
            await client.system()
        assert caught.value.no_access
        assert caught.value.status == 401


async def test_nobody_there_is_unreachable_and_says_the_remedy() -> None:
    async with fake_api() as fake:
        gone = fake.target
    async with Client(gone, patience=0.0) as client:
        with pytest.raises(ApiError, match="mcisd run") as caught:
            await client.system()
        assert caught.value.code == "unreachable"
        assert caught.value.no_access


async def test_a_lost_answer_is_asked_again_only_where_that_is_safe() -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with fake_api() as fake, Client(fake.target) as client:
        fake.answers["GET /system"] = [Turn(hang_up), Turn({"version": "1"})]
        fake.answers["POST /ns/default/infra"] = [Turn(hang_up), Turn(operation())]
        fake.answers["POST /ns"] = [Turn(hang_up), Turn({"name": "x"})]
        assert await client.system() == {"version": "1"}
        assert (await client.create_infra("default", {"name": "web"}))["id"] == "op-1"
        keys = {one.headers["Idempotency-Key"] for one in fake.calls("POST /ns/default/infra")}
        assert len(keys) == 1
        with pytest.raises(ApiError):
            await client.create_namespace("x")
        assert len(fake.calls("POST /ns")) == 1


async def test_a_late_answer_is_a_timeout() -> None:
    import asyncio

    never = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with fake_api() as fake, Client(fake.target) as client:
        fake.answers["GET /slow"] = wait
        with pytest.raises(ApiError) as caught:
            await client.get("/slow", timeout=0.05)
        assert caught.value.code == "timeout"
        never.set()


async def test_an_operation_is_followed_to_its_end() -> None:
    seen: list[str] = []

    async def progress(now: dict[str, Any]) -> None:
        seen.append(now["state"])

    async with fake_api() as fake, Client(fake.target) as client:
        ended = operation("partial", succeeded=1, failed=1)
        fake.answers["GET /operations/op-1"] = [Turn(operation()), Turn(operation()), Turn(ended)]
        assert await client.follow_operation("op-1", progress) == ended
        assert seen == ["running", "running"]
        assert fake.asked[0].query == {"wait": "1"}


async def test_events_resume_after_the_last_one_and_none_comes_twice() -> None:
    async with fake_api() as fake, Client(fake.target) as client:
        first = streaming(b": hello\n\n", sse(event(4)), sse(event(5)), b"id: 6\ndata: cut of")
        second = streaming(sse(event(5)), sse(event(6)))
        fake.answers["GET /events"] = [Turn(first), Turn(refusing(503, "store", "away")), Turn(second)]
        found = []
        async with aclosing(client.events(after=3, subject="ns/default")) as stream:
            async for one in stream:
                found.append(one["sequence"])
                if found[-1] == 6:
                    break
        assert found == [4, 5, 6]
        asked = fake.calls("GET /events")
        assert asked[0].headers["Last-Event-ID"] == "3"
        assert asked[0].query == {"subject": "ns/default", "after": "3"}
        assert asked[2].headers["Accept"] == "text/event-stream"


async def test_a_message_cut_off_is_asked_for_again() -> None:
    """An id whose message was not complete does not count as seen."""
    async with fake_api() as fake, Client(fake.target) as client:
        cut = streaming(sse(event(1)), b"id: 2\ndata: {half")
        fake.answers["GET /events"] = [Turn(cut), Turn(streaming(sse(event(2))))]
        async with aclosing(client.events(after=0)) as stream:
            assert [(await anext(stream))["sequence"] for _ in range(2)] == [1, 2]
        assert fake.calls("GET /events")[1].headers["Last-Event-ID"] == "1"


async def test_a_refused_stream_raises() -> None:
    async with fake_api() as fake, Client(fake.target) as client:
        fake.answers["GET /events"] = refusing(422, "invalid", "no such type", field="type")
        with pytest.raises(ApiError, match="no such type"):
            await anext(client.events(type="x"))


async def test_live_gives_samples_only() -> None:
    async with fake_api() as fake, Client(fake.target) as client:
        data = b'event: other\ndata: {}\n\nevent: sample\ndata: {"vm": "a", "time": 1, "values": {}}\n\n'
        fake.answers["GET /ns/n/infra/i/monitoring/live"] = streaming(data)
        async with aclosing(client.live("n", "i", ("cpu.usage_active", "mem.used"))) as stream:
            assert await anext(stream) == {"vm": "a", "time": 1, "values": {}}
        assert fake.asked[0].query == {"columns": "cpu.usage_active,mem.used"}


async def test_ready_takes_no_prefix() -> None:
    async with fake_api() as fake, Client(fake.target) as client:
        fake.answers["GET /readyz"] = {"status": "ok"}
        await client.ready()
