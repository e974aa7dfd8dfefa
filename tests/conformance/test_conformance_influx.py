"""The time-series store on a real InfluxDB passes the suite of series stores."""

from collections.abc import AsyncIterator

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.store.series.base import SeriesStore
from mcisd.store.series.influx.options import InfluxOptions
from mcisd.store.series.influx.store import InfluxSeriesStore
from tests.conformance.series_model import BASE_MS, WIDTH_MS
from tests.conformance.series_suite import OpenAgain, SeriesSuite, ask, windows
from tests.engines import InfluxServer

pytestmark = pytest.mark.engines


@pytest.fixture
def options(influx_server: InfluxServer) -> InfluxOptions:
    """A bucket that keeps for ever, as the suite's windows are years old; small batches, so that there are several."""
    return InfluxOptions(
        url=influx_server.url,
        org=influx_server.org,
        bucket=influx_server.bucket,
        token=influx_server.token,
        retention_s=0,
        keep_downsampled=False,
        batch_lines=3,
        vms_per_query=2,
    )


class TestInfluxDb(SeriesSuite):
    @pytest.fixture
    def open_again(self, options: InfluxOptions) -> OpenAgain:
        async def again() -> SeriesStore:
            return await InfluxSeriesStore.open(options, ManualClock(BASE_MS / 1000 + 600))

        return again

    @pytest.fixture
    async def store(self, open_again: OpenAgain) -> AsyncIterator[SeriesStore]:
        store = await open_again()
        yield store
        await store.close()

    async def test_prune(self, store: SeriesStore) -> None:
        """The engine drops what is too old; prune leaves that to it."""
        await store.write([windows("vm-a", range(6))])
        assert await store.prune(BASE_MS + 2 * WIDTH_MS) == 0
        (found,) = await store.query(ask(["vm-a"]))
        assert len(found.values) == 6
