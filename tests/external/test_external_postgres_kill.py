"""A process killed with SIGKILL while it writes to PostgreSQL: nothing confirmed is lost, nobody is held up."""

import asyncio

import pytest

from mcisd.aio.clock import SystemClock
from mcisd.model.records import Namespace
from mcisd.store.metadata import open_store
from tests.unit.store.test_store_kill import METADATA, killed_while_writing

pytestmark = pytest.mark.engines


async def test_the_others_go_on(postgres_url: str) -> None:
    store = await open_store(postgres_url, SystemClock())
    confirmed = await asyncio.to_thread(killed_while_writing, METADATA, postgres_url)
    async with asyncio.timeout(5), store.transaction() as tx:
        rows = {row.uid for row in await tx.find(Namespace)}
        await tx.insert(Namespace(uid="next", name="next"))
    events = {item.id for item in await store.events_after(0, 10**6)}
    await store.close()
    assert {f"n{number}" for number in range(confirmed + 1)} <= rows
    assert rows == events
