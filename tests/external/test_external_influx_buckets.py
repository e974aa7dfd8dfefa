"""The buckets of minutes and hours on a real InfluxDB: made, mended, filled by their tasks, and asked."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import pytest

from mcisd.aio.clock import ManualClock, SystemClock
from mcisd.model.errors import StoreError
from mcisd.store.series.base import SeriesQuery
from mcisd.store.series.duck import DuckSeriesStore
from mcisd.store.series.influx.http import InfluxHttp
from mcisd.store.series.influx.options import InfluxOptions
from mcisd.store.series.influx.store import InfluxSeriesStore
from mcisd.store.series.influx.tasks import wanted_tasks
from tests.engines import InfluxServer
from tests.external.influx_windows import RECEIVED, WHO, WIDTH_MS, options_of, question, windows

pytestmark = pytest.mark.engines
HOUR_MS = 3_600_000


@pytest.fixture
def options(influx_server: InfluxServer) -> InfluxOptions:
    days = {"retention_s": 20 * 86_400, "retention_1m_s": 90 * 86_400}
    return options_of(influx_server, keep_downsampled=True, **days)


@pytest.fixture
async def http(options: InfluxOptions) -> AsyncIterator[InfluxHttp]:
    """The same way to the server as the store's; at the end no task is left that would run every minute."""
    http = InfluxHttp(options, SystemClock())
    yield http
    for task in await rows(http, "tasks", limit="500"):
        await http.call("DELETE", f"/api/v2/tasks/{task['id']}")
    await http.close()


async def rows(http: InfluxHttp, what: str, **query: str) -> list[dict[str, object]]:
    found = json.loads(await http.call("GET", f"/api/v2/{what}", {"org": http.options.org, **query}))[what]
    assert isinstance(found, list)
    return found


async def run_tasks(http: InfluxHttp, at_ms: int) -> None:
    """Let the engine run each task as it would at that time."""
    for task in wanted_tasks(http.options):
        (row,) = await rows(http, "tasks", name=task.name)
        path = f"/api/v2/tasks/{row['id']}/runs"
        body = {"scheduledFor": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))}
        run = json.loads(await http.call("POST", path, body=body))
        async with asyncio.timeout(100):
            while run["status"] not in ("success", "failed", "canceled"):
                await asyncio.sleep(0.2)
                with contextlib.suppress(StoreError):  # for a moment, on its way into the history, it is not found
                    run = json.loads(await http.call("GET", f"{path}/{run['id']}"))
        assert run["status"] == "success", run


async def test_made_once_and_mended(options: InfluxOptions, http: InfluxHttp) -> None:
    async with asyncio.TaskGroup() as group:  # several processes of one installation start at once
        stores = [group.create_task(InfluxSeriesStore.open(options, SystemClock())) for _ in range(3)]
    store = stores[0].result()
    for other in stores[1:]:
        await other.result().close()
    await store.ensure()
    words = await store.check()
    assert options.bucket in words
    assert options.token not in words
    for task in wanted_tasks(options):
        (row,) = await rows(http, "tasks", name=task.name)
        await http.call("PATCH", f"/api/v2/tasks/{row['id']}", body={"status": "inactive"})
    with pytest.raises(StoreError, match="off or has another text"):
        await store.check()
    (bucket,) = await rows(http, "buckets", name=options.minutes)
    rules = [{"type": "expire", "everySeconds": 7200, "shardGroupDurationSeconds": 3600}]
    await http.call("PATCH", f"/api/v2/buckets/{bucket['id']}", body={"retentionRules": rules})
    with pytest.raises(StoreError, match="keeps 7200 s"):
        await store.check()
    await store.ensure()
    await store.check()
    (bucket,) = await rows(http, "buckets", name=options.minutes)
    assert "7776000" in json.dumps(bucket["retentionRules"])
    await store.close()


async def test_minutes_and_hours_answer_as_the_windows_did(options: InfluxOptions, http: InfluxHttp) -> None:
    """Once the windows are too old to be kept, questions by the minute and hour find the same numbers."""
    now_ms = int(time.time() * 1000)
    first = now_ms - now_ms % HOUR_MS - HOUR_MS
    starts = list(range(first, first + 10 * 60_000, WIDTH_MS))
    written = [windows(starts), windows(starts[::7], 50.0, column=RECEIVED)]
    duck = await DuckSeriesStore.open(None, threads=1)
    store = await InfluxSeriesStore.open(options, SystemClock())
    await duck.write(written)
    await store.write(written, WHO)
    await run_tasks(http, first + 12 * 60_000)
    late = [windows(starts[20:22], 9.0)]  # comes after its minute was computed, and is still counted
    await duck.write(late)
    await store.write(late, WHO)
    await run_tasks(http, first + 14 * 60_000)
    await run_tasks(http, first + HOUR_MS + 3 * 60_000)
    await http.call("POST", "/api/v2/delete", {"org": options.org, "bucket": options.bucket}, {
        "start": "1970-01-01T00:00:00Z", "stop": "2200-01-01T00:00:00Z", "predicate": 'vm="vm-1"'})  # fmt: skip
    for days, step_ms in ((30, 60_000), (30, 300_000), (30, 0), (100, HOUR_MS), (100, 0)):
        aged = InfluxOptions(options.url, options.org, options.bucket, options.token, 20 * 86_400, 90 * 86_400, 0)
        later = InfluxSeriesStore(aged, ManualClock(now_ms / 1000 + days * 86_400))
        for statistic in ("avg", "min", "max", "last", "count"):
            for measurement in ("mem", "net"):
                query = question(first, first + HOUR_MS, step_ms, statistic)
                query = SeriesQuery(["vm-1"], measurement, query.start_ms, query.end_ms, step_ms, statistic)
                (expected,) = await duck.query(query)
                (found,) = await later.query(query)
                assert found.column == expected.column
                assert found.times_ms.tolist() == expected.times_ms.tolist(), (days, step_ms, statistic)
                assert found.values.tolist() == pytest.approx(expected.values.tolist(), rel=1e-12)
        await later.close()
    await store.delete(["vm-1"])
    aged_store = InfluxSeriesStore(options, ManualClock(now_ms / 1000 + 100 * 86_400))
    assert await aged_store.query(question(first, first + HOUR_MS, HOUR_MS)) == []
    await aged_store.close()
    await store.close()
    await duck.close()
