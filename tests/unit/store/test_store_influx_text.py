"""Blocks of windows as line protocol: names, lines, batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.model.identity import Identity
from mcisd.model.samples import Column
from mcisd.store.series.base import WindowBlock
from mcisd.store.series.influx import names
from mcisd.store.series.influx.lines import Batch, LineWriter, wanted

USER = Column("cpu", "usage_user", (("cpu", "cpu-total"),), "g")
IDLE = Column("cpu", "usage_idle", (("cpu", "cpu-total"),), "g")
USED = Column("mem", "used", (), "g")
WHO = {"vm-1": Identity("vm-1", "web 1", "default", "shop", "aws", "", "")}
TEXT = st.text(max_size=12) | st.sampled_from(["vm", "vm_", "time", "a:sum", "a:sum:", ":", "", "mcisd_series", "%0A"])


def block(columns: tuple[Column, ...], vms: list[str], starts: list[int], count: object = 2) -> WindowBlock:
    """Averages 1.5, 2.5, … over all cells."""
    shape = (len(vms), len(columns))
    average = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) + 1.5
    counts = np.broadcast_to(np.asarray(count), shape).copy()
    return WindowBlock(columns, 10_000, vms, np.array(starts), average, average - 1, average + 1, average * 2, counts)


def batches(blocks: list[WindowBlock], batch_lines: int = 100, batch_values: int = 1000) -> list[Batch]:
    masks, _ = wanted(blocks)
    return list(LineWriter(batch_lines, batch_values).batches(blocks, masks, WHO))


def lines(blocks: list[WindowBlock]) -> list[str]:
    return "".join(batch.body.decode() for batch in batches(blocks)).splitlines()


@given(TEXT)
def test_names_come_back_and_cannot_break_out(text: str) -> None:
    same = text.encode("utf-8", "replace").decode() if text != "\0" else ""
    for encode, decode in (
        (names.encode, names.decode),
        (names.encode_key, names.decode_key),
        (names.encode_field, names.decode_field),
        (names.encode_measurement, names.decode_measurement),
    ):
        stored = encode(text)
        assert decode(stored) == same
        assert stored
        assert not set(stored) & {"\n", "\r", "\\", "\0"}
    assert names.encode_key(text) not in names.KEPT
    assert names.without_suffix(names.encode_field(text)) == (names.encode_field(text), "last")


@pytest.mark.parametrize("name", ["usage_user", "cpu-total", "/var/lib", "eth0", "50%", "a b", "é"])
def test_usual_names_are_left_alone(name: str) -> None:
    assert names.encode(name) == names.encode_key(name) == names.encode_field(name) == name


def test_one_line_for_a_vm_and_a_measurement_as_telegraf_would_write_it() -> None:
    first, second, third = lines([block((USER, USED, IDLE), ["vm-1", "vm-2"], [1000, 2000], [[2, 3, 2], [0, 1, 0]])])
    tags = "cpu=cpu-total,host=web\\ 1,infra=shop,ns=default,provider=aws,vm=vm-1"
    user = "usage_user=3.0,usage_user:sum=3.0,usage_user:min=0.5,usage_user:max=2.5,usage_user:count=2.0"
    idle = "usage_idle=7.0,usage_idle:sum=7.0,usage_idle:min=2.5,usage_idle:max=4.5,usage_idle:count=2.0"
    assert first == f"cpu,{tags} {user},{idle} 1000"
    used = "used=5.0,used:sum=7.5,used:min=1.5,used:max=3.5,used:count=3.0"
    assert second == f"mem,{tags.partition(',')[2]} {used} 1000"
    assert third == "mem,vm=vm-2 used=11.0,used:sum=5.5,used:min=4.5,used:max=6.5,used:count=1.0 2000"


def test_cells_without_samples_or_finite_numbers_are_left_out() -> None:
    given = block((USER, IDLE, USED), ["vm-1"] * 3, [1, 2, 3], [[1, 0, 1], [0, 0, 0], [1, 1, 1]])
    given.min[2, 0] = np.nan
    given.avg[2, 1] = 1e308
    given.count[2, 1] = 1000
    masks, refused = wanted([given])
    assert refused == 2
    assert masks[0].tolist() == [[True, False, True], [False] * 3, [False, False, True]]
    assert [line.split("=")[0].split(",")[0] for line in lines([given])] == ["cpu", "mem", "mem"]


def test_large_numbers_whose_sum_is_not_finite_are_kept() -> None:
    given = block((USED,), ["vm-1"], [1], 1)
    for part in (given.avg, given.min, given.max, given.last):
        part[:] = 1e308
    assert wanted([given])[1] == 0


def test_of_a_cell_written_twice_the_later_one_counts() -> None:
    first, second = block((USER, USED), ["vm-1", "vm-1"], [1, 1]), block((USED, IDLE), ["vm-1"], [1])
    masks, _ = wanted([first, second])
    assert [mask.tolist() for mask in masks] == [[[False, False], [True, False]], [[True, True]]]


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 60), st.integers(0, 5))
def test_batches_are_bounded_and_whole(rows: int, batch_lines: int, batch_values: int, hole: int) -> None:
    count = np.ones((rows, 3), dtype=np.int64)
    count[::2, hole % 3] = min(hole, 1)
    given = block((USER, USED, IDLE), [f"vm-{row}" for row in range(rows)], [5] * rows, count)
    made = batches([given, block((USED,), ["x"], [7])], batch_lines, batch_values)
    assert sum(batch.cells for batch in made) == count.sum() + 1
    for batch in made:
        assert batch.body.count(b"\n") == batch.lines
        assert batch.body.count(b":sum=") == batch.cells
        assert batch.lines <= max(batch_lines, 2)  # one row is never cut, and here it has up to two lines
        assert 5 * batch.cells <= max(batch_values, 15)


def test_a_known_vm_that_becomes_another_gets_its_new_tags() -> None:
    writer = LineWriter(100, 1000)
    given = block((USED,), ["vm-1"], [1])
    masks, _ = wanted([given])
    bodies = [
        next(writer.batches([given], masks, who)).body.split()[0]
        for who in ({}, WHO, {"vm-1": Identity("vm-1", "web 1", "default", "shop", "aws", "", "")}, {})
    ]
    assert bodies[0] == bodies[3] == b"mem,vm=vm-1"
    assert bodies[1] == bodies[2] == b"mem,host=web\\"
