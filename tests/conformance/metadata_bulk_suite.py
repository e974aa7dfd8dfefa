"""What every metadata store must do with many rows at once, with hints, and after an error. Part of MetadataSuite."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from mcisd.model.errors import ConflictError, StaleError, StoreError, TooLargeError
from mcisd.model.events import Event
from mcisd.model.records import Mcis, Namespace, Vm
from mcisd.model.states import VmState
from mcisd.store.base import MetadataStore, Transaction
from mcisd.store.metadata.upgrade import HEAD

MANY = 2300


def vm(name: str, **fields: Any) -> Vm:
    given: dict[str, Any] = {"uid": f"vm-{name}", "mcis": "i", "mcis_name": "web", "ns": "n", "connection": "c"}
    return Vm(**(given | {"name": name} | fields))


def event(name: str, time: float = 1.0) -> Event:
    return Event(name, "vm.running", f"ns/n/infra/web/vm/{name}", time, {"state": "Running", "deep": {"list": [1, 2]}})


async def hide_an_error(store: MetadataStore, colliding: Vm) -> None:
    async with store.transaction() as tx:
        await tx.insert(Namespace(uid="n", name="n"))
        await tx.emit(event("n"))
        with pytest.raises(ConflictError):
            await tx.update(colliding)
        with pytest.raises(StoreError, match="failed before"):
            await tx.count(Vm)


async def hint_and_fail(store: MetadataStore) -> None:
    async with store.transaction() as tx:
        tx.hint("d")
        await tx.update(vm("gone"))


class BulkSuite:
    """Uses the fixture ``store`` of MetadataSuite."""

    async def test_many_rows(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            assert await tx.insert_all([]) == []
            assert await tx.update_all([]) == []
            stored = await tx.insert_all([vm(f"{number:05}", created_at=7.0) for number in range(MANY)])
        assert {(row.version, row.created_at) for row in stored} == {(1, 7.0)}
        async with store.transaction() as tx:
            changed = await tx.update_all([replace(row, state=VmState.RUNNING, host_key=row.name) for row in stored])
        assert {row.version for row in changed} == {2}
        async with store.reading() as tx:
            assert await tx.find(Vm, order="name") == changed
            assert await tx.count(Vm, state=VmState.RUNNING) == MANY
            found = await tx.find(Vm, uid=[row.uid for row in changed], order="uid")
        assert found == changed

    async def test_many_rows_get_a_time(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            assert min(row.created_at for row in await tx.insert_all([vm("a"), vm("b")])) > 0

    async def test_one_row_that_is_not_unique_and_none_is_there(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            await tx.insert(vm("taken"))
            for others in ([vm("x", uid="vm-taken")], [vm("taken", uid="vm-x")]):
                with pytest.raises(ConflictError, match="taken"):
                    await tx.insert_all([vm("a"), *others, vm("b")])
            with pytest.raises(ConflictError, match="twice"):
                await tx.insert_all([vm("a"), vm("b"), vm("a")])
            with pytest.raises(ConflictError, match="twice"):
                await tx.insert_all([vm("a"), vm("b"), vm("a", uid="vm-other")])
            assert await tx.count(Vm) == 1
            await tx.insert_all([vm("a"), vm("b")])
        async with store.reading() as tx:
            assert [row.name for row in await tx.find(Vm, order="name")] == ["a", "b", "taken"]

    async def test_one_row_that_is_stale_and_none_is_changed(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            rows = await tx.insert_all([vm("a"), vm("b"), vm("c")])
            newer = await tx.update(replace(rows[1], host_key="newer"))
        async with store.transaction() as tx:
            with pytest.raises(StaleError, match="vm-b"):
                await tx.update_all([replace(row, host_key="mine") for row in rows])
            with pytest.raises(StaleError, match="vm-a"):
                await tx.update_all([rows[0], rows[0]])
            with pytest.raises(StaleError, match="vm-gone"):
                await tx.update_all([rows[0], replace(vm("gone"), version=1)])
        async with store.reading() as tx:
            assert await tx.find(Vm, order="name") == [rows[0], newer, rows[2]]

    async def test_names_may_not_collide_in_an_update(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            rows = await tx.insert_all([vm("a"), vm("b")])
        with pytest.raises(ConflictError):
            async with store.transaction() as tx:
                await tx.update_all([replace(row, name="same") for row in rows])
        async with store.reading() as tx:
            assert await tx.find(Vm, order="name") == rows

    async def test_many_events_in_order(self, store: MetadataStore) -> None:
        async with store.transaction() as tx:
            assert await tx.emit_all([]) == []
            first = await tx.emit(event("first"))
            sent = await tx.emit_all([event(f"e{number}", float(number)) for number in range(MANY)])
            last = await tx.emit(event("last"))
        numbers = [item.sequence for item in (first, *sent, last)]
        assert numbers == sorted(set(numbers))
        assert await store.events_after(0, MANY + 5) == [first, *sent, last]

    async def test_a_refused_statement_ends_the_transaction(self, store: MetadataStore) -> None:
        """Even if the caller hides the error, nothing is committed as if it had been well."""
        async with store.transaction() as tx:
            rows = await tx.insert_all([vm("a"), vm("b")])
        with pytest.raises(StoreError, match="nothing is written"):
            await hide_an_error(store, replace(rows[0], name="b"))
        async with store.reading() as tx:
            assert await tx.count(Namespace) == 0
        assert await store.last_sequence() == 0

    @pytest.mark.parametrize("error", [OSError("mine"), TimeoutError("mine"), KeyError("mine")], ids=repr)
    async def test_errors_of_the_caller_are_left_as_they_are(self, store: MetadataStore, error: Exception) -> None:
        async def fail(block: AbstractAsyncContextManager[Transaction]) -> None:
            async with block as tx:
                await tx.count(Vm)
                raise error

        for block in (store.transaction(), store.reading()):
            with pytest.raises(type(error)) as caught:
                await fail(block)
            assert caught.value is error

    async def test_order_is_that_of_code_points(self, store: MetadataStore) -> None:
        names = ["B", "_", "a", "aB", "a_", "ab", "Ä", "ß", "☃", "😀"]
        async with store.transaction() as tx:
            await tx.insert_all([Mcis(uid=name, ns="n", name=name) for name in reversed(names)])
        async with store.reading() as tx:
            assert [row.name for row in await tx.find(Mcis, order="name")] == names
            assert [row.uid for row in await tx.find(Mcis, order="uid", descending=True)] == names[::-1]

    async def test_hints(self, store: MetadataStore) -> None:
        heard: list[str] = []
        woken: list[int] = []
        remove = store.on_hint(heard.append)
        store.on_commit(lambda: woken.append(1))
        async with store.transaction() as tx:
            tx.hint("a", "b")
            tx.hint("b", "c")
            assert heard == []
        assert heard == ["a", "b", "c"]
        with pytest.raises(StaleError):
            await hint_and_fail(store)
        await store.hint("e", "f")
        await store.hint()
        remove()
        await store.hint("g")
        assert (heard, woken) == (["a", "b", "c", "e", "f"], [])

    async def test_a_hint_without_end_is_refused(self, store: MetadataStore) -> None:
        heard: list[str] = []
        store.on_hint(heard.append)
        with pytest.raises(TooLargeError):
            await store.hint("x" * 8000)
        with pytest.raises(TooLargeError):
            async with store.transaction() as tx:
                tx.hint("ä" * 4000)
        assert heard == []

    async def test_readers_do_not_hint_or_write(self, store: MetadataStore) -> None:
        async with store.reading() as tx:
            with pytest.raises(TypeError):
                tx.hint("a")
            with pytest.raises(TypeError):
                await tx.emit_all([])
            with pytest.raises(TypeError):
                await tx.insert_all([vm("a")])

    async def test_check(self, store: MetadataStore) -> None:
        line = await store.check()
        assert "\n" not in line
        assert "version " in line
        assert f"schema {HEAD}" in line
