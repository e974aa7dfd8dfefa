"""The same windows in DuckDB and in InfluxDB, the same questions to both, the same answers."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from mcisd.aio.clock import ManualClock
from mcisd.model.identity import Identity
from mcisd.model.samples import Column
from mcisd.store.series.base import SeriesQuery, SeriesResult, WindowBlock
from mcisd.store.series.duck import DuckSeriesStore
from mcisd.store.series.influx.options import InfluxOptions
from mcisd.store.series.influx.store import InfluxSeriesStore
from tests.engines import InfluxServer

pytestmark = pytest.mark.engines

WIDTH_MS, BASE_MS = 10_000, 1_700_000_010_000
VMS = ["vm-1", "vm-2", 'vm"3', "vm\\4"]
WHO: Mapping[str, Identity] = {
    "vm-1": Identity("vm-1", "web-1", "default", "shop", "aws", "eu-west-1", "aws-ireland"),
    'vm"3': Identity('vm"3', "back slash\\", "n,s", "in=fra"),
}
NAMES = ["plain", "a b", 'q"q', "c,d=e", "${x}", "C:\\", "line\nfeed, x=1", "50%", "%0A", "é\u2028", "#", "/:sum$/"]
COLUMNS = [Column("disk", "used", (("path", name),), "g") for name in NAMES] + [
    Column("disk", "used:sum", (), "g"),
    Column("disk", "time", (("time", "noon"), ("vm", "guest")), "c"),
    Column("disk", "reads_rate", (("host", "h"), ("host_", "i")), "r"),
    Column("#net, of=x", 'bytes "in"', (("inter face", ""),), "c"),
    Column("mcisd_series", "kind", (), "g"),
]
EXACT = st.integers(-(2**20), 2**20).map(lambda number: number / 8)
ANY = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e290, max_value=1e290)
Answer = dict[tuple[str, Column], tuple[list[int], list[float]]]


@pytest.fixture
async def stores(influx_server: InfluxServer) -> AsyncIterator[tuple[DuckSeriesStore, InfluxSeriesStore]]:
    server = influx_server
    options = InfluxOptions(server.url, server.org, server.bucket, server.token, keep_downsampled=False)
    options = replace(options, retention_s=0, batch_lines=4, vms_per_query=3)
    duck = await DuckSeriesStore.open(None, threads=1)
    influx = await InfluxSeriesStore.open(options, ManualClock(BASE_MS / 1000 + 3600))
    yield duck, influx
    await influx.close()
    await duck.close()


@st.composite
def blocks(draw: st.DrawFn, numbers: st.SearchStrategy[float]) -> WindowBlock:
    columns = tuple(draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=5, unique=True)))
    rows = draw(st.lists(st.tuples(st.sampled_from(VMS), st.integers(0, 8)), min_size=1, max_size=5))
    shape = (len(rows), len(columns))
    size = len(rows) * len(columns)
    avg, low, high, last = (
        np.array(draw(st.lists(numbers, min_size=size, max_size=size))).reshape(shape) for _ in range(4)
    )
    count = np.array(draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))).reshape(shape)
    starts = np.array([BASE_MS + start * WIDTH_MS for _, start in rows])
    return WindowBlock(columns, WIDTH_MS, [vm for vm, _ in rows], starts, avg, low, high, last, count)


@st.composite
def queries(draw: st.DrawFn) -> SeriesQuery:
    """Most of them about much of what may be there, so that few answers are empty."""
    start = BASE_MS + draw(st.integers(-1, 4)) * WIDTH_MS + draw(st.sampled_from([0, 0, 1, -7777]))
    asked = draw(st.sampled_from([None, None, None, *COLUMNS]))
    return SeriesQuery(
        vms=draw(st.sampled_from([VMS, [*VMS[::-1], "vm-unknown"], VMS[1:], [VMS[2]]])),
        measurement=asked.measurement if asked else "disk",
        start_ms=start,
        end_ms=start + draw(st.sampled_from([20, 20, 10, 5, 1, 0])) * WIDTH_MS,
        step_ms=draw(st.sampled_from([0, WIDTH_MS, 3 * WIDTH_MS, 7001, 10**9])),
        statistic=draw(st.sampled_from(["avg", "min", "max", "last", "count"])),
        fields=draw(st.sampled_from([[], [], ["used"], ["used:sum", "time", "x"], [asked.field if asked else "used"]])),
        tags=dict(asked.tags) if asked and draw(st.booleans()) else {},
    )


def by_series(results: list[SeriesResult]) -> Answer:
    found = {(one.vm, one.column): (one.times_ms.tolist(), one.values.tolist()) for one in results}
    assert len(found) == len(results)
    return found


async def both(
    stores: tuple[DuckSeriesStore, InfluxSeriesStore], writes: list[list[WindowBlock]], questions: list[SeriesQuery]
) -> list[tuple[SeriesQuery, Answer, Answer]]:
    """Write into both, emptied before; the answers of both to each question."""
    duck, influx = stores
    await duck.delete(VMS)
    await influx.delete(VMS)
    for batch in writes:
        assert await duck.write(batch) == await influx.write(batch, WHO)
    assert by_series(await duck.last(VMS)) == by_series(await influx.last(VMS))
    return [(one, by_series(await duck.query(one)), by_series(await influx.query(one))) for one in questions]


BATCHES = st.lists(blocks(EXACT), min_size=1, max_size=3)


@given(writes=st.lists(BATCHES, min_size=1, max_size=3), questions=st.lists(queries(), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_equal_to_the_last_digit_where_sums_are_exact(
    stores: tuple[DuckSeriesStore, InfluxSeriesStore], writes: list[list[WindowBlock]], questions: list[SeriesQuery]
) -> None:
    for query, expected, found in await both(stores, writes, questions):
        event("an answer with something in it" if expected else "an empty answer")
        assert found == expected, query


@given(writes=st.lists(st.lists(blocks(ANY), max_size=2), max_size=2), questions=st.lists(queries(), min_size=1))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_equal_but_for_the_order_of_sums(
    stores: tuple[DuckSeriesStore, InfluxSeriesStore], writes: list[list[WindowBlock]], questions: list[SeriesQuery]
) -> None:
    """Averages differ by 1e-12 of the largest number at most; all else not at all."""
    largest = max((float(np.abs(block.avg).max()) for batch in writes for block in batch), default=0.0)
    for query, expected, found in await both(stores, writes, questions):
        if query.statistic != "avg":
            assert found == expected, query
        assert {key: times for key, (times, _) in found.items()} == {k: times for k, (times, _) in expected.items()}
        for key, (_, values) in expected.items():
            assert found[key][1] == pytest.approx(values, rel=1e-12, abs=1e-12 * largest), query
