"""The time-series store on DuckDB passes the suite of series stores."""

from pathlib import Path

import pytest

from mcisd.store.series.base import SeriesStore
from mcisd.store.series.duck import DuckSeriesStore
from tests.conformance.series_suite import OpenAgain, SeriesSuite


class TestDuckDb(SeriesSuite):
    @pytest.fixture
    def open_again(self, tmp_path: Path) -> OpenAgain:
        async def again() -> SeriesStore:
            return await DuckSeriesStore.open(tmp_path / "series.duckdb")

        return again
