"""What is ours at a cloud: known or not, sure after two looks, removed only when asked and never if known."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mcisd.daemon.inventory import MOST_NOTED, SURE_AFTER, Fate, Ours, Removal, judge, marks, note
from mcisd.daemon.orphans import OrphanWatch
from mcisd.model.cloud import OwnedInfo
from mcisd.model.errors import CloudAuthError, CloudUnsupportedError
from mcisd.model.records import Connection, Setting
from mcisd.model.states import VmState
from tests.unit.inventory.inventory_world import World, world

VM = OwnedInfo("vm", "i-1", "a-1", token="vm-1")
DISK = OwnedInfo("disk", "d-1", token="vm-1")
STRAY = OwnedInfo("disk", "d-2", "lost", token="vm-9")
NET = OwnedInfo("network", "n-1", tags={"mcisd-resource": "r-1"})
SHARED = OwnedInfo("resource-group", "rg")

items = st.builds(
    OwnedInfo,
    kind=st.sampled_from(["vm", "disk", "own"]),
    id=st.sampled_from(["1", "2", "3", "4"]),
    token=st.sampled_from(["", "t-1", "t-2"]),
    tags=st.dictionaries(st.sampled_from(["mcisd-vm", "mcisd-resource", "x"]), st.sampled_from(["t-1", "t-3"])),
)


@given(st.lists(items), st.sets(st.sampled_from(["t-1", "t-2", "t-3"])), st.sets(st.sampled_from(["1", "2"])))
def test_what_bears_a_uid_or_an_id_of_ours_is_known(found: list[OwnedInfo], uids: set[str], ids: set[str]) -> None:
    known = judge(found, Ours(uids, ids, ids | {"3"}))
    for item, answer in zip(found, known, strict=True):
        ours = bool(marks(item) & uids) or item.id in ids
        assert answer >= ours, "what is ours is never called unknown"
        if marks(item):
            assert answer == ours


def test_what_is_shared_is_known_as_long_as_anything_is() -> None:
    ours = Ours({"vm-1"}, set(), set())
    assert judge([VM, SHARED], ours) == [True, True]
    assert judge([STRAY, SHARED], ours) == [False, False]


def test_an_id_of_another_connection_counts_for_what_bears_no_uid() -> None:
    ours = Ours(set(), set(), {"d-2", "rg"})
    assert judge([STRAY], ours) == [False]
    assert judge([SHARED], ours) == [True]


def test_two_looks_make_sure_and_one_in_between_forgets() -> None:
    first = note({}, [STRAY], 100.0)
    assert note(first, [STRAY], 100.0 + SURE_AFTER - 1) == first
    sure = note(first, [STRAY], 100.0 + SURE_AFTER)
    assert sure == {"disk/d-2": "100.000 told"}
    assert note(sure, [STRAY], 101.0) == sure, "a clock that went back takes nothing away"
    assert note(sure, [], 500.0) == {}
    assert note({}, [STRAY], 600.0) == {"disk/d-2": "600.000"}


async def test_a_look_says_what_is_known(tmp_path: Path) -> None:
    async with world(tmp_path, VM, DISK, STRAY, NET, SHARED) as here:
        await here.vm("vm-1", cloud_id="i-1")
        await here.network("r-1", "n-1")
        found = {one.item.id: one for one in await here.inventory.look("c")}
        assert {name: one.known for name, one in found.items()} == {
            "i-1": True, "d-1": True, "d-2": False, "n-1": True, "rg": True
        }  # fmt: skip
        assert (found["d-2"].since, found["d-2"].sure) == (here.clock.now(), False)


async def test_a_cloud_id_is_enough_where_the_cloud_knows_no_token(tmp_path: Path) -> None:
    async with world(tmp_path, OwnedInfo("vm", "i-7"), OwnedInfo("key", "k-7", tags={"mcisd-resource": "x"})) as here:
        await here.vm("vm-7", cloud_id="i-7")
        assert [one.known for one in await here.inventory.look("c")] == [True, False]


async def test_what_is_left_of_a_terminated_vm_is_unknown(tmp_path: Path) -> None:
    async with world(tmp_path, DISK) as here:
        await here.vm("vm-1", VmState.TERMINATED, cloud_id="i-1")
        assert [one.known for one in await here.inventory.look("c")] == [False]


async def test_an_orphan_is_told_once(tmp_path: Path) -> None:
    async with world(tmp_path, STRAY) as here:
        for _ in range(4):
            await here.inventory.look("c")
            await here.clock.advance(SURE_AFTER)
        (event,) = await here.told("orphan.found")
        assert (event.subject, event.data["id"]) == ("connections/c", "d-2")
        assert str(event.data["text"]) == "disk lost at c is ours and nobody here knows it"


async def test_only_what_was_seen_unknown_twice_is_removed(tmp_path: Path) -> None:
    async with world(tmp_path, VM, STRAY) as here:
        await here.vm("vm-1")
        (first,) = await here.inventory.remove("c")
        assert (first.fate, here.shelf.removed) == (Fate.WAITING, [])
        await here.clock.advance(SURE_AFTER)
        (second,) = await here.inventory.remove("c")
        assert (second.fate, here.shelf.removed) == (Fate.REMOVED, ["d-2"])
        assert len(await here.told("orphan.removed")) == 1
        assert await here.inventory.remove("c") == []


async def test_force_does_not_wait_and_leaves_what_is_known(tmp_path: Path) -> None:
    async with world(tmp_path, VM, DISK, STRAY, SHARED) as here:
        await here.vm("vm-1")
        (done,) = await here.inventory.remove("c", force=True)
        assert (done.owned.item, done.fate) == (STRAY, Fate.REMOVED)
        assert set(here.shelf.items) == {"i-1", "d-1", "rg"}


async def moved(here: World, work: asyncio.Future[list[Removal]]) -> None:
    """Let time pass whenever the work waits for it, and only then: the store takes real time."""
    while not work.done():
        if here.clock.sleeping:
            await here.clock.advance(1.0)
        await asyncio.sleep(0.001)


async def test_parts_go_in_order_and_what_hinders_is_waited_for(tmp_path: Path) -> None:
    parts = [OwnedInfo(kind, kind, token="gone") for kind in ("network", "subnet", "nic", "vm", "odd")]
    async with world(tmp_path, SHARED, *parts) as here:
        here.shelf.needs = {"network": "subnet", "subnet": "odd"}
        work = asyncio.ensure_future(here.inventory.remove("c", force=True))
        await moved(here, work)
        assert {one.fate for one in await work} == {Fate.REMOVED}
        assert here.shelf.removed == ["vm", "nic", "odd", "rg", "subnet", "network"]


async def test_what_stays_in_use_or_fails_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    async with world(tmp_path, STRAY, OwnedInfo("key", "k", token="gone"), OwnedInfo("nic", "x", token="gone")) as here:
        here.shelf.needs = {"d-2": "d-2"}
        here.shelf.refusals = {"k": CloudAuthError("not allowed")}
        work = asyncio.ensure_future(here.inventory.remove("c", force=True))
        await moved(here, work)
        fates = {one.owned.item.id: (one.fate, one.why) for one in await work}
        assert fates == {
            "d-2": (Fate.IN_USE, "d-2 is needed by d-2"), "k": (Fate.FAILED, "not allowed"), "x": (Fate.REMOVED, "")
        }  # fmt: skip


async def test_notes_are_bounded(tmp_path: Path) -> None:
    many = [OwnedInfo("disk", f"d-{number}", token="gone") for number in range(MOST_NOTED + 10)]
    async with world(tmp_path, *many) as here:
        assert len(await here.inventory.look("c")) == MOST_NOTED + 10
        async with here.store.reading() as tx:
            row = await tx.get(Setting, "orphans:c")
        assert row is not None
        assert len(row.value) == MOST_NOTED


async def watched(here: World, *names: str) -> OrphanWatch:
    async with here.store.transaction() as tx:
        for name in names:
            await tx.insert(Connection(uid=name, name=name, provider="p", driver="d", credential="k", region="r"))
    return OrphanWatch(here.store, here.inventory, here.clock, 600.0)


async def test_the_watch_counts_and_never_removes(tmp_path: Path) -> None:
    async with world(tmp_path, STRAY) as here:
        watch = await watched(here, "c")
        await watch.look()
        assert watch.orphans == {("c",): 0.0}
        await here.clock.advance(600.0)
        await watch.look()
        assert watch.orphans == {("c",): 1.0}
        assert here.shelf.removed == []
        here.shelf.items.clear()
        await watch.look()
        assert watch.orphans == {("c",): 0.0}


async def test_the_watch_lives_with_clouds_that_are_away_or_cannot(tmp_path: Path) -> None:
    async with world(tmp_path, STRAY) as here:
        watch = await watched(here, "c")
        for error in (CloudAuthError("wrong key"), CloudUnsupportedError("no such function")):
            here.shelf.error = error
            await watch.look()
        assert watch.orphans == {}
