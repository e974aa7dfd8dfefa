"""What a store has confirmed is there after its process was killed with SIGKILL in the middle of writing."""

import asyncio
import subprocess
import sys
from pathlib import Path

from mcisd.aio.clock import ManualClock
from mcisd.model.records import Namespace
from mcisd.store.metadata import open_store
from mcisd.store.series.base import SeriesQuery
from mcisd.store.series.duck import DuckSeriesStore

METADATA = """
import asyncio, itertools, sys
from mcisd.aio.clock import SystemClock
from mcisd.model.events import Event
from mcisd.model.records import Namespace
from mcisd.store.metadata import open_store

async def main():
    store = await open_store(sys.argv[1], SystemClock())
    for number in itertools.count():
        async with store.transaction() as tx:
            await tx.insert(Namespace(uid=f"n{number}", name=f"n{number}"))
            await tx.emit(Event(f"n{number}", "t", "s", 1.0))
        print(number, flush=True)

asyncio.run(main())
"""
SERIES = """
import asyncio, itertools, sys
from pathlib import Path
import numpy as np
from mcisd.model.samples import Column
from mcisd.store.series.base import WindowBlock
from mcisd.store.series.duck import DuckSeriesStore

async def main():
    store = await DuckSeriesStore.open(Path(sys.argv[1]))
    columns = tuple(Column("load", f"f{place}", (), "g") for place in range(50))
    for number in itertools.count():
        value = np.full((2, 50), float(number))
        starts = np.full(2, number * 10, dtype=np.int64)
        counts = np.ones((2, 50), dtype=np.int64)
        await store.write([WindowBlock(columns, 10, ["a", "b"], starts, value, value, value, value, counts)])
        print(number, flush=True)

asyncio.run(main())
"""
PACKED = """
import asyncio, itertools, sys
from pathlib import Path
import numpy as np
from mcisd.model.samples import Column
from mcisd.store.series.base import WindowBlock
from mcisd.store.series.duck import DuckSeriesStore

async def main():
    store = await DuckSeriesStore.open(Path(sys.argv[1]))
    columns = tuple(Column("load", f"f{place}", (), "g") for place in range(20))
    asyncio.create_task(pack(store))
    for number in itertools.count():
        value = np.full((10, 20), float(number))
        starts = np.full(10, number % 30 * 360_000, dtype=np.int64)
        counts = np.ones((10, 20), dtype=np.int64)
        vms = [f"vm-{place}" for place in range(10)]
        await store.write([WindowBlock(columns, 10, vms, starts, value, value, value, value, counts)])
        print(number, flush=True)

async def pack(store):
    while True:
        await store.compact(10**9)

asyncio.run(main())
"""
WRITES = 40


def killed_while_writing(program: str, target: str, writes: int = WRITES) -> int:
    """Run ``program`` until it has confirmed that many writes, kill it; the last number it has confirmed."""
    with subprocess.Popen([sys.executable, "-c", program, target], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= writes:
                break
        process.kill()
        rest = [int(line) for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -9
    return max([writes, *rest])


async def test_metadata(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    confirmed = await asyncio.to_thread(killed_while_writing, METADATA, url)
    store = await open_store(url, ManualClock())
    async with store.reading() as tx:
        rows = {item.uid for item in await tx.find(Namespace)}
    events = {item.id for item in await store.events_after(0, 10**6)}
    await store.close()
    assert {f"n{number}" for number in range(confirmed + 1)} <= rows
    assert rows == events


async def test_series(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    confirmed = await asyncio.to_thread(killed_while_writing, SERIES, str(path))
    store = await DuckSeriesStore.open(path)
    found = await store.query(SeriesQuery(["a", "b"], "load", 0, 10**9, 10))
    await store.close()
    assert len(found) == 100
    lengths = {len(item.values) for item in found}
    assert lengths <= {confirmed + 1, confirmed + 2}
    assert len(lengths) == 1, "a write is there whole or not at all"
    assert all(item.values.tolist() == [float(number) for number in range(len(item.values))] for item in found)


async def test_series_that_are_packed_all_the_time(tmp_path: Path) -> None:
    """Thirty windows in three hours, written again and again while they are packed: each keeps its newest value."""
    path = tmp_path / "s.duckdb"
    confirmed = await asyncio.to_thread(killed_while_writing, PACKED, str(path), 200)
    store = await DuckSeriesStore.open(path)
    found = await store.query(SeriesQuery([f"vm-{place}" for place in range(10)], "load", 0, 10**9, 10))
    await store.close()
    assert len(found) == 200
    for item in found:
        newest = [max(range(place, last + 1, 30)) for last in (confirmed, confirmed + 1) for place in range(30)]
        assert item.values.tolist() in ([float(n) for n in newest[:30]], [float(n) for n in newest[30:]])
    assert any((tmp_path / "s.hours").glob("*.cells"))
