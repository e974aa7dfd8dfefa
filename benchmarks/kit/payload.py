"""The same samples for everyone: what a small VM measures every two seconds, as frames and as line protocol.

82 series of a Telegraf-like schema with the kinds of values that hosts have: per cents with a fraction, whole numbers
of bytes that wander, numbers that never change, counters that grow. They follow from (VM number, tick), so two
programs that are asked for the same get the same.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

INTERVAL_MS = 2_000
CPU = ["usage_user", "usage_nice", "usage_system", "usage_idle", "usage_iowait", "usage_irq", "usage_softirq",
       "usage_steal", "usage_guest", "usage_active"]  # fmt: skip
MEM = ["total", "available", "used", "cached", "used_percent", "available_percent", "free", "buffered", "active",
       "inactive", "shared", "slab", "sreclaimable", "dirty", "mapped", "committed_as"]  # fmt: skip
DISKIO = ["reads", "merged_reads", "read_bytes", "read_time", "writes", "merged_writes", "write_bytes", "write_time"]
NET = ["bytes_recv", "packets_recv", "err_in", "drop_in", "bytes_sent", "packets_sent", "err_out", "drop_out"]
GROUPS: list[tuple[str, dict[str, str], list[str], str]] = [
    ("system", {}, ["load1", "load5", "load15", "n_cpus"], "g"),
    *[("cpu", {"cpu": name}, CPU, "g") for name in ("cpu-total", "cpu0", "cpu1")],
    ("mem", {}, MEM, "g"),
    ("disk", {"device": "vda", "path": "/"}, ["total", "free", "used", "used_percent"], "g"),
    ("diskio", {"name": "vda"}, DISKIO, "c"),
    ("net", {"interface": "eth0"}, NET, "c"),
    ("processes", {}, ["running", "sleeping", "blocked", "zombies", "stopped", "total", "total_threads"], "g"),
    ("kernel", {}, ["context_switches", "interrupts", "processes_forked"], "c"),
    ("swap", {}, ["in", "out"], "c"),
]
COLUMNS: list[list[object]] = [[m, field, tags, kind] for m, tags, fields, kind in GROUPS for field in fields]
WIDTH = len(COLUMNS)
TICKS = 512
"""Values come again after so many ticks; counters go on growing."""

F64 = NDArray[np.float64]


def _tables() -> tuple[F64, F64]:
    """``(values[tick, column], growth[column] per tick)``."""
    rng = np.random.default_rng(7)
    table, growth = np.zeros((TICKS, WIDTH)), np.zeros(WIDTH)
    for place, column in enumerate(COLUMNS):
        name, kind = str(column[1]), column[3]
        if name.startswith(
            ("err", "drop", "zombies", "stopped", "blocked", "usage_nice", "usage_guest", "usage_steal")
        ):
            continue  # always 0, as on most hosts
        if name in ("total", "n_cpus"):
            table[:, place] = 8 * 2**30 if name == "total" else 2
        elif name.startswith(("usage", "load")) or name.endswith("percent"):
            table[:, place] = np.round(np.clip(np.cumsum(rng.normal(0, 1, TICKS)) % 100, 0, 100) * 50) / 50
        elif kind == "c":
            growth[place] = float(rng.integers(10, 100_000))
            table[:, place] = np.floor(rng.random(TICKS) * growth[place])
        else:
            table[:, place] = 4096 * np.floor(np.abs(np.cumsum(rng.normal(0, 50, TICKS))) + 100_000)
    return table, growth


_TABLE, _GROWTH = _tables()


def values(vm: int, tick: int) -> F64:
    """One frame's values, in the order of ``COLUMNS``."""
    row: F64 = _TABLE[(tick + 37 * vm) % TICKS] + tick * _GROWTH
    return row


def lines(vms: int, ticks: int, start_ms: int) -> Iterator[str]:
    """All frames as line protocol (times in ms), tick by tick, one line for each group of series of each VM."""
    heads = [",".join(["", *(f"{k}={v}" for k, v in tags.items())]) for _, tags, _, _ in GROUPS]
    for tick in range(ticks):
        for vm in range(vms):
            row, place, time_ms = values(vm, tick), 0, start_ms + tick * INTERVAL_MS
            for (measurement, _, fields, _), more in zip(GROUPS, heads, strict=True):
                cells = ",".join(
                    f"{field}={value:.10g}"
                    for field, value in zip(fields, row[place : place + len(fields)].tolist(), strict=True)
                )
                place += len(fields)
                yield f"{measurement},host=n{vm},infra=bench,ns=bench{more.rstrip(',')} {cells} {time_ms}"
