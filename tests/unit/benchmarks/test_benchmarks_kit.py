"""The kit of the benchmarks: the same samples in every protocol, and CPU as the kernel counts it."""

import os
import struct
import time

import numpy as np

from benchmarks.kit import payload
from benchmarks.kit.measure import Spell, percentile
from benchmarks.kit.peers import line_requests, remote_requests
from benchmarks.recording import joined
from mcisd.model.samples import Column

START_MS = 1_700_000_000_000


def parsed(vms: int, ticks: int) -> dict[tuple[str, str, int], float]:
    """(host, series, time) → value of the line protocol."""
    found = {}
    for line in payload.lines(vms, ticks, START_MS):
        head, cells, stamp = line.split(" ")
        measurement, *tags = head.split(",")
        named = dict(tag.split("=") for tag in tags)
        more = ",".join(f"{k}={v}" for k, v in named.items() if k not in ("host", "infra", "ns"))
        for cell in cells.split(","):
            field, _, value = cell.partition("=")
            found[named["host"], f"{measurement}/{field}/{more}", int(stamp)] = float(value)
    return found


def test_lines_hold_what_frames_hold() -> None:
    lines = parsed(3, 4)
    assert len(lines) == 3 * 4 * payload.WIDTH
    for vm in range(3):
        for tick in range(4):
            stamp = START_MS + tick * payload.INTERVAL_MS
            values = [value for (host, _, at), value in lines.items() if host == f"n{vm}" and at == stamp]
            assert values == payload.values(vm, tick).tolist()


def test_counters_never_fall() -> None:
    counters = [place for place, column in enumerate(payload.COLUMNS) if column[3] == "c"]
    before = payload.values(5, 0)
    for tick in range(1, 2 * payload.TICKS):
        row = payload.values(5, tick)
        assert (row[counters] >= before[counters]).all(), tick
        before = row


def test_requests_have_a_bound_of_lines() -> None:
    requests = list(line_requests(50, 10, START_MS))
    assert [len(body.split(b"\n")) for body in requests] == [5_000, 500]


def test_remote_write_holds_each_series_with_its_value() -> None:
    (body,) = remote_requests(1, 1, START_MS)
    data = b"".join(_literals(body))
    assert data.count(b"__name__") == payload.WIDTH
    for value in payload.values(0, 0).tolist():
        assert b"\x09" + struct.pack("<d", value) in data


def _literals(body: bytes) -> list[bytes]:
    """The chunks of a snappy frame of literals."""
    length, at, shift = 0, 0, 0
    while True:
        length |= (body[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if body[at - 1] < 0x80:
            break
    chunks = []
    while at < len(body):
        assert body[at] == 0xF4
        size = int.from_bytes(body[at + 1 : at + 3], "little") + 1
        chunks.append(body[at + 3 : at + 3 + size])
        at += 3 + size
    assert sum(map(len, chunks)) == length
    return chunks


def test_a_spell_counts_the_cpu_of_a_process() -> None:
    spell = Spell([os.getpid()])
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert 0.05 <= spell.cpu <= 1.0


def test_percentile_of_few_values_lies_between_them() -> None:
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert 2.9 < percentile([1.0, 2.0, 3.0], 99) <= 3.0


def test_recording_keeps_what_was_there_for_a_part_of_the_time() -> None:
    cpu, disk, net = (Column(name, "used", (), "g") for name in ("cpu", "disk", "net"))
    parts = [((cpu, net), [0, 2_000], [[1.0, 2.0], [3.0, 4.0]]), ((disk, cpu), [4_000], [[5.0, 6.0]])]
    found = joined(parts)
    nan = np.nan
    assert found.columns == (cpu, net, disk)
    assert found.times_ms.tolist() == [0, 2_000, 4_000]
    np.testing.assert_equal(found.values, [[1.0, 2.0, nan], [3.0, 4.0, nan], [6.0, nan, 5.0]])
