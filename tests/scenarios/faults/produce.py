"""What each simulated agent measures, as a pure function; and the journal in which it notes what it has measured.

A value follows from (number of the VM, sequence number, time, whether the alarm condition holds) and the column, so the
checker computes from the journal what must be stored. All values are whole numbers small enough that sums are exact.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcisd.agent.gather import Schema

COLUMNS: list[list[object]] = [
    ["lab", "mark", {}, "g"],
    ["lab", "number", {}, "g"],
    ["lab", "alarm", {}, "g"],
    ["lab", "ticks", {}, "c"],
    ["lab_io", "wave", {"device": "a"}, "g"],
    ["lab_io", "wave", {"device": "b"}, "g"],
    ["lab_io", "steps", {"device": "a"}, "c"],
    ["lab_io", "steps", {"device": "b"}, "c"],
]
"""A frame: two measurements, gauges and counters, tags. ``mark`` names the frame, ``number`` the VM."""

MARK, NUMBER, ALARM, TICKS = 0, 1, 2, 3
HIGH, LOW = 100, 1  # the column "alarm": with and without the condition
SCHEMA = Schema(COLUMNS)
EPOCH_MS = 1_700_000_000_000
JOURNAL = np.dtype([("number", "<u4"), ("raised", "<u4"), ("seq", "<u8"), ("time_ms", "<i8")])
I64 = NDArray[np.int64]


def slope(number: I64) -> I64:
    """What the counters of a VM grow by in a millisecond."""
    return number % 7 + 1


def values(number: I64, seq: I64, time_ms: I64, raised: I64) -> I64:
    """The rows of frames: shape (frame, column)."""
    since = time_ms - EPOCH_MS
    table = np.empty((len(seq), len(COLUMNS)), dtype=np.int64)
    table[:, MARK] = (number * 1_000_003 + seq * 7919) % 1_048_576
    table[:, NUMBER] = number
    table[:, ALARM] = np.where(raised > 0, HIGH, LOW)
    table[:, TICKS] = since * slope(number)
    table[:, 4] = seq % 1000
    table[:, 5] = (seq * 31 + number) % 97
    table[:, 6] = since // 10
    table[:, 7] = seq - seq % 10
    return table


def row(number: int, seq: int, time_ms: int, raised: bool) -> list[float]:
    """The values of one frame."""
    one = [np.array([value], dtype=np.int64) for value in (number, seq, time_ms, int(raised))]
    return [float(value) for value in values(*one)[0]]


class Journal:
    """Append-only; a record is with the kernel when ``note`` returns, so a killed swarm loses none of it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, number: int, seq: int, time_ms: int, raised: bool) -> None:
        record = np.array([(number, int(raised), seq, time_ms)], dtype=JOURNAL)
        os.write(self._fd, record.tobytes())

    def close(self) -> None:
        os.close(self._fd)


def read_journal(path: Path) -> NDArray[np.void]:
    """All records, in the order of their making."""
    data = path.read_bytes()
    return np.frombuffer(data[: len(data) - len(data) % JOURNAL.itemsize], dtype=JOURNAL)
