"""What every metadata store must do. An adapter's test class inherits it and gives the fixture ``open_again``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcisd.model.cloud import Location
from mcisd.model.errors import ConflictError, StaleError
from mcisd.model.records import Call, Mcis, Namespace, Operation, Record, Vm
from mcisd.model.states import VmState
from mcisd.store.base import MetadataStore
from mcisd.store.metadata import KINDS
from tests.conformance.metadata_bulk_suite import BulkSuite, event, vm
from tests.conformance.record_values import records

KEEP_CALLS = 20


OpenAgain = Callable[[], Awaitable[MetadataStore]]


def call(number: int) -> Call:
    return Call(
        uid=f"call-{number:04}",
        created_at=1000.0 + number,
        connection="c",
        provider="mock",
        region="r",
        resource="",
        api="status",
        elapsed_ms=1.5,
        attempt=1,
    )


async def store_all(store: MetadataStore, *items: Record) -> None:
    async with store.transaction() as tx:
        for item in items:
            await tx.insert(item)


class BoomError(Exception):
    """Raised by a test inside a transaction."""


async def write_and_fail(store: MetadataStore, name: str) -> None:
    async with store.transaction() as tx:
        await tx.insert(vm(name))
        await tx.emit(event(name))
        raise BoomError


class MetadataSuite(BulkSuite):
    """The suite. ``open_again`` opens the same, at first empty, database each time, keeping KEEP_CALLS calls."""

    @pytest.fixture
    def open_again(self) -> OpenAgain:
        raise AssertionError("the adapter's test class gives this fixture")

    @pytest.fixture
    async def store(self, open_again: OpenAgain) -> AsyncIterator[MetadataStore]:
        store = await open_again()
        yield store
        await store.close()

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
    @given(data=st.data())
    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_every_kind_comes_back_as_it_went_in(
        self, store: MetadataStore, kind: type[Record], data: st.DataObject
    ) -> None:
        record = data.draw(records(kind))
        async with store.transaction() as tx:
            stored = await tx.insert(record)
        assert stored == replace(record, version=1)
        async with store.reading() as tx:
            assert await tx.get(kind, record.uid) == stored
            assert await tx.find(kind, **{name: getattr(record, name) for name in kind.columns}) == [stored]
        async with store.transaction() as tx:
            await tx.delete(stored)
            assert await tx.get(kind, record.uid) is None

    async def test_insert_gives_version_and_time(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            stored = await tx.insert(vm("a", location=Location(50.1, 8.7, "Frankfurt")))
        assert stored.version == 1
        assert stored.created_at > 0

    async def test_update_needs_the_version_it_has_read(self, store: MetadataStore) -> None:
        await store_all(store, vm("a"))
        async with store.transaction() as tx:
            first = await tx.get(Vm, "vm-a")
            assert first is not None
            second = await tx.update(replace(first, state=VmState.RUNNING))
        assert second.version == 2
        with pytest.raises(StaleError):
            async with store.transaction() as tx:
                await tx.update(replace(first, state=VmState.FAILED))
        async with store.reading() as tx:
            assert await tx.get(Vm, "vm-a") == second

    async def test_update_of_a_deleted_row_is_stale(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            stored = await tx.insert(vm("a"))
            await tx.delete(stored)
            await tx.delete(stored)
        with pytest.raises(StaleError):
            async with store.transaction() as tx:
                await tx.update(stored)

    async def test_unique_combinations(self, store: MetadataStore) -> None:
        await store_all(store, vm("a"))
        async with store.transaction() as tx:
            with pytest.raises(ConflictError, match="'a'") as caught:
                await tx.insert(vm("a", uid="vm-other"))
            assert caught.value.field == "name"
            with pytest.raises(ConflictError, match="vm-a"):
                await tx.insert(vm("b", uid="vm-a"))
            await tx.insert(vm("a", uid="vm-elsewhere", mcis="another"))
        async with store.reading() as tx:
            assert await tx.count(Vm) == 2

    async def test_an_update_may_not_take_a_name_either(self, store: MetadataStore) -> None:
        await store_all(store, vm("a"), vm("b"))
        async with store.transaction() as tx:
            found = await tx.get(Vm, "vm-b")
        assert found is not None
        with pytest.raises(ConflictError):
            async with store.transaction() as tx:
                await tx.update(replace(found, name="a"))

    async def test_absent_keys_do_not_collide(self, store: MetadataStore) -> None:
        plain: dict[str, Any] = {"ns": "n", "mcis": "i", "mcis_name": "web", "kind": "create"}
        await store_all(
            store, *(Operation(uid=uid, **plain) for uid in ("o1", "o2")), Operation(uid="o3", key="k", **plain)
        )
        async with store.reading() as tx:
            assert [found.uid for found in await tx.find(Operation, key=None, order="uid")] == ["o1", "o2"]
        with pytest.raises(ConflictError):
            await store_all(store, Operation(uid="o4", key="k", **plain))

    async def test_an_error_rolls_all_back(self, store: MetadataStore) -> None:
        with pytest.raises(BoomError):
            await write_and_fail(store, "a")
        async with store.reading() as tx:
            assert await tx.count(Vm) == 0
        assert await store.last_sequence() == 0

    async def test_cancelled_anywhere_all_or_nothing(self, store: MetadataStore) -> None:
        """Cancel transactions later and later until some end by themselves; rows and events stay together."""
        number = ended = 0
        while ended < 3:
            task = asyncio.get_running_loop().create_task(self._row_and_event(store, number))
            await asyncio.sleep(number * 0.0002)
            task.cancel()
            await asyncio.wait({task})
            ended += not task.cancelled()
            number += 1
        async with store.reading() as tx:
            rows = {found.name for found in await tx.find(Vm)}
        assert 3 <= len(rows) < number
        assert rows == {found.id for found in await store.events_after(0, number)}
        await store_all(store, vm("last"))

    async def _row_and_event(self, store: MetadataStore, number: int) -> None:
        async with store.transaction() as tx:
            await tx.insert(vm(f"a{number}"))
            await tx.emit(event(f"a{number}"))

    async def test_find(self, store: MetadataStore) -> None:
        rows = [vm(name, created_at=float(9 - place)) for place, name in enumerate("abcde")]
        rows[1] = replace(rows[1], state=VmState.FAILED, dirty=False)
        await store_all(store, *rows)
        async with store.reading() as tx:
            assert [row.name for row in await tx.find(Vm)] == ["e", "d", "c", "b", "a"]
            assert [row.name for row in await tx.find(Vm, order="name", descending=True, limit=2)] == ["e", "d"]
            assert [row.name for row in await tx.find(Vm, name=["a", "c", "x"], order="name")] == ["a", "c"]
            assert await tx.find(Vm, name=[]) == []
            assert [row.name for row in await tx.find(Vm, dirty=False)] == ["b"]
            assert [row.name for row in await tx.find(Vm, state=[VmState.FAILED, "Running"])] == ["b"]
            first = await tx.first(Vm, state=VmState.CREATING, mcis="i")
            assert first is not None
            assert first.name == "e"
            assert await tx.first(Vm, name="none") is None
            assert (await tx.count(Vm), await tx.count(Vm, dirty=True)) == (5, 4)

    async def test_names_that_are_no_columns(self, store: MetadataStore) -> None:
        async with store.reading() as tx:
            with pytest.raises(TypeError, match="host_key"):
                await tx.find(Vm, host_key="x")
            with pytest.raises(TypeError, match="price"):
                await tx.find(Vm, order="price")
            with pytest.raises(TypeError, match="version"):
                await tx.count(Vm, version=1)

    async def test_reading_does_not_write(self, store: MetadataStore) -> None:
        async with store.reading() as tx:
            with pytest.raises(TypeError):
                await tx.insert(vm("a"))

    async def test_a_reader_sees_one_state_and_blocks_nobody(self, store: MetadataStore) -> None:
        await store_all(store, vm("a"))
        async with store.reading() as reader:
            assert await reader.count(Vm) == 1
            await store_all(store, vm("b"))
            assert await reader.count(Vm) == 1
        async with store.transaction() as writer:
            await writer.insert(vm("c"))
            async with store.reading() as reader:
                assert await reader.count(Vm) == 2

    async def test_transactions_do_not_lose_updates(self, store: MetadataStore) -> None:
        """Ten tasks count up in one row at the same time; as if one after the other."""
        await store_all(store, Namespace(uid="n", name="n", description="0"))

        async def count_up() -> None:
            async with store.transaction() as tx:
                found = await tx.get(Namespace, "n")
                assert found is not None
                await asyncio.sleep(0)
                await tx.update(replace(found, description=str(int(found.description) + 1)))

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(count_up())
        async with store.reading() as tx:
            found = await tx.get(Namespace, "n")
        assert found is not None
        assert (found.description, found.version) == ("10", 11)

    async def test_events_in_order(self, store: MetadataStore) -> None:
        assert await store.last_sequence() == 0
        async with store.transaction() as tx:
            sent = [await tx.emit(event(name)) for name in "abc"]
        assert [item.sequence for item in sent] == sorted({item.sequence for item in sent})
        assert await store.events_after(0, 10) == sent
        assert await store.events_after(sent[0].sequence, 1) == sent[1:2]
        assert await store.last_sequence() == sent[-1].sequence

    async def test_on_commit(self, store: MetadataStore) -> None:
        heard: list[int] = []
        remove = store.on_commit(lambda: heard.append(1))
        await store_all(store, vm("a"))
        assert heard == []
        async with store.transaction() as tx:
            await tx.emit(event("a"))
            await tx.emit(event("b"))
            assert heard == []
        assert heard == [1]
        with pytest.raises(BoomError):
            await write_and_fail(store, "c")
        remove()
        async with store.transaction() as tx:
            await tx.emit(event("d"))
        assert heard == [1]

    async def test_calls_are_bounded(self, store: MetadataStore) -> None:
        await store.add_calls([])
        await store.add_calls([call(number) for number in range(15)])
        await store.add_calls([call(number) for number in range(15, 30)])
        async with store.reading() as tx:
            found = await tx.find(Call)
        assert [item.uid for item in found] == [f"call-{number:04}" for number in range(30 - KEEP_CALLS, 30)]

    async def test_prune(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            sent = [await tx.emit(event(str(time), float(time))) for time in range(5)]
        await store.add_calls([call(number) for number in range(5)])
        assert await store.prune(events_before=2.0, calls_before=1003.0) == 5
        assert await store.events_after(0, 10) == sent[2:]
        async with store.reading() as tx:
            assert await tx.count(Call) == 2
        await store.prune(events_before=99.0, calls_before=0.0)
        assert await store.last_sequence() == sent[-1].sequence
        async with store.transaction() as tx:
            assert (await tx.emit(event("next"))).sequence > sent[-1].sequence

    async def test_prune_in_several_transactions(self, store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mcisd.store.metadata.sql.PRUNE", 3)
        async with store.transaction() as tx:
            await tx.emit_all([event(str(time), float(time)) for time in range(10)])
        await store.add_calls([call(number) for number in range(6)])
        assert await store.prune(events_before=8.0, calls_before=1006.0) == 14
        assert [item.id for item in await store.events_after(0, 20)] == ["8", "9"]

    async def test_all_is_there_after_reopening(self, open_again: OpenAgain) -> None:
        store = await open_again()
        await store_all(store, vm("a"), Mcis(uid="i", ns="n", name="web", labels={"ü": "☃"}))
        async with store.transaction() as tx:
            sent = await tx.emit(event("a"))
        await store.add_calls([call(1)])
        await store.close()
        store = await open_again()
        async with store.reading() as tx:
            counts = [await tx.count(kind) for kind in (Vm, Mcis, Call)]
            web = await tx.first(Mcis, name="web")
        assert counts == [1, 1, 1]
        assert web is not None
        assert web.labels == {"ü": "☃"}
        assert await store.events_after(0, 10) == [sent]
        await store.close()
