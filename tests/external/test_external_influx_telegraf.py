"""What the real agent's probes measure on this machine, written through the store, answers the queries of the usual
Telegraf host dashboards: they need not know that no Telegraf is there.

Left out is ``netstat``: the agent has no such probe.
"""

import json
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from mcisd.agent import scope
from mcisd.agent.gather import Gatherer
from mcisd.agent.probes.base import ProcFiles
from mcisd.agent.probes.own import Stats
from mcisd.aio.clock import SystemClock
from mcisd.model import wire
from mcisd.model.samples import Column, Schema
from mcisd.store.series.base import WindowBlock
from mcisd.store.series.influx.answer import records
from mcisd.store.series.influx.http import InfluxHttp
from mcisd.store.series.influx.store import InfluxSeriesStore
from tests.engines import InfluxServer
from tests.external.influx_windows import WHO, WIDTH_MS, options_of, window_now

pytestmark = pytest.mark.engines
TICKS = 4
HEAD = """from(bucket: "{bucket}")
  |> range(start: -1h)
  |> filter(fn: (r) => r["host"] == "web-1")
"""
EVERY = "  |> aggregateWindow(every: 10s, fn: mean, createEmpty: false)\n"
RATE = "  |> derivative(unit: 1s, nonNegative: true)\n"
DASHBOARD = {
    "cpu by core": 'r._measurement == "cpu" and r._field == "usage_user" and r.cpu != "cpu-total"',
    "cpu total": 'r._measurement == "cpu" and r.cpu == "cpu-total" and r._field =~ /^usage_(user|system|iowait|idle)$/',
    "memory": 'r._measurement == "mem" and r._field == "used_percent"',
    "memory by use": 'r._measurement == "mem" and r._field =~ /^(used|free|cached|buffered|total|available)$/',
    "disk by path": 'r._measurement == "disk" and r._field == "used_percent" and exists r.path',
    "load": 'r._measurement == "system" and r._field =~ /^load(1|5|15)$/',
    "uptime": 'r._measurement == "system" and r._field == "uptime"',
    "processes": 'r._measurement == "processes" and r._field =~ /^(running|sleeping|blocked|zombies|total)$/',
    "swap": 'r._measurement == "swap" and r._field =~ /^(total|used|used_percent)$/',
}
COUNTERS = {
    "network by interface": 'r._measurement == "net" and r._field =~ /^bytes_(recv|sent)$/ and exists r.interface',
    "packets": 'r._measurement == "net" and r._field =~ /^packets_(recv|sent)$/',
    "disk traffic": 'r._measurement == "diskio" and r._field =~ /^(read|write)_bytes$/ and exists r.name',
    "disk operations": 'r._measurement == "diskio" and r._field =~ /^(reads|writes)$/',
    "context switches": 'r._measurement == "kernel" and r._field == "context_switches"',
}


def measured() -> WindowBlock:
    """A window for each of a few real rounds of measuring, the last of them the present one."""
    files, stats = ProcFiles("/"), Stats()
    gatherer = Gatherer(files, scope.probes({}, files, stats), stats)
    gatherer.gather(time.monotonic(), True)
    rounds = []
    for _ in range(TICKS):
        time.sleep(0.2)  # CPU use is a difference
        rounds.append(gatherer.gather(time.monotonic(), True))
    files.close()
    ((_, payload),) = wire.take(bytearray(gatherer.schema.message))
    columns: tuple[Column, ...] = Schema.from_json(json.dumps(wire.unpack_json(payload)["columns"])).columns
    values = np.array(rounds)
    count = np.isfinite(values).astype(np.int64)
    starts = np.array([window_now() - WIDTH_MS * back for back in reversed(range(TICKS))])
    return WindowBlock(columns, WIDTH_MS, ["vm-1"] * TICKS, starts, values, values, values, values, count)


@pytest.fixture
async def http(influx_server: InfluxServer) -> AsyncIterator[InfluxHttp]:
    options = options_of(influx_server)
    store = await InfluxSeriesStore.open(options, SystemClock())
    block = measured()
    assert await store.write([block], WHO) == int(np.isfinite(block.avg).sum())
    assert store.rejected() == {}
    await store.close()
    http = InfluxHttp(options, SystemClock())
    yield http
    await http.close()


async def ask(http: InfluxHttp, text: str) -> list[dict[str, str]]:
    body = {"query": text, "type": "flux", "dialect": {"header": True, "annotations": []}}
    answer = await http.call("POST", "/api/v2/query", {"org": http.options.org}, body)
    return list(records(answer.decode()))


async def test_each_panel_of_a_host_dashboard_has_rows(http: InfluxHttp) -> None:
    head = HEAD.format(bucket=http.options.bucket)
    for name, condition in DASHBOARD.items():
        rows = await ask(http, f"{head}  |> filter(fn: (r) => {condition})\n{EVERY}")
        assert len(rows) >= TICKS, name
        assert {row["host"] for row in rows} == {"web-1"}, name
        assert {row["ns"] for row in rows} == {"default"}, name
    for name, condition in COUNTERS.items():
        rows = await ask(http, f"{head}  |> filter(fn: (r) => {condition})\n{RATE}")
        assert len(rows) >= TICKS - 1, name
        assert all(float(row["_value"]) >= 0 for row in rows), name


async def test_a_dashboard_finds_hosts_and_mount_points(http: InfluxHttp) -> None:
    """The queries behind its variables."""
    bucket = http.options.bucket
    text = f'import "influxdata/influxdb/schema"\nschema.{{call}}(bucket: "{bucket}", {{more}})'
    hosts = await ask(http, text.format(call="tagValues", more='tag: "host"'))
    assert [row["_value"] for row in hosts] == ["web-1"]
    paths = await ask(http, text.format(call="measurementTagValues", more='measurement: "disk", tag: "path"'))
    assert "/" in [row["_value"] for row in paths]


async def test_percentages_are_percentages(http: InfluxHttp) -> None:
    head = HEAD.format(bucket=http.options.bucket)
    rows = await ask(http, f"{head}  |> filter(fn: (r) => r._field =~ /^used_percent$/)\n  |> last()")
    assert len(rows) >= 2
    assert all(0 <= float(row["_value"]) <= 100 for row in rows)
