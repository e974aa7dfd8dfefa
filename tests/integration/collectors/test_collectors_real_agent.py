"""The agent as it runs on a VM, a process of its own, against the receiver and the real store."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from mcisd.collectors.tls import SERVER_NAME
from mcisd.store.series.base import SeriesQuery
from mcisd.store.series.duck import DuckSeriesStore
from tests.integration.collectors.collectors_process import Adapter, Process, Settings


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[Adapter]:
    store = await DuckSeriesStore.open(tmp_path / "series.duckdb", memory_limit="64MB", threads=1)
    yield Adapter(store)
    await store.close()


async def start_agent(directory: Path, port: int, ca: str) -> asyncio.subprocess.Process:
    directory.mkdir()
    builder = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcisd.agent.bundle", str(directory / "agent.pyz")
    )
    assert await builder.wait() == 0
    (directory / "ca.pem").write_text(ca)
    config: dict[str, object] = {"vm": "vm-real", "token": "good", "servers": [["127.0.0.1", port]], "ca": "ca.pem"}
    config |= {"server_name": SERVER_NAME, "interval_ms": 200, "spool_dir": "spool"}
    config |= {"spool_max_bytes": 1 << 20, "spool_max_age_s": 3600}
    path = directory / "agent.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    arguments = [str(directory / "agent.pyz"), "--config", str(path)]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=directory)


async def until_linked(process: Process) -> None:
    async with asyncio.timeout(20):
        while not process.receiver.connected():  # noqa: ASYNC110 - the receiver offers no event for this
            await asyncio.sleep(0.02)


async def test_agent_is_received_stored_measured_and_stopped(adapter: Adapter, tmp_path: Path) -> None:
    process = Process(adapter, Settings(tmp_path / "tls", width_ms=1_000, interval_ms=200))
    port = await process.start()
    agent = await start_agent(tmp_path / "agent", port, process.certificates().ca_pem())
    await until_linked(process)
    schema, _, values = await process.receiver.measure("vm-real")
    load = next(i for i, c in enumerate(schema.columns) if (c.measurement, c.field) == ("system", "load1"))
    assert np.isfinite(values[load])
    await asyncio.sleep(2.0)
    newest = process.live.last("vm-real")
    assert newest is not None
    assert any(c.kind == "r" for c in newest.schema.columns)
    received = process.receiver.stats.frames
    await process.restart_receiver(port)
    await until_linked(process)
    await asyncio.sleep(1.0)
    await process.receiver.stop_agent("vm-real")
    assert await asyncio.wait_for(agent.wait(), 10) == 64
    received += process.receiver.stats.frames
    await process.stop()
    (count,) = await adapter.store.query(SeriesQuery(["vm-real"], "system", 0, 1 << 48, 0, "count", ["load1"]))
    assert count.values.tolist() == [float(process.aggregator.stats.frames)]
    assert process.aggregator.stats.frames == received - process.aggregator.stats.duplicates
    assert process.aggregator.stats.frames >= 10


async def test_agent_is_moved_between_collectors_and_its_samples_stay_whole(adapter: Adapter, tmp_path: Path) -> None:
    process = Process(adapter, Settings(tmp_path / "tls", width_ms=1_000, interval_ms=200))
    other = process.new_receiver()
    here, there = await process.start(), await other.start("127.0.0.1", 0)
    process.receiver.set_route(lambda vm, stay: [] if stay else [("127.0.0.1", there)])
    agent = await start_agent(tmp_path / "agent", here, process.certificates().ca_pem())
    async with asyncio.timeout(20):
        while not other.stats.frames:  # noqa: ASYNC110 - the receiver offers no event for this
            await asyncio.sleep(0.02)
    assert process.receiver.stats.moved == 1
    await asyncio.sleep(1.5)
    await other.move("vm-real", [("127.0.0.1", here)])
    await until_linked(process)
    assert other.links() == 0
    await asyncio.sleep(1.5)
    await process.receiver.stop_agent("vm-real")
    assert await asyncio.wait_for(agent.wait(), 10) == 64
    await other.stop()
    await process.stop()
    (count,) = await adapter.store.query(SeriesQuery(["vm-real"], "system", 0, 1 << 48, 0, "count", ["load1"]))
    (counts,) = await adapter.store.query(SeriesQuery(["vm-real"], "system", 0, 1 << 48, 1_000, "count", ["load1"]))
    assert count.values.tolist() == [float(process.aggregator.stats.frames)]
    assert counts.values.tolist()[1:-1] == [5.0] * (len(counts.values) - 2), "five to a second, also over the moves"
