"""Many VMs and fields in one question, more than InfluxDB takes in one chain; and batches it does not take whole."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from mcisd.aio.clock import SystemClock
from mcisd.model.samples import Column
from mcisd.store.series.base import SeriesQuery, WindowBlock
from mcisd.store.series.influx import write
from mcisd.store.series.influx.http import InfluxHttp
from mcisd.store.series.influx.lines import Batch
from mcisd.store.series.influx.store import InfluxSeriesStore
from mcisd.store.series.influx.write import Rejections, Writer
from tests.engines import InfluxServer
from tests.external.influx_windows import WIDTH_MS, options_of, window_now

pytestmark = pytest.mark.engines
VMS = [f"vm-{number:04}" for number in range(450)]
FIELDS = [f"field {number}" for number in range(120)]


@pytest.fixture
async def http(influx_server: InfluxServer) -> AsyncIterator[InfluxHttp]:
    http = InfluxHttp(options_of(influx_server), SystemClock())
    yield http
    await http.close()


@pytest.mark.parametrize("vms_per_query", [450, 200])
async def test_hundreds_of_vms_and_fields(influx_server: InfluxServer, vms_per_query: int) -> None:
    options = options_of(influx_server, vms_per_query=vms_per_query, batch_lines=100)
    store = await InfluxSeriesStore.open(options, SystemClock())
    now = window_now()
    numbers = np.array(range(len(VMS)), dtype=np.float64).reshape(-1, 1)
    ones, starts = np.ones((len(VMS), 1), dtype=np.int64), np.full(len(VMS), now)
    column = (Column("many", FIELDS[3], (), "g"),)
    assert (
        await store.write([WindowBlock(column, WIDTH_MS, VMS, starts, numbers, numbers, numbers, numbers, ones)]) == 450
    )
    found = await store.query(SeriesQuery(VMS, "many", now, now + WIDTH_MS, 0, "avg", FIELDS))
    assert [(one.vm, one.values.tolist()) for one in found] == [(vm, [float(n)]) for n, vm in enumerate(VMS)]
    assert len(await store.last(VMS)) == 450
    await store.close()


def text(lines: list[str]) -> Batch:
    return Batch("".join(f"{line}\n" for line in lines).encode(), len(lines), len(lines))


def good(number: int) -> str:
    return f"m,vm=v f:sum=1 {window_now() + number}"


async def test_lines_that_are_not_understood_cost_no_others(http: InfluxHttp) -> None:
    """InfluxDB takes nothing of a request with such a line; no text of ours is known to be one."""
    rejections = Rejections()
    lines = [good(number) for number in range(1000)]
    lines[7] = lines[600] = lines[601] = "no line at all:sum="
    assert await Writer(http, rejections).send(iter([text(lines), text([good(2000)])])) == 998
    assert rejections.reasons == {"not understood": 3}


async def test_looking_for_bad_lines_has_a_bound(http: InfluxHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    """After that many halvings what is left of a bad part is given up and counted."""
    monkeypatch.setattr(write, "MOST_HALVINGS", 4)
    rejections = Rejections()
    lines = [good(number) for number in range(64)]
    lines[0] = "no line at all:sum="
    assert await Writer(http, rejections).send(iter([text(lines)])) == 48
    assert rejections.reasons == {"not understood": 16}
