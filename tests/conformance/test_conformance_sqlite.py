"""The metadata store on SQLite passes the suite of metadata stores."""

from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.store.base import MetadataStore
from mcisd.store.metadata import open_store
from tests.conformance.metadata_suite import KEEP_CALLS, MetadataSuite, OpenAgain


class TestSqliteStore(MetadataSuite):
    @pytest.fixture
    def open_again(self, tmp_path: Path) -> OpenAgain:
        async def again() -> MetadataStore:
            return await open_store(f"sqlite:///{tmp_path}/metadata.db", ManualClock(), keep_calls=KEEP_CALLS)

        return again
