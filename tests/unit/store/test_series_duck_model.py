"""The embedded store against the model: writes, packing, pruning, deleting and restarts in any order."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.store.series.base import SeriesQuery, WindowBlock
from mcisd.store.series.duck import DuckSeriesStore
from tests.conformance.series_model import BASE_MS, VMS, WIDTH_MS, Model, answer, blocks

HOURS = 3
SPAN_MS = HOURS * 3_600_000
FAR = BASE_MS + 10 * SPAN_MS
Step = tuple[str, object]


@st.composite
def spread(draw: st.DrawFn) -> WindowBlock:
    """Windows around the turns of hours, some of another width."""
    block = draw(blocks())
    turns = [-60_000, 0, 3_540_000, 3_600_000 + 1000, 7_140_000]
    moved = draw(st.lists(st.sampled_from(turns), min_size=len(block.vms), max_size=len(block.vms)))
    block.starts_ms = block.starts_ms + np.array(moved, dtype=np.int64)
    block.width_ms = draw(st.sampled_from([WIDTH_MS, WIDTH_MS, WIDTH_MS, 2 * WIDTH_MS]))
    return block


STEPS = st.one_of(
    st.tuples(st.just("write"), st.lists(spread(), min_size=1, max_size=3)),
    st.tuples(st.just("pack"), st.none()),
    st.tuples(st.just("prune"), st.integers(-6, 720).map(lambda place: BASE_MS + place * WIDTH_MS)),
    st.tuples(st.just("delete"), st.lists(st.sampled_from(VMS), max_size=2, unique=True)),
    st.tuples(st.just("reopen"), st.none()),
)


@st.composite
def questions(draw: st.DrawFn) -> SeriesQuery:
    start = BASE_MS + draw(st.sampled_from([-60_000, 0, 3_333, -BASE_MS % 60_000, -BASE_MS % 3_600_000 - 60_000]))
    return SeriesQuery(
        vms=draw(st.lists(st.sampled_from(VMS), unique=True, min_size=1)),
        measurement=draw(st.sampled_from(["cpu", "net", "mem"])),
        start_ms=start,
        end_ms=start + draw(st.sampled_from([WIDTH_MS, 600_000, 3_600_000, SPAN_MS, SPAN_MS])),
        step_ms=draw(st.sampled_from([0, WIDTH_MS, 60_000, 60_000, 7_001, 3_600_000])),
        statistic=draw(st.sampled_from(["avg", "min", "max", "last", "count"])),
        fields=draw(st.lists(st.sampled_from(["usage_user", "bytes_recv"]), max_size=1)),
    )


class Wide(Model):
    """The model knows one width; another one is another VM to it, whose cells are added up in the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.other = Model()

    def write_all(self, written: list[WindowBlock]) -> int:
        ours = [block for block in written if block.width_ms == WIDTH_MS]
        return self.write(ours) + self.other.write([block for block in written if block.width_ms != WIDTH_MS])

    def keep(self, vms: list[str], from_ms: int) -> int:
        """Drop cells of other VMs and older ones; how many."""
        dropped = 0
        for part in (self, self.other):
            kept = {key: cell for key, cell in part.cells.items() if key[0] in vms and key[2] >= from_ms}
            dropped += len(part.cells) - len(kept)
            part.cells = kept
        return dropped


async def step(store: DuckSeriesStore, path: Path, model: Wide, doing: str, what: object) -> DuckSeriesStore:
    match doing, what:
        case "write", list(written):
            assert await store.write(written) == model.write_all(written)
        case "prune", int(before):
            assert await store.prune(before) == model.keep(VMS, before)
        case "delete", list(vms):
            await store.delete(vms)
            model.keep([vm for vm in VMS if vm not in vms], 0)
        case "pack", _:
            await store.compact(FAR)
            await store.compact(FAR)
        case _:
            await store.close()
            return await DuckSeriesStore.open(path)
    return store


@given(st.lists(STEPS, min_size=1, max_size=8), st.lists(questions(), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
async def test_any_history(history: list[Step], asked: list[SeriesQuery]) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "s.duckdb"
        model, store = Wide(), await DuckSeriesStore.open(path)
        try:
            for doing, what in [("write", []), *history]:
                store = await step(store, path, model, doing, what)
            for query in asked:
                await compare(store, model, query)
        finally:
            await store.close()


async def compare(store: DuckSeriesStore, model: Wide, query: SeriesQuery) -> None:
    """Where both widths answer, only what does not need both: that the series and times are the same."""
    found, ours, others = answer(await store.query(query)), model.query(query), model.other.query(query)
    assert found.keys() == ours.keys() | others.keys()
    for key, values in found.items():
        one, other = dict(ours.get(key, [])), dict(others.get(key, []))
        assert [time for time, _ in values] == sorted(one.keys() | other.keys())
        for time, value in values:
            if time in one and time in other:
                both = {"min": min(one[time], other[time]), "max": max(one[time], other[time])}
                both["count"] = one[time] + other[time]
                assert value == both.get(query.statistic, value)
            else:
                assert value == pytest.approx(one.get(time, other.get(time)), rel=1e-9, abs=1e-6)
