"""What the store makes of answers that a healthy InfluxDB does not give. The server here is emulated: it answers each
request with what the test says."""

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from mcisd.aio.clock import ManualClock
from mcisd.model.errors import StoreError
from mcisd.store.series.influx.options import InfluxOptions
from mcisd.store.series.influx.store import InfluxSeriesStore
from tests.external.influx_windows import question, windows

Handler = Callable[[web.Request], Coroutine[None, None, web.Response]]


@dataclass
class Emulated:
    """The answer to everything, and the lines of each write so far."""

    url: str = ""
    answer: Handler | None = None
    sizes: list[int] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        assert self.answer is not None
        return await self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[Emulated]:
    emulated = Emulated()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", emulated.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    emulated.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield emulated
    await runner.cleanup()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(server: Emulated, clock: ManualClock) -> AsyncIterator[InfluxSeriesStore]:
    options = InfluxOptions(server.url, "org", "bucket", "hidden-token", answer_bytes=10_000)
    store = InfluxSeriesStore(options, clock)
    yield store
    await store.close()


def always(status: int, text: str = "", **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


@pytest.mark.parametrize("status", [429, 503])
async def test_overload_says_when_to_come_again(server: Emulated, store: InfluxSeriesStore, status: int) -> None:
    server.answer = always(status, '{"code":"x","message":"slow down"}', **{"Retry-After": "7"})
    for call in (store.write([windows([0])]), store.query(question(0, 10)), store.delete(["vm-1"])):
        with pytest.raises(StoreError, match="slow down") as raised:
            await call
        assert raised.value.retriable
        assert raised.value.retry_after == 7.0


async def test_an_error_of_the_server_is_retriable(server: Emulated, store: InfluxSeriesStore) -> None:
    server.answer = always(500, "<html>bad   day\n</html>")
    with pytest.raises(StoreError, match="500: <html>bad day") as raised:
        await store.write([windows([0])])
    assert raised.value.retriable
    assert raised.value.retry_after is None


async def test_requests_that_are_too_large_are_cut(server: Emulated, store: InfluxSeriesStore) -> None:
    async def answer(request: web.Request) -> web.Response:
        lines = (await request.text()).count("\n")
        server.sizes.append(lines)
        return web.Response(status=204 if lines <= 3 else 413)

    server.answer = answer
    assert await store.write([windows(list(range(10)))]) == 10
    assert sum(size for size in server.sizes if size <= 3) == 10
    assert store.rejected() == {}


async def test_an_answer_without_end_is_refused(server: Emulated, store: InfluxSeriesStore) -> None:
    server.answer = always(200, "x" * 20_000)
    with pytest.raises(StoreError, match="larger than 10000 bytes") as raised:
        await store.query(question(0, 10))
    assert not raised.value.retriable
    assert "larger step" in str(raised.value.remedy)


@pytest.mark.parametrize("text", ["it works!", "[]", '{"orgs": 5}'])
async def test_something_that_is_no_influxdb(server: Emulated, store: InfluxSeriesStore, text: str) -> None:
    server.answer = always(200, text)
    for call in (store.ensure(), store.check()):
        with pytest.raises(StoreError) as raised:
            await call
        assert raised.value.field in ("store.series_url", "store.series_org")


async def test_the_token_is_sent_and_not_told(server: Emulated, store: InfluxSeriesStore) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Token hidden-token"
        return web.Response(status=401, text='{"code":"unauthorized","message":"unauthorized access"}')

    server.answer = answer
    with pytest.raises(StoreError, match="unauthorized access") as raised:
        await store.ensure()
    assert "hidden-token" not in f"{raised.value} {raised.value.remedy}"
    assert raised.value.field == "store.series_token_file"


async def test_kinds_are_written_once_a_day(server: Emulated, store: InfluxSeriesStore, clock: ManualClock) -> None:
    bodies: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append((request.query["bucket"], await request.text()))
        return web.Response(status=204)

    server.answer = answer
    for _ in range(3):
        await store.write([windows([0])])
        await clock.advance(43_201)
    kinds = [text for bucket, text in bodies if bucket == "bucket_1h"]
    assert kinds == [
        'mcisd_series,field=used,measurement=mem kind="g" 1700000000000',
        'mcisd_series,field=used,measurement=mem kind="g" 1700086402000',
    ]
    assert len(bodies) == 5


async def test_samples_are_stored_without_their_kinds(
    server: Emulated, store: InfluxSeriesStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=422 if request.query["bucket"] == "bucket_1h" else 204)

    server.answer = answer
    assert await store.write([windows([0])]) == 1
    assert await store.write([windows([10_000])]) == 1
    assert len([record for record in caplog.records if "refuses the kinds" in record.getMessage()]) == 1


async def test_a_closed_store_says_so(store: InfluxSeriesStore) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.last(["vm-1"])
