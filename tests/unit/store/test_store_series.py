"""What only the embedded store has: the file's lock, damage, a full disk, and a query that is cancelled."""

import asyncio
import errno
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest

from mcisd.model.errors import StoreError
from mcisd.model.samples import Column
from mcisd.store.series.base import SeriesQuery, WindowBlock
from mcisd.store.series.duck import DuckSeriesStore
from mcisd.store.series.grid import Grid

COLUMNS = (Column("load", "load1", (), "g"),)
OPEN = """
import asyncio, sys
from pathlib import Path
from mcisd.model.errors import StoreError
from mcisd.store.series.duck import DuckSeriesStore
try:
    asyncio.run(DuckSeriesStore.open(Path(sys.argv[1])))
except StoreError as error:
    print(error.message, "|", error.remedy)
"""


def block(vm: str, windows: int, first: int = 0, width: int = 10_000) -> WindowBlock:
    values = np.arange(windows, dtype=np.float64).reshape(-1, 1)
    starts = (np.arange(windows, dtype=np.int64) + first) * width
    ones = np.ones((windows, 1), dtype=np.int64)
    return WindowBlock(COLUMNS, width, [vm] * windows, starts, values, values, values, values, ones)


async def test_a_file_held_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    store = await DuckSeriesStore.open(path)
    answer = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    await store.close()
    assert "cannot open the time series" in answer.stdout
    assert "another process holds the file" in answer.stdout


async def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    path.write_bytes(b"nothing of ours " * 4096)
    with pytest.raises(StoreError, match="cannot open") as caught:
        await DuckSeriesStore.open(path)
    assert "damaged" in str(caught.value.remedy)


async def test_a_file_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(StoreError, match="cannot open"):
        await DuckSeriesStore.open(tmp_path / "plain" / "s.duckdb")


async def test_in_memory() -> None:
    store = await DuckSeriesStore.open(None)
    assert await store.write([block("vm-a", 3)]) == 3
    (found,) = await store.last(["vm-a"])
    await store.close()
    assert (found.times_ms.tolist(), found.values.tolist()) == ([20_000], [2.0])


async def test_after_close() -> None:
    store = await DuckSeriesStore.open(None)
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.write([block("vm-a", 1)])


async def test_windows_of_another_width_do_not_replace() -> None:
    store = await DuckSeriesStore.open(None)
    await store.write([block("vm-a", 3)])
    await store.write([block("vm-a", 3, width=5_000)])
    (found,) = await store.query(SeriesQuery(["vm-a"], "load", 0, 10**6, 0, "count"))
    await store.close()
    assert found.values.tolist() == [6.0]


async def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a part of it queryable, nor does it come back after a restart, nor does it disturb what follows."""
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mcisd.store.series.hot.os.fdatasync", full)
        with pytest.raises(StoreError, match="could not write samples") as caught:
            await store.write([block("vm-a", 3)])
    assert "free some space" in str(caught.value.remedy)
    assert await store.last(["vm-a"]) == []
    await store.write([block("vm-b", 2), block("vm-a", 1)])
    for _ in range(2):
        found = await store.query(SeriesQuery(["vm-a", "vm-b"], "load", 0, 10**6, 0, "count"))
        assert sorted((item.vm, item.values.tolist()) for item in found) == [("vm-a", [1.0]), ("vm-b", [2.0])]
        await store.close()
        store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.close()


async def test_a_cancelled_query_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await DuckSeriesStore.open(None)
    await store.write([block("vm-a", 1, first=hour * 360) for hour in range(200)])
    begun, looked = threading.Event(), []

    def slow(grid: Grid, query: SeriesQuery) -> None:
        begun.set()
        looked.append(grid.starts_ms[0])
        time.sleep(0.05)

    with monkeypatch.context() as patch:
        patch.setattr("mcisd.store.series.ask.part", slow)
        asked = asyncio.get_running_loop().create_task(store.query(SeriesQuery(["vm-a"], "load", 0, 10**10, 0)))
        await asyncio.to_thread(begun.wait, 10)
        asked.cancel()
        done, _ = await asyncio.wait({asked}, timeout=10)
    assert done
    assert asked.cancelled()
    assert len(looked) < 100
    assert len(await store.query(SeriesQuery(["vm-a"], "load", 0, 10**10, 0))) == 1
    await store.close()


async def test_files_of_an_older_version(tmp_path: Path) -> None:
    """What the store cannot read it does not pass over in silence."""
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute("CREATE TABLE sample (start_ms BIGINT)")
    with pytest.raises(StoreError, match="older version"):
        await DuckSeriesStore.open(tmp_path / "s.duckdb")
