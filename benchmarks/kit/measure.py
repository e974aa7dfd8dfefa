"""What benchmarks measure with: CPU and memory of processes from the kernel, a line about the machine, tables, JSON.

Figures are lists, one value a repetition; tables show their minimum, median and maximum.
"""

import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

Figures = dict[str, list[float]]
"""Name with its unit → one value a repetition."""


def cpu_seconds(pids: int | Iterable[int]) -> float:
    """CPU time that these processes and their ended children have used, user and system, of all threads."""
    total = 0
    for pid in [pids] if isinstance(pids, int) else pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 … 100) per cent of the values do not exceed."""
    return float(np.percentile(np.array(values), share))


class Spell:
    """CPU and wall time of some processes since it was made."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._cpu, self._wall = cpu_seconds(self._pids), time.monotonic()

    @property
    def cpu(self) -> float:
        return cpu_seconds(self._pids) - self._cpu

    @property
    def wall(self) -> float:
        return time.monotonic() - self._wall


def machine() -> str:
    """Where this runs, and how busy others keep it: load average, and the share of CPU that others used just now."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return (
        f"machine: {os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}\n"
        f"noise: load average {os.getloadavg()[0]:.1f}; while we slept, others used {100 * _busy():.0f} % of all cores"
    )


def _busy(seconds: float = 0.5) -> float:
    def look() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    whole, idle = look()
    time.sleep(seconds)
    whole_after, idle_after = look()
    return 1 - (idle_after - idle) / max(1, whole_after - whole)


def show(title: str, figures: Figures) -> None:
    """A table of minimum, median and maximum."""
    width = max(len(name) for name in figures) + 2
    print(f"\n{title}\n{'':{width}}{'min':>14}{'median':>14}{'max':>14}")
    for name, values in figures.items():
        cells = (min(values), statistics.median(values), max(values))
        print(f"{name:{width}}" + "".join(f"{_cell(value):>14}" for value in cells), flush=True)


def _cell(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def append(figures: Figures, more: dict[str, float]) -> None:
    """One repetition's values behind those of the others."""
    for name, value in more.items():
        figures.setdefault(name, []).append(value)


def save(path: Path | None, document: dict[str, object]) -> None:
    """Write the figures with the machine as JSON, if a file was asked for."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), **document}, indent=2) + "\n")


def lacking(*programs: str) -> list[str]:
    """Those of these programs that this machine has not; the table goes without them and says so."""
    return [program for program in programs if not shutil.which(program)]
