"""The metadata store on PostgreSQL passes the suites of metadata stores, alone and shared by several processes."""

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.store.base import MetadataStore
from mcisd.store.metadata import open_store
from tests.conformance.metadata_shared_suite import SharedMetadataSuite
from tests.conformance.metadata_suite import KEEP_CALLS, MetadataSuite, OpenAgain


@pytest.fixture
def open_again(postgres_url: str) -> OpenAgain:
    async def again() -> MetadataStore:
        return await open_store(postgres_url, ManualClock(), keep_calls=KEEP_CALLS)

    return again


@pytest.mark.engines
class TestPostgresStore(MetadataSuite):
    @pytest.fixture
    def open_again(self, open_again: OpenAgain) -> OpenAgain:
        return open_again


@pytest.mark.engines
class TestSharedPostgresStore(SharedMetadataSuite):
    @pytest.fixture
    def open_again(self, open_again: OpenAgain) -> OpenAgain:
        return open_again
