"""What every time-series store must do. An adapter's test class inherits it and gives the fixture ``open_again``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcisd.model.errors import InputError
from mcisd.store.series.base import SeriesQuery, SeriesStore, WindowBlock
from tests.conformance.series_model import (
    BASE_MS,
    COLUMNS,
    VMS,
    WIDTH_MS,
    Answer,
    Model,
    answer,
    block,
    blocks,
    queries,
)

OpenAgain = Callable[[], Awaitable[SeriesStore]]
USER = COLUMNS[0]
# The store is emptied for each example; and each adapter's class runs the same test, as a suite is meant to.
SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
ALWAYS = (BASE_MS - 10**9, BASE_MS + 10**9)


def same(found: Answer, expected: Answer) -> None:
    """Equal but for the last bits of sums, whose order is the engine's own."""
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert [time for time, _ in found[key]] == [time for time, _ in values]
        assert [value for _, value in found[key]] == pytest.approx([value for _, value in values], rel=1e-9, abs=1e-6)


def windows(vm: str, starts: range, value: float = 10.0, counts: int = 5) -> WindowBlock:
    """One series of one VM: value, value + 1, … in windows ``starts``."""
    return block([vm] * len(starts), list(starts), [[counts]] * len(starts), value, [USER])


def ask(vms: list[str], *, step: int = WIDTH_MS, statistic: str = "avg", first: int = 0, end: int = 100) -> SeriesQuery:
    return SeriesQuery(vms, "cpu", BASE_MS + first * WIDTH_MS, BASE_MS + end * WIDTH_MS, step, statistic)


class SeriesSuite:
    """The suite. ``open_again`` opens the same, at first empty, store each time."""

    @pytest.fixture
    def open_again(self) -> OpenAgain:
        raise AssertionError("the adapter's test class gives this fixture")

    @pytest.fixture
    async def store(self, open_again: OpenAgain) -> AsyncIterator[SeriesStore]:
        store = await open_again()
        yield store
        await store.close()

    @given(
        writes=st.lists(st.lists(blocks(), min_size=1, max_size=3), max_size=4),
        asked=st.lists(queries(), min_size=1, max_size=4),
        measurement=st.sampled_from([None, "cpu", "none"]),
    )
    @settings(max_examples=40, deadline=None, suppress_health_check=SUPPRESSED)
    async def test_like_the_model(
        self, store: SeriesStore, writes: list[list[WindowBlock]], asked: list[SeriesQuery], measurement: str | None
    ) -> None:
        await store.delete(VMS)
        model = Model()
        for batch in writes:
            assert await store.write(batch) == model.write(batch)
        for query in asked:
            same(answer(await store.query(query)), model.query(query))
        same(answer(await store.last([*VMS, "vm-unknown"], measurement)), model.last(VMS, measurement))

    async def test_nothing_is_there_at_first(self, store: SeriesStore) -> None:
        assert await store.query(ask(VMS)) == []
        assert await store.last(VMS) == []
        assert await store.write([]) == 0
        assert await store.prune(BASE_MS) == 0

    async def test_rewriting_replaces(self, store: SeriesStore) -> None:
        await store.write([windows("vm-a", range(6))])
        assert await store.write([windows("vm-a", range(2, 4), value=50.0)]) == 2
        (found,) = await store.query(ask(["vm-a"]))
        assert found.values.tolist() == [10.0, 11.0, 50.0, 51.0, 14.0, 15.0]
        (total,) = await store.query(ask(["vm-a"], step=0, statistic="count"))
        assert total.values.tolist() == [30.0]

    async def test_two_schemas_in_one_window(self, store: SeriesStore) -> None:
        """A VM whose columns change in the middle of a window sends two blocks for it; neither removes the other."""
        await store.write([block(["vm-a"], [0], [[2]], 1.0, [COLUMNS[0]])])
        await store.write([block(["vm-a"], [0], [[3]], 5.0, [COLUMNS[2]])])
        assert sorted(item.values.tolist() for item in await store.query(ask(["vm-a"]))) == [[1.0], [5.0]]

    async def test_gaps_are_absent(self, store: SeriesStore) -> None:
        await store.write([windows("vm-a", range(2)), windows("vm-a", range(5, 6), value=20.0)])
        (found,) = await store.query(ask(["vm-a"]))
        assert found.times_ms.tolist() == [BASE_MS, BASE_MS + WIDTH_MS, BASE_MS + 5 * WIDTH_MS]
        await store.write([block(["vm-b"], [0], [[0]], 1.0, [USER])])
        assert await store.query(ask(["vm-b"])) == []

    async def test_average_weighs_by_count(self, store: SeriesStore) -> None:
        await store.write([windows("vm-a", range(1), 10.0, counts=1), windows("vm-a", range(1, 2), 40.0, counts=4)])
        (found,) = await store.query(ask(["vm-a"], step=0))
        assert found.values.tolist() == [34.0]
        assert found.times_ms.tolist() == [BASE_MS]

    async def test_steps_count_from_the_start_asked_for(self, store: SeriesStore) -> None:
        await store.write([windows("vm-a", range(9))])
        (found,) = await store.query(ask(["vm-a"], step=3 * WIDTH_MS, statistic="max", first=1, end=8))
        assert found.times_ms.tolist() == [BASE_MS + start * WIDTH_MS for start in (1, 4, 7)]
        assert found.values.tolist() == [15.0, 18.0, 19.0]

    async def test_wrong_questions(self, store: SeriesStore) -> None:
        with pytest.raises(InputError, match="median"):
            await store.query(ask(VMS, statistic="median"))
        with pytest.raises(InputError, match="step_ms"):
            await store.query(ask(VMS, step=-1))

    async def test_a_block_that_does_not_fit_writes_nothing(self, store: SeriesStore) -> None:
        wrong = windows("vm-b", range(2))
        wrong.last = np.zeros((1, 1))
        with pytest.raises(ValueError, match="last"):
            await store.write([windows("vm-a", range(1)), wrong])
        assert await store.query(ask(VMS)) == []

    async def test_last(self, store: SeriesStore) -> None:
        await store.write([windows("vm-a", range(3)), windows("vm-b", range(1))])
        await store.write([windows("vm-a", range(1), value=99.0)])
        found = answer(await store.last(["vm-a", "vm-b", "vm-c"]))
        assert found == {
            ("vm-a", USER): [(BASE_MS + 2 * WIDTH_MS, 12.5)],
            ("vm-b", USER): [(BASE_MS, 10.5)],
        }
        assert await store.last(["vm-a"], "mem") == []

    async def test_delete(self, store: SeriesStore) -> None:
        await store.write([windows("vm-a", range(3)), windows("vm-b", range(3))])
        await store.delete(["vm-a", "vm-unknown"])
        assert {item.vm for item in await store.query(ask(VMS))} == {"vm-b"}
        assert {item.vm for item in await store.last(VMS)} == {"vm-b"}
        await store.write([windows("vm-a", range(1))])
        assert {item.vm for item in await store.query(ask(VMS))} == {"vm-a", "vm-b"}

    async def test_prune(self, store: SeriesStore) -> None:
        await store.write([windows("vm-a", range(6)), windows("vm-b", range(2))])
        assert await store.prune(BASE_MS + 2 * WIDTH_MS) == 4
        (found,) = await store.query(ask(VMS))
        assert (found.vm, found.times_ms.tolist()[0], len(found.values)) == ("vm-a", BASE_MS + 2 * WIDTH_MS, 4)
        assert [item.vm for item in await store.last(VMS)] == ["vm-a"]

    async def test_many_at_once(self, store: SeriesStore) -> None:
        """Writers and readers of one store at the same time; nothing is lost."""
        async with asyncio.TaskGroup() as group:
            for start in range(20):
                group.create_task(store.write([windows(vm, range(start, start + 1)) for vm in VMS]))
                group.create_task(store.query(ask(VMS)))
        totals = await store.query(ask(VMS, step=0, statistic="count"))
        assert [item.values.tolist() for item in totals] == [[100.0]] * 3

    async def test_cancelled_calls_leave_it_usable(self, store: SeriesStore) -> None:
        for number in range(20):
            tasks = [
                asyncio.get_running_loop().create_task(work)
                for work in (store.write([windows("vm-a", range(number, number + 1))]), store.query(ask(VMS)))
            ]
            await asyncio.sleep(number * 0.0003)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await store.write([windows("vm-a", range(20))])
        (found,) = await store.query(ask(["vm-a"]))
        assert len(found.values) == 20

    async def test_all_is_there_after_reopening(self, open_again: OpenAgain) -> None:
        model = Model()
        store = await open_again()
        batch = [block(["vm-a", "vm-b"], [0, 1], [[1, 2, 0, 4, 5]] * 2, 3.0, COLUMNS)]
        await store.write(batch)
        model.write(batch)
        await store.close()
        for start in (1, 4):  # the first replaces windows from before, the second comes after all
            store = await open_again()
            same(answer(await store.last(VMS)), model.last(VMS, None))
            batch = [block(["vm-b", "vm-c"], [start, start], [[3, 3]] * 2, 70.0, COLUMNS[:2])]
            await store.write(batch)
            model.write(batch)
            query = SeriesQuery(VMS, "cpu", *ALWAYS, WIDTH_MS, "max")
            same(answer(await store.query(query)), model.query(query))
            await store.close()
