"""What a metadata store must do that several processes share: one writes at a time, and each hears of the others.

Each store here has connections and locks of its own, as one in another process would.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

import pytest

from mcisd.aio.signal import Signal
from mcisd.model.errors import StaleError
from mcisd.model.events import Event
from mcisd.model.records import Call, Namespace, Setting, Vm
from mcisd.store.base import MetadataStore
from tests.conformance.metadata_bulk_suite import event, vm
from tests.conformance.metadata_suite import KEEP_CALLS, OpenAgain, call

HEARD_S = 10.0


async def until(true: Callable[[], bool]) -> None:
    """Wait, at most HEARD_S, until ``true`` says so."""
    for _ in range(int(HEARD_S / 0.005)):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"not within {HEARD_S} s")


async def together(work: Iterable[Awaitable[None]]) -> None:
    async def one(item: Awaitable[None]) -> None:
        await item

    async with asyncio.TaskGroup() as group:
        for item in work:
            group.create_task(one(item))


class SharedMetadataSuite:
    """The suite. ``open_again`` opens another store on the same, at first empty, database."""

    @pytest.fixture
    def open_again(self) -> OpenAgain:
        raise AssertionError("the adapter's test class gives this fixture")

    @pytest.fixture
    async def stores(self, open_again: OpenAgain) -> AsyncIterator[list[MetadataStore]]:
        stores = [await open_again() for _ in range(3)]
        yield stores
        for store in stores:
            await store.close()

    async def test_no_update_is_lost(self, stores: list[MetadataStore]) -> None:
        async with stores[0].transaction() as tx:
            await tx.insert(Namespace(uid="n", name="n", description="0"))

        async def count_up(store: MetadataStore) -> None:
            async with store.transaction() as tx:
                found = await tx.get(Namespace, "n")
                assert found is not None
                await asyncio.sleep(0.001)
                await tx.update(replace(found, description=str(int(found.description) + 1)))

        await together(count_up(store) for store in stores * 10)
        async with stores[1].reading() as tx:
            found = await tx.get(Namespace, "n")
        assert found is not None
        assert (found.description, found.version) == ("30", 31)

    async def test_what_was_read_is_true_until_the_commit(self, stores: list[MetadataStore]) -> None:
        """Two rows that may never both be set: each writer looks at the other's row, which it does not lock."""
        async with stores[0].transaction() as tx:
            await tx.insert_all([Setting(uid=uid, value={"on": ""}) for uid in ("left", "right")])

        async def turn_on(store: MetadataStore, mine: str, other: str) -> None:
            async with store.transaction() as tx:
                rows = {row.uid: row for row in await tx.find(Setting)}
                await asyncio.sleep(0.05)
                if not rows[other].value["on"]:
                    await tx.update(replace(rows[mine], value={"on": "yes"}))

        await together([turn_on(stores[0], "left", "right"), turn_on(stores[1], "right", "left")])
        async with stores[2].reading() as tx:
            assert [row.value["on"] for row in await tx.find(Setting)].count("yes") == 1

    async def test_stale_between_stores(self, stores: list[MetadataStore]) -> None:
        async with stores[0].transaction() as tx:
            row = await tx.insert(vm("a"))
        async with stores[1].transaction() as tx:
            await tx.update(replace(row, host_key="theirs"))
        with pytest.raises(StaleError):
            async with stores[0].transaction() as tx:
                await tx.update(row)
        with pytest.raises(StaleError):
            async with stores[0].transaction() as tx:
                await tx.update_all([row])

    async def test_commits_and_hints_are_heard_once(self, stores: list[MetadataStore]) -> None:
        heard: list[list[str]] = [[] for _ in stores]
        for place, store in enumerate(stores):
            store.on_commit(partial(heard[place].append, "commit"))
            store.on_hint(heard[place].append)
        async with stores[0].transaction() as tx:
            await tx.insert(vm("a"))
        async with stores[0].transaction() as tx:
            await tx.emit_all([event("a"), event("b")])
            tx.hint("ü", "b")
        await stores[1].hint("c")
        await until(lambda: all(len(names) >= 4 for names in heard))
        await stores[2].hint("last")
        await until(lambda: all(names[-1:] == ["last"] for names in heard))
        assert [names.count("commit") for names in heard] == [1, 1, 1]
        assert [sorted(names) for names in heard] == [["b", "c", "commit", "last", "ü"]] * 3

    async def test_many_hints_at_once(self, stores: list[MetadataStore]) -> None:
        """More names than fit into one notification."""
        heard: list[str] = []
        stores[1].on_hint(heard.append)
        names = [f"connection ☃ {number:04}" for number in range(2000)]
        async with stores[0].transaction() as tx:
            tx.hint(*names)
        await until(lambda: len(heard) >= len(names))
        assert heard == names

    async def test_a_commit_that_was_heard_of_can_be_read(self, stores: list[MetadataStore]) -> None:
        heard = Signal()
        stores[1].on_commit(heard.set)
        for number in range(20):
            async with stores[0].transaction() as tx:
                sent = await tx.emit(event(str(number)))
            async with asyncio.timeout(HEARD_S):
                await heard.wait()
            assert await stores[1].last_sequence() == sent.sequence

    async def test_a_reader_never_misses_an_event(self, stores: list[MetadataStore]) -> None:
        """Writers of all stores at once; who follows by sequence sees each event, in the order of commits."""
        writers, rounds = 4, 8
        seen: list[Event] = []

        async def write(store: MetadataStore, writer: str) -> None:
            for number in range(rounds):
                async with store.transaction() as tx:
                    first = [await tx.emit(event(f"{writer}-{number}-{place}")) for place in range(number % 3)]
                    await asyncio.sleep(0.002 * (number % 2))
                    await tx.insert(vm(f"{writer}-{number}", mcis=str(len(first))))
                    await tx.emit_all([event(f"{writer}-{number}-{place}") for place in range(number % 3, 4)])

        async def follow() -> None:
            while len(seen) < writers * len(stores) * rounds * 4:
                seen.extend(await stores[0].events_after(seen[-1].sequence if seen else 0, 7))
                await asyncio.sleep(0)

        work = [write(store, f"{place}{name}") for place, store in enumerate(stores) for name in "abcd"[:writers]]
        async with asyncio.timeout(50):
            await together([follow(), *work])
        assert seen == await stores[2].events_after(0, 10_000)
        transactions = itertools.groupby(item.id.rpartition("-")[0] for item in seen)
        sizes = [(key, len(list(group))) for key, group in transactions]
        assert len(sizes) == writers * len(stores) * rounds, "the events of a transaction are not together"
        assert {size for _, size in sizes} == {4}

    async def test_a_cancelled_writer_lets_the_others_go_on(self, stores: list[MetadataStore]) -> None:
        async def write(store: MetadataStore, number: int) -> None:
            async with store.transaction() as tx:
                await tx.insert(vm(str(number)))
                await tx.emit(event(str(number)))

        tasks = [asyncio.get_running_loop().create_task(write(stores[number % 3], number)) for number in range(45)]
        for number in range(len(tasks)):
            await asyncio.sleep(0.002)
            if number % 2:
                tasks[number - (number % 5)].cancel()
        await asyncio.wait(tasks, timeout=30)
        assert all(task.done() for task in tasks)
        async with stores[0].reading() as tx:
            rows = {row.name for row in await tx.find(Vm)}
        assert rows == {item.id for item in await stores[1].events_after(0, 100)}
        assert {str(number) for number, task in enumerate(tasks) if not task.cancelled()} <= rows

    async def test_calls_and_pruning_of_several(self, stores: list[MetadataStore]) -> None:
        await together(
            stores[number % 3].add_calls([call(number * 10 + place) for place in range(10)]) for number in range(9)
        )
        async with stores[0].reading() as tx:
            assert await tx.count(Call) == KEEP_CALLS
        pruned: list[int] = []

        async def prune(store: MetadataStore) -> None:
            pruned.append(await store.prune(0.0, 1e9))

        await together(prune(store) for store in stores)
        assert sum(pruned) == KEEP_CALLS
