"""Races of the control core, each brought about by hand: requests in, rows out. The store is real, time is not."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis import outcome
from mcisd.daemon.mcis.apply import Applier, Change
from mcisd.daemon.mcis.operations import Operations
from mcisd.daemon.mcis.requests import Caller, McisRequest
from mcisd.daemon.mcis.rows import VmRows
from mcisd.daemon.mcis.service import McisService
from mcisd.daemon.resources.decide import needs_of
from mcisd.drivers.mock.cloud import MockCloud
from mcisd.model.errors import InputError, StoreError
from mcisd.model.records import Connection, Namespace, Operation, Resource, Vm
from mcisd.model.states import Action, OperationState, ResourceKind, ResourceState
from mcisd.store.metadata.sql import SqlStore, open_store
from tests.integration.control.harness import NS, QUICK, FastClock, group, running

ME = Caller()


class Desk:
    """Service, applier and store without a reconciler. ``seen`` is what was committed at each wake-up."""

    def __init__(self, store: SqlStore) -> None:
        clock = ManualClock()
        events = EventMaker(clock)
        rows = VmRows(lambda uid, name: (f"ssh {name}", "sealed"), lambda uid, name: ("ssh host", "sealed"), clock.now)
        self.store = store
        self.woken: list[set[str]] = []
        self.open = 0
        self.service = McisService(store, clock, events, rows, self.wake)
        operations = Operations(events, clock.now, self.service.replace_row)
        self.applier = Applier(store, events, operations, self.wake, lambda gone: None)

    def wake(self, connections: Iterable[str]) -> None:
        # The store's writer is free exactly if the transaction that asks for the wake-up has ended.
        self.woken.append(set(connections))
        self.open += self.store._writer.locked()

    async def vms(self) -> list[Vm]:
        async with self.store.reading() as tx:
            return await tx.find(Vm)

    async def resources(self, kind: ResourceKind) -> list[Resource]:
        async with self.store.reading() as tx:
            return await tx.find(Resource, kind=kind.value)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = await open_store(f"sqlite:///{tmp_path}/m.db", ManualClock())
    async with store.transaction() as tx:
        await tx.insert(Namespace(uid="ns-1", name=NS))
        for name in ("c1", "c2"):
            await tx.insert(
                Connection(uid=f"cn-{name}", name=name, provider="mock", driver="mock", credential="x", region=name)
            )
    yield Desk(store)
    await store.close()


async def _create(desk: Desk, *, name: str = "web", count: int = 2, network: str = "") -> Operation:
    request = McisRequest(name=name, groups=(group("a", "c1", count, network),))
    return await desk.service.create(NS, request, ME)


async def test_workers_are_woken_after_the_commit(desk: Desk) -> None:
    await _create(desk)
    await desk.service.control(NS, "web", Action.TERMINATE, ME)
    await desk.service.remove(NS, "web", ["a-1"], ME)
    assert desk.woken == [{"c1"}] * 3
    assert desk.open == 0


async def test_a_mark_is_not_set_on_what_shall_end_by_now(desk: Desk) -> None:
    await _create(desk)
    first, second = await desk.vms()
    await desk.service.control_vm(NS, "web", first.name, Action.TERMINATE, ME)
    marked = await desk.applier.apply([Change(vm, partial(outcome.tried, now=5.0)) for vm in (first, second)])
    assert marked == {second.uid}, "only what is marked may be sent to the cloud"
    assert {vm.uid: vm.create_tried_at for vm in await desk.vms()} == {first.uid: 0.0, second.uid: 5.0}


async def test_facts_are_kept_whatever_was_asked_for_meanwhile(desk: Desk) -> None:
    await _create(desk, count=1)
    (vm,) = await desk.vms()
    await desk.service.control(NS, "web", Action.TERMINATE, ME)
    late = Change(vm, partial(outcome.accepted, not_before=0.0, now=7.0), fact=partial(outcome.tried, now=7.0))
    assert await desk.applier.apply([late]) == set()
    (after,) = await desk.vms()
    assert (after.pending, after.acted, after.create_tried_at) == (Action.TERMINATE, False, 7.0)


async def test_changes_that_arrive_together_share_a_transaction(desk: Desk) -> None:
    await _create(desk, count=40)
    commits = 0

    def committed() -> None:
        nonlocal commits
        commits += 1

    desk.store.on_commit(committed)
    vms = await desk.vms()
    bad = [Change(vm, partial(outcome.failed, code="x", reason="no")) for vm in vms]
    turned = await asyncio.gather(*(desk.applier.apply([change]) for change in bad))
    assert turned == [{vm.uid} for vm in vms]
    assert commits <= 3
    async with desk.store.reading() as tx:
        (operation,) = await tx.find(Operation)
    assert (operation.state, operation.failed) == (OperationState.FAILED, 40)


async def test_a_cancelled_writer_does_not_take_the_others_along(desk: Desk) -> None:
    await _create(desk, count=4)
    vms = await desk.vms()
    tasks = [asyncio.create_task(desk.applier.apply([Change(vm, partial(outcome.tried, now=3.0))])) for vm in vms]
    await asyncio.sleep(0)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [{vm.uid} for vm in vms[1:]]
    assert [vm.create_tried_at for vm in await desk.vms()][1:] == [3.0] * 3


async def test_a_store_that_fails_fails_every_caller(desk: Desk) -> None:
    await _create(desk, count=2)
    vms = await desk.vms()
    await desk.store.close()
    changes = [desk.applier.apply([Change(vm, partial(outcome.tried, now=3.0))]) for vm in vms]
    results = await asyncio.gather(*changes, return_exceptions=True)
    assert [type(result) for result in results] == [StoreError, StoreError]


async def test_a_group_name_continues_at_the_next_free_number(desk: Desk) -> None:
    await _create(desk, count=3)
    await desk.service.remove(NS, "web", ["a-2"], ME)
    async with desk.store.transaction() as tx:
        row = await tx.first(Vm, name="a-2")
        assert row is not None
        await tx.delete(row)
    await desk.service.expand(NS, "web", (group("a", "c2", 2),), ME)
    assert {vm.name: vm.connection for vm in await desk.vms()} == {
        "a-1": "c1", "a-2": "c2", "a-3": "c1", "a-4": "c2",
    }  # fmt: skip
    with pytest.raises(InputError, match="too long"):
        await desk.service.expand(NS, "web", (group("a" * 57),), ME)
    with pytest.raises(InputError, match="no connection 'c9'") as caught:
        await desk.service.expand(NS, "web", (group("b", "c9"),), ME)
    assert caught.value.field == "vmRequestList[0].connConfigName"
    assert len(await desk.vms()) == 4, "nothing is half done"


async def test_automatic_resources_are_shared_and_one_on_its_way_out_is_not_used(desk: Desk) -> None:
    await _create(desk)
    await _create(desk, name="two")
    (key,) = await desk.resources(ResourceKind.SSH_KEY)
    (network,) = await desk.resources(ResourceKind.NETWORK)
    async with desk.store.transaction() as tx:
        for row in (key, network):
            await tx.update(replace(row, state=ResourceState.DELETING))
        (old,) = await tx.find(Resource, kind=ResourceKind.SECURITY_GROUP.value)
    for name in ("three", "four"):
        await _create(desk, name=name)
    async with desk.store.reading() as tx:
        later = [vm for vm in await tx.find(Vm) if vm.mcis_name in ("three", "four")]
        assert later
        for vm in later:
            needs = {row.kind: row for row in await tx.find(Resource, uid=list(needs_of(vm)))}
            assert needs[ResourceKind.NETWORK].uid != network.uid
            assert needs[ResourceKind.SECURITY_GROUP].uid != old.uid, "a group is of its network"
            assert needs[ResourceKind.SECURITY_GROUP].body["network"] == needs[ResourceKind.NETWORK].name
    assert len(await desk.resources(ResourceKind.NETWORK)) == 2
    assert len(await desk.resources(ResourceKind.SSH_KEY)) == 2
    assert len(await desk.resources(ResourceKind.IMAGE)) == 1


async def test_a_users_resource_of_the_automatic_name_is_no_obstacle(desk: Desk) -> None:
    async with desk.store.transaction() as tx:
        await tx.insert(
            Resource(
                uid="r-mine", ns=NS, kind=ResourceKind.NETWORK, name="auto-c1", connection="c2",
                state=ResourceState.READY,
            )
        )  # fmt: skip
    await _create(desk)
    assert {row.connection for row in await desk.resources(ResourceKind.NETWORK)} == {"c1", "c2"}


async def test_what_is_under_way_is_not_sent_twice(tmp_path: Path) -> None:
    """A pass that began while a call was under way must not judge by the row from before."""
    async with running(tmp_path, cloud=MockCloud(QUICK, FastClock(30.0))) as core:
        for name in ("one", "two", "three"):
            await core.finished(await core.create(name, group("a", "c1", 3)))
        assert core.cloud.calls["start_vm"] == 9
        await core.finished((await core.mcis.control(NS, "one", Action.REBOOT, ME)).operation)
        assert core.cloud.calls["reboot_vm"] == 3
        await core.check()
