"""The store on a real InfluxDB that goes away, refuses points, or is not what the settings say."""

import asyncio
import logging
from collections.abc import AsyncIterator

import numpy as np
import pytest

from mcisd.aio.clock import SystemClock
from mcisd.model.errors import StoreError
from mcisd.store.series.influx.options import InfluxOptions
from mcisd.store.series.influx.store import InfluxSeriesStore
from tests.engines import InfluxServer
from tests.external.influx_windows import RECEIVED, USED, WIDTH_MS, options_of, question, window_now, windows

pytestmark = pytest.mark.engines


@pytest.fixture
def options(influx_server: InfluxServer) -> InfluxOptions:
    return options_of(influx_server)


@pytest.fixture
async def store(options: InfluxOptions) -> AsyncIterator[InfluxSeriesStore]:
    store = await InfluxSeriesStore.open(options, SystemClock())
    yield store
    await store.close()


async def test_stopped_and_started_while_writing(influx_server: InfluxServer, store: InfluxSeriesStore) -> None:
    """Writes fail in a way that says try again; who does loses nothing."""
    first = window_now() - 400 * WIDTH_MS
    failures: list[StoreError] = []
    ready = asyncio.Event()

    async def write_all() -> None:
        for number in range(200):
            while True:
                try:
                    assert await store.write([windows([first + number * WIDTH_MS], float(number))]) == 1
                    break
                except StoreError as error:
                    failures.append(error)
                    await asyncio.sleep(0.05)
            if number == 20:
                ready.set()

    task = asyncio.create_task(write_all())
    await ready.wait()
    await influx_server.engine.stop(kill=True)
    await asyncio.sleep(0.3)
    await influx_server.engine.start_again()
    await task
    assert failures
    assert all(error.retriable and error.remedy for error in failures)
    (found,) = await store.query(question(first, first + 200 * WIDTH_MS))
    assert found.values.tolist() == [float(number) for number in range(200)]
    assert store.rejected() == {}


async def test_points_older_than_the_bucket_keeps_are_counted(
    influx_server: InfluxServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The others of the same request are stored, and the reason is told once."""
    store = await InfluxSeriesStore.open(options_of(influx_server, retention_s=3600), SystemClock())
    now = window_now()
    old = [now - 2 * 3_600_000 - number * WIDTH_MS for number in range(3)]
    with caplog.at_level(logging.WARNING):
        assert await store.write([windows([old[0], now, old[1], now - WIDTH_MS, old[2]])]) == 2
        assert await store.write([windows(old)]) == 0
    assert store.rejected() == {"older than the bucket keeps": 6}
    (found,) = await store.query(question(now - WIDTH_MS, now + WIDTH_MS))
    assert found.values.tolist() == [4.0, 2.0]
    assert len([record for record in caplog.records if "refuses points" in record.getMessage()]) == 1
    await store.close()


async def test_a_field_of_another_type_costs_its_point_alone(
    influx_server: InfluxServer, store: InfluxSeriesStore
) -> None:
    """Somebody else has written this field as a string."""
    now = window_now()
    http = store._http  # the same way to the server, for text that is not ours
    query = {"org": influx_server.org, "bucket": influx_server.bucket, "precision": "ms"}
    await http.call("POST", "/api/v2/write", query, f'mem,vm=other used="x" {now}'.encode(), kind="text/plain")
    batch = [windows([now], column=USED), windows([now], 7.0, column=RECEIVED)]
    assert await store.write(batch) == 1
    assert store.rejected() == {"field of another type": 1}
    assert [one.column for one in await store.last(["vm-1"])] == [RECEIVED]


async def test_numbers_that_are_not_finite_are_left_out(store: InfluxSeriesStore) -> None:
    now = window_now()
    block = windows([now - WIDTH_MS, now])
    block.max[0, 0] = np.inf
    assert await store.write([block]) == 1
    assert store.rejected() == {"not a finite number": 1}
    (found,) = await store.query(question(now - WIDTH_MS, now + WIDTH_MS, 0, "count"))
    assert found.values.tolist() == [4.0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"token": "wrong"}, "store.series_token_file"),
        ({"org": "nobody"}, "store.series_org"),
        ({"url": "http://127.0.0.1:9"}, "store.series_url"),
    ],
)
async def test_wrong_settings_are_named(influx_server: InfluxServer, changes: dict[str, str], field: str) -> None:
    options = options_of(influx_server, **changes)
    with pytest.raises(StoreError) as raised:
        await InfluxSeriesStore.open(options, SystemClock())
    assert raised.value.field == field
    assert raised.value.remedy
    assert options.token not in str(raised.value) + str(raised.value.remedy) + repr(options)
    store = InfluxSeriesStore(options, SystemClock())
    with pytest.raises(StoreError) as raised:
        await store.write([windows([window_now()])])
    assert raised.value.field == field
    with pytest.raises(StoreError, match="InfluxDB"):
        await store.check()
    await store.close()


async def test_a_bucket_that_is_gone_is_named(influx_server: InfluxServer) -> None:
    store = InfluxSeriesStore(options_of(influx_server, bucket="gone"), SystemClock())
    for call in (store.write([windows([window_now()])]), store.last(["vm-1"]), store.delete(["vm-1"])):
        with pytest.raises(StoreError) as raised:
            await call
        assert raised.value.field == "store.series_bucket"
    with pytest.raises(StoreError, match="there is no bucket gone"):
        await store.check()
    await store.close()


async def test_a_server_that_does_not_answer(influx_server: InfluxServer) -> None:
    """The whole write call has one deadline."""
    closed = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        closed.set()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    store = InfluxSeriesStore(options_of(influx_server, url=url, write_timeout_s=0.3), SystemClock())
    with pytest.raises(StoreError, match=r"within 0\.3 s") as raised:
        await store.write([windows([window_now()])])
    assert raised.value.retriable
    await store.close()
    await closed.wait()
    server.close()
    await server.wait_closed()
