"""The files of hours: packing, late windows, space that is given back, and what a crash may leave behind."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from mcisd.model.errors import StoreError
from mcisd.model.samples import Column
from mcisd.store.series import minutes
from mcisd.store.series.ask import ask
from mcisd.store.series.base import STATISTICS, SeriesQuery, WindowBlock
from mcisd.store.series.duck import GRACE_MS, DuckSeriesStore
from mcisd.store.series.minutes import MINUTE_MS, MOST_VMS
from mcisd.store.series.rows import HOUR_MS

COLUMNS = (Column("load", "load1", (), "g"), Column("load", "load5", (), "g"), Column("mem", "used", (), "g"))
WIDTH = 10_000
LATER = 10**9


def block(vm: str, first: int, windows: int, value: float = 0.0) -> WindowBlock:
    starts = (np.arange(windows, dtype=np.int64) + first) * WIDTH
    values = value + starts[:, None] / WIDTH + np.arange(3.0)
    return WindowBlock(
        COLUMNS, WIDTH, [vm] * windows, starts, values, values, values, values, np.ones((windows, 3), dtype=np.int64)
    )


async def pack(store: DuckSeriesStore, now_ms: int = LATER) -> int:
    """Two looks, as an hour must not have been written to between them."""
    return await store.compact(now_ms) + await store.compact(now_ms)


async def values(store: DuckSeriesStore, vm: str, first: int = 0, end: int = 10_000) -> list[float]:
    query = SeriesQuery([vm], "load", first * WIDTH, end * WIDTH, WIDTH, "last", ["load1"])
    return [value for found in await store.query(query) for value in found.values.tolist()]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "s.hours").iterdir())


async def test_an_hour_is_packed_when_it_is_over_and_at_rest(tmp_path: Path) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-a", 0, 400)])
    end = HOUR_MS + GRACE_MS
    assert await store.compact(end) == 0, "it was written to since the last look"
    assert await store.compact(end - 1) == 0, "it is not over for long enough"
    before = (tmp_path / "s.hours" / "0-1.log").stat().st_size
    assert await store.compact(end) == 3 * 360
    assert files(tmp_path) == ["0-1.cells", "1-1.log"]
    assert (tmp_path / "s.hours" / "0-1.cells").stat().st_size < before / 20
    assert await values(store, "vm-a") == [float(number) for number in range(400)]
    assert await store.compact(end) == 0
    await store.close()


async def test_late_windows_win_over_packed_ones(tmp_path: Path) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-a", 0, 10), block("vm-b", 0, 10)])
    await pack(store)
    await store.write([block("vm-a", 3, 2, 1000.0)])
    expected = [0.0, 1.0, 2.0, 1003.0, 1004.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert await values(store, "vm-a") == expected
    assert await pack(store) == 2 * 3 * 10
    assert files(tmp_path) == ["0-2.cells"]
    assert await values(store, "vm-a") == expected
    assert await values(store, "vm-b") == [float(number) for number in range(10)]
    await store.close()


async def test_writing_goes_on_while_an_hour_is_packed(tmp_path: Path) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block(f"vm-{number}", 0, 360) for number in range(60)])
    await store.compact(LATER)
    packing = asyncio.get_running_loop().create_task(store.compact(LATER))
    await asyncio.sleep(0)  # it has begun: what is written from now on does not put it off
    written = 0
    while not packing.done():
        await store.write([block("vm-0", written, 1, 1000.0)])
        written += 1
        await asyncio.sleep(0)
    assert await packing == 60 * 3 * 360
    assert written > 1
    found = await values(store, "vm-0")
    assert found[:written] == [1000.0 + number for number in range(written)]
    assert found[written:] == [float(number) for number in range(written, 360)]
    await store.close()


@pytest.mark.parametrize("packed", [False, True])
async def test_a_query_that_began_before_the_files_changed(tmp_path: Path, packed: bool) -> None:
    """It has looked which files there are and not opened them yet; then they are replaced and removed."""
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-a", 0, 10)])
    if packed:
        await pack(store)
        await store.close()
        store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    picture = store._hours.all()
    if packed:
        await store.prune(5 * WIDTH)
    await store.write([block("vm-a", 5, 1, 50.0)])
    await pack(store)
    await store.prune(10**9)
    assert files(tmp_path) == []
    query = SeriesQuery(["vm-a"], "load", 0, 10**6, WIDTH, "last", ["load1"])
    columns = store._known.columns
    wanted = store._known.matching("load", ["load1"], {})
    (found,) = ask(query, picture, {1: "vm-a"}, wanted, list(columns), columns, lambda: False)
    expected = [float(number) for number in range(10)]
    if not packed:
        expected[5] = 55.0  # the log of the picture went on being written
    assert found.values.tolist() == expected
    await store.close()


async def test_pruning_gives_the_space_back(tmp_path: Path) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-a", 0, 720), block("vm-b", 0, 720)])
    await pack(store)
    await store.write([block("vm-a", 700, 40, 5000.0)])
    assert await store.prune(500 * WIDTH) == 2 * 3 * 500
    assert files(tmp_path) == ["1-2.cells", "2-1.log"]
    assert (await values(store, "vm-b"))[0] == 500.0
    assert await store.prune(10**9) == 3 * (220 + 240)
    assert files(tmp_path) == []
    assert await store.last(["vm-a", "vm-b"]) == []
    await store.close()


async def test_forgotten_vms_leave_the_files_when_these_are_packed(tmp_path: Path) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    many = [f"vm-{number}" for number in range(10)]
    await store.write([block(vm, 0, 300) for vm in ["vm-a", "vm-b", *many]])
    await pack(store)
    size = (tmp_path / "s.hours" / "0-1.cells").stat().st_size
    await store.delete(["vm-b", *many])
    await store.close()
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-b", 300, 1), block("vm-a", 300, 1)])
    assert await values(store, "vm-b") == [300.0], "the new VM has not got the number of the old one"
    await pack(store)
    assert (tmp_path / "s.hours" / "0-2.cells").stat().st_size < size / 3
    assert await store.prune(10**9) == 3 * (301 + 1)
    await store.close()


async def test_the_newest_values_after_a_restart(tmp_path: Path) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-a", 0, 361), block("vm-b", 0, 5)])
    await pack(store, HOUR_MS + GRACE_MS)
    await store.close()
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    found = {(item.vm, item.column.field): item.values[0] for item in await store.last(["vm-a", "vm-b"])}
    assert found["vm-a", "load1"] == 360.0
    assert found["vm-b", "used"] == 6.0
    await store.close()


async def test_a_crash_between_packing_and_removing(tmp_path: Path) -> None:
    """The log that was packed is still there; it must not count again, over what came later."""
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-a", 0, 10)])
    hours = tmp_path / "s.hours"
    shutil.copy(hours / "0-1.log", tmp_path / "old.log")
    await store.compact(LATER)
    await store.write([block("vm-a", 0, 5, 100.0)])
    await pack(store)
    await store.close()
    shutil.copy(tmp_path / "old.log", hours / "0-1.log")
    (hours / "0.new").write_bytes(b"half a file")
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    assert [name for name in files(tmp_path) if not name.endswith(".cells")] == []
    assert await values(store, "vm-a") == [100.0, 101.0, 102.0, 103.0, 104.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    await store.close()


@pytest.mark.parametrize("lost", [1, 100, 500])
async def test_a_torn_write_is_cut_off(tmp_path: Path, lost: int) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-a", 0, 5)])
    await store.write([block("vm-a", 5, 5)])
    await store.close()
    log = tmp_path / "s.hours" / "0-1.log"
    log.write_bytes(log.read_bytes()[:-lost])
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    assert await values(store, "vm-a") == [0.0, 1.0, 2.0, 3.0, 4.0]
    await store.write([block("vm-a", 5, 5)])
    await store.close()
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    assert await values(store, "vm-a") == [float(number) for number in range(10)]
    await store.close()


@pytest.mark.parametrize("place", [20, -30])
async def test_a_damaged_packed_file_is_told(tmp_path: Path, place: int) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block("vm-a", 0, 300)])
    await pack(store)
    await store.close()
    path = tmp_path / "s.hours" / "0-1.cells"
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    with pytest.raises(StoreError, match=r"0-1\.cells is damaged"):
        await values(store, "vm-a")
    await store.close()


async def test_close_ends_the_packing(tmp_path: Path) -> None:
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    await store.write([block(f"vm-{number}", 0, 360) for number in range(60)])
    await store.compact(LATER)
    packing = asyncio.get_running_loop().create_task(store.compact(LATER))
    await asyncio.sleep(0.02)
    await store.close()
    with pytest.raises(StoreError, match="clos"):
        await packing
    assert files(tmp_path) == ["0-1.log"]


async def test_minutes_say_what_the_windows_say(tmp_path: Path) -> None:
    """Also after the minutes of VMs that sent nothing late were copied into a new file."""
    store = await DuckSeriesStore.open(tmp_path / "s.duckdb")
    vms = [f"vm-{number}" for number in range(MOST_VMS + 3)]
    await store.write([block(vm, number % 7, 720 - number, 7.0 * number) for number, vm in enumerate(vms)])
    asked = [
        SeriesQuery(vms[3:-1], "load", first, first + 110 * MINUTE_MS, step * MINUTE_MS, statistic, fields)
        for statistic in STATISTICS
        for first, step, fields in ((0, 1, []), (5 * MINUTE_MS, 2, ["load5"]), (0, 60, []))
    ]
    expected = [await store.query(query) for query in asked]
    for late in (False, True):
        if late:
            await store.write([block("vm-9", 9, 3, 63.0)])
        assert await pack(store) > 0
        for query, before in zip(asked, expected, strict=True):
            assert minutes.suffice(query)
            found = await store.query(query)
            assert [(item.vm, item.column) for item in found] == [(item.vm, item.column) for item in before]
            for item, other in zip(found, before, strict=True):
                assert item.times_ms.tolist() == other.times_ms.tolist()
                assert item.values.tolist() == pytest.approx(other.values.tolist(), rel=1e-12)
    await store.close()
