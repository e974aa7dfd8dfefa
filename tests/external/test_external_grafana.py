"""Every query of every dashboard finds what it asks for in a real InfluxDB that the real store has filled."""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import aiohttp
import numpy as np
import pytest

from mcisd.aio.clock import SystemClock
from mcisd.model.samples import Column
from mcisd.store.series.base import WindowBlock
from mcisd.store.series.influx.options import InfluxOptions
from mcisd.store.series.influx.store import InfluxSeriesStore
from tests.engines import InfluxServer
from tests.external.grafana_data import PROCESSES, SILENT, VMS, fill
from tests.external.grafana_queries import Asker, PanelQuery, Span, pages, panel_queries, sent
from tools.dashboards import flux

pytestmark = pytest.mark.engines
HOUR, DAY = 3_600, 86_400
Choice = Mapping[str, tuple[str, ...]]
ONE_VM: Choice = {"ns": ("shop",), "infra": ("front",), "host": ("web-1",), "process": ()}


@pytest.fixture
async def store(influx_server: InfluxServer) -> AsyncIterator[InfluxSeriesStore]:
    store = await InfluxSeriesStore.open(options(influx_server), SystemClock())
    yield store
    await store.close()


@pytest.fixture
async def asker(influx_server: InfluxServer) -> AsyncIterator[Asker]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Asker(influx_server, session)


def options(server: InfluxServer, bucket: str = "") -> InfluxOptions:
    """All buckets keep for ever here; the first one brings its two others."""
    return InfluxOptions(
        url=server.url, org=server.org, bucket=bucket or server.bucket, token=server.token, retention_s=0,
        retention_1m_s=0, retention_1h_s=0, keep_downsampled=not bucket, batch_values=10_000,
    )  # fmt: skip


async def fill_bucket(server: InfluxServer, suffix: str, starts: range, quiet_s: int) -> None:
    """Windows straight into one of the buckets; the silent VM's end ``quiet_s`` before the others."""
    one = await InfluxSeriesStore.open(options(server, server.bucket + suffix), SystemClock())
    await fill(one, starts, starts.step, starts[-1] - quiet_s)
    await one.close()


def spans(now: int) -> dict[str, Span]:
    """Time ranges that are asked from different buckets."""
    return {
        "the last quarter of an hour": Span(now - 900, now),
        "the last two days": Span(now - 2 * DAY, now),
        "an hour three weeks ago": Span(now - 21 * DAY - HOUR, now - 21 * DAY),
        "a day 100 days ago": Span(now - 101 * DAY, now - 100 * DAY),
    }


async def fill_all(server: InfluxServer, now: int) -> None:
    """What those time ranges need."""
    await fill_bucket(server, "", range(now - 600, now, 10), 300)
    await fill_bucket(server, "_1m", range(now - 2 * DAY, now, 900), DAY)
    await fill_bucket(server, "_1m", range(now - 21 * DAY - 900, now - 21 * DAY, 60), 600)
    await fill_bucket(server, "_1h", range(now - 101 * DAY, now - 100 * DAY, HOUR), 6 * HOUR)


def problem(query: PanelQuery, rows: list[dict[str, str]]) -> str:
    """What Grafana could not show of these rows; empty if all is well."""
    if not rows:
        return "no rows"
    if (query.kind == "timeseries") != ("_measurement" in rows[0]):
        return "series where a table is wanted, or the other way round"
    if query.kind == "timeseries":
        wanted = {"_time", "_value", "_field", "_measurement", *query.labels}
        bad = [row for row in rows if any(not row.get(name) for name in wanted)]
        return f"{sorted(wanted)} should all be there: {bad[0]}" if bad else ""
    if query.kind == "table":
        return "" if all(any(row.values()) for row in rows) else "an empty row"
    numbers = [name for name in rows[0] if name not in ("", "result", "table", "name")]
    return "" if len(numbers) == 1 and all(row[numbers[0]] for row in rows) else f"not one number a row: {rows[0]}"


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_every_query_of_every_panel_finds_something(
    influx_server: InfluxServer, store: InfluxSeriesStore, asker: Asker
) -> None:
    now = int(time.time()) // 60 * 60
    await fill_all(influx_server, now)
    problems, asked = [], 0
    for name, span in spans(now).items():
        for page in pages().values():
            for query in panel_queries(page):
                rows = await asker.rows(sent(query.text, span, influx_server.bucket, ONE_VM))
                asked += 1
                if found := problem(query, rows):
                    problems.append(f"{name}: {query.page}, {query.title}: {found}")
    assert problems == []
    assert asked > 4 * 80


@pytest.mark.timeout(120)
async def test_every_variable_offers_what_goes_with_the_choices_before_it(
    influx_server: InfluxServer, store: InfluxSeriesStore, asker: Asker
) -> None:
    now = int(time.time()) // 60 * 60
    await fill_bucket(influx_server, "", range(now - 120, now, 10), 60)
    offered = {}
    for uid, page in pages().items():
        chosen: dict[str, tuple[str, ...]] = {}
        for variable in page["templating"].get("list", []):
            text = sent(variable["query"]["query"], Span(now - 900, now), influx_server.bucket, chosen)
            values = sorted(row["_value"] for row in await asker.rows(text))
            offered[uid, variable["name"]] = values
            chosen[variable["name"]] = tuple(values[:1])
    vms = sorted(identity.host for identity in VMS.values())
    assert offered == {
        ("mcisd-mcis", "ns"): ["shop"],
        ("mcisd-mcis", "infra"): ["front"],
        ("mcisd-vm", "ns"): ["shop"],
        ("mcisd-vm", "infra"): ["front"],
        ("mcisd-vm", "host"): vms,
        ("mcisd-daemon", "process"): sorted(PROCESSES),
    }


async def test_averages_are_exact_also_over_vms_that_reported_more_often(
    influx_server: InfluxServer, store: InfluxSeriesStore, asker: Asker
) -> None:
    now = int(time.time()) // 600 * 600
    column = Column("cpu", "usage_active", (("cpu", "cpu-total"),), "g")
    values, counts = np.array([[10.0], [30.0], [90.0]]), np.array([[1], [5], [4]])
    starts = np.array([now - 600, now - 590, now - 600]) * 1000
    names = ["vm-web1", "vm-web1", "vm-web2"]
    block = WindowBlock((column,), 10_000, names, starts, values, values - 1, values + 1, values, counts)
    regional = {vm: replace(VMS[vm], provider="aws", region="eu") for vm in set(names)}
    await store.write([block], regional)
    span = Span(now - 600_000, now)  # steps of ten minutes: all three windows are in one step
    found = {}
    for by, merged in (("host", False), ("region", True)):
        text = flux.mean("cpu", ["usage_active"], by=[by], merged=merged).replace(" + suffix", "")
        for row in await asker.rows(sent(text, span, influx_server.bucket, {})):
            found[row[by]] = float(row["_value"])
    assert found == pytest.approx({"web-1": 160 / 6, "web-2": 90.0, "eu": (160 + 360) / 10})


@pytest.mark.timeout(120)
async def test_numbers_and_tables_say_what_is_there_now(
    influx_server: InfluxServer, store: InfluxSeriesStore, asker: Asker
) -> None:
    now = int(time.time()) // 60 * 60
    await fill_bucket(influx_server, "", range(now - 600, now, 10), 300)

    async def ask(page: str, title: str) -> list[dict[str, str]]:
        (query,) = (query for query in panel_queries(pages()[page]) if query.title == title)
        return await asker.rows(sent(query.text, Span(now - 900, now), influx_server.bucket, ONE_VM))

    (silent,) = await ask("mcisd-fleet", "Silent VMs")
    assert (silent["VM"], silent["provider"]) == (VMS[SILENT].host, "gcp")
    assert 300 <= float(silent["silent for"]) <= 320
    assert [row["_value"] for row in await ask("mcisd-fleet", "VMs reporting")] == ["2"]
    assert {row["region"]: row["VMs"] for row in await ask("mcisd-fleet", "VMs reporting by region")} == {
        "eu-west-1": "1",
        "europe-west4": "1",
    }
    assert [row["_value"] for row in await ask("mcisd-daemon", "Processes")] == ["2"]
    assert [row["_value"] for row in await ask("mcisd-fleet", "Critical alarms")] == ["4"]  # two rules, two processes
    assert [row["host"] for row in await ask("mcisd-mcis", "Last values")] == ["web-1", "web-2"]
    firing = await ask("mcisd-alarms", "Firing by rule")
    assert {(row["rule"], row["_value"]) for row in firing} == {("cpu high", "6"), ("disk full", "6")}
    assert {row["_value"] for row in await ask("mcisd-fleet", "VMs by state")} == {"1"}  # counted by one at a time
    assert {float(row["_value"]) for row in await ask("mcisd-alarms", "What becomes of frames and changes")} == {1.0}
    ranked = [float(row["used"]) for row in await ask("mcisd-fleet", "Fullest disks")]
    assert ranked == sorted(ranked, reverse=True)
    (rate,) = await ask("mcisd-daemon", "Samples per second")
    assert float(rate["_value"]) == pytest.approx(2 * 0.5)  # each of two processes counts one every two seconds
