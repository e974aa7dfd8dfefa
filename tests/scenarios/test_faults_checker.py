"""The checker of the fault laboratory finds what is planted: a frame lost, doubled, changed or on another VM."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mcisd.model.samples import Column
from mcisd.store.series.base import WindowBlock
from mcisd.store.series.duck import DuckSeriesStore
from tests.scenarios.faults.checker import Account, Checker
from tests.scenarios.faults.expected import WIDTH_MS, episodes, windows
from tests.scenarios.faults.produce import COLUMNS, EPOCH_MS, JOURNAL, Journal, read_journal

VMS = {1: "vm-1", 2: "vm-2"}
WIDE = len(COLUMNS)


def journal() -> NDArray[np.void]:
    """Two VMs, 25 frames each, one a second; the condition of the first holds from its 10th to its 15th frame."""
    rows = [(vm, int(vm == 1 and 10 <= i < 15), 100 + i, EPOCH_MS + 1000 * i) for vm in VMS for i in range(25)]
    return np.array(rows, dtype=JOURNAL)


def columns() -> tuple[Column, ...]:
    made = []
    for measurement, field, tags, kind in COLUMNS:
        assert isinstance(tags, dict)
        made.append(Column(str(measurement), str(field), tuple(sorted(tags.items())), str(kind)))
    return tuple(made)


async def write(store: DuckSeriesStore, frames: NDArray[np.void], uids: dict[int, str] | None = None) -> None:
    """The windows of these frames, as the writer would store them."""
    found = windows(frames)
    count = np.repeat(found.count[:, None], WIDE, axis=1)
    names = [(uids or VMS)[number] for number in found.numbers.tolist()]
    average = found.total / count
    await store.write([
        WindowBlock(columns(), WIDTH_MS, names, found.starts, average, found.low, found.high, found.last, count)
    ])  # fmt: skip


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckSeriesStore]:
    made = await DuckSeriesStore.open(tmp_path / "series.duckdb")
    yield made
    await made.close()


async def judged(store: DuckSeriesStore, drops: NDArray[np.void] | None = None, counted: int = 0) -> Account:
    return await Checker(store, VMS).account(journal(), journal()[:0] if drops is None else drops, counted)


async def test_what_is_stored_once_agrees(store: DuckSeriesStore) -> None:
    await write(store, journal())
    account = await judged(store)
    assert account.agrees
    assert account.produced == account.stored == 50 * WIDE
    assert await Checker(store, VMS).stored_frames(journal()) == 50


async def test_a_lost_frame_is_missing_unless_its_agent_dropped_it(store: DuckSeriesStore) -> None:
    await write(store, np.delete(journal(), 12))
    account = await judged(store)
    assert not account.agrees
    assert (account.missing, account.doubled) == (WIDE, 0)
    assert (await judged(store, journal()[12:13], 1)).agrees
    assert not (await judged(store, journal()[12:13], 0)).agrees  # dropped, but not counted
    assert not (await judged(store, journal()[37:38], 1)).agrees  # another VM's agent cannot answer for it
    assert not (await judged(store, journal()[2:3], 1)).agrees  # nor can a frame of another window


async def test_what_was_dropped_and_is_stored_all_the_same_agrees(store: DuckSeriesStore) -> None:
    await write(store, journal())
    account = await judged(store, journal()[:5], 5)
    assert account.agrees
    assert (account.missing, account.dropped) == (0, 5)


async def test_a_doubled_frame_is_found(store: DuckSeriesStore) -> None:
    whole = journal()
    await write(store, np.insert(whole, 3, whole[3]))
    account = await judged(store)
    assert not account.agrees
    assert (account.missing, account.doubled) == (0, WIDE)


async def test_one_lost_and_one_doubled_do_not_cancel_out(store: DuckSeriesStore) -> None:
    whole = journal()
    await write(store, np.insert(np.delete(whole, 4), 3, whole[3]))
    account = await judged(store)
    assert not account.agrees
    assert account.differing > 0


async def test_frames_on_the_wrong_vm_are_found(store: DuckSeriesStore) -> None:
    await write(store, journal(), {1: "vm-2", 2: "vm-1"})
    account = await judged(store)
    assert not account.agrees
    assert account.differing >= 6


async def test_windows_nobody_produced_are_found(store: DuckSeriesStore) -> None:
    whole = journal()
    await write(store, whole)
    late = whole[-1:].copy()
    late["time_ms"] += 2 * WIDTH_MS
    await write(store, late)
    assert (await judged(store)).foreign > 0


def test_episodes_follow_from_the_journal() -> None:
    assert episodes(journal()) == {1: (1, 1), 2: (0, 0)}


def test_the_journal_keeps_all_but_a_torn_record(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    book = Journal(path)
    for one in journal().tolist():
        number, raised, seq, time_ms = one
        book.note(number, seq, time_ms, bool(raised))
    book.close()
    with path.open("ab") as file:
        file.write(b"torn")
    assert (read_journal(path) == journal()).all()
