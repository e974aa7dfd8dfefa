"""Figures of the demonstration: runs it N times, prints minimum, median and maximum of each figure and of the whole.

``python -m benchmarks.demo_figures [--runs 5]``. Each run is ``mcisd demo --exit`` with a fresh home; one that fails
is shown, and the exit code is 1.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 300.0
WHOLE = "the whole run"


def main() -> int:
    """Run and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how many times (default: %(default)s)")
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    for number in range(1, options.runs + 1):
        print(f"run {number} of {options.runs} …", file=sys.stderr, flush=True)
        figures = one_run()
        if figures is None:
            return 1
        for name, seconds in figures.items():
            found.setdefault(name, []).append(seconds)
    print(machine())
    print(f"{options.runs} runs of `mcisd demo --exit`, seconds\n")
    print(table(found))
    return 0


def one_run() -> dict[str, float] | None:
    """Figures of one demonstration; None, its output shown, if a step did not hold."""
    with tempfile.TemporaryDirectory(prefix="mcisd-figures-") as place:
        path = Path(place) / "figures.json"
        program = [sys.executable, "-m", "mcisd", "demo", "--exit", "--json", str(path)]
        done = subprocess.run(program, capture_output=True, text=True, timeout=LIMIT, check=False)
        if done.returncode != 0:
            print(done.stdout + done.stderr, file=sys.stderr)
            return None
        document = json.loads(path.read_text())
    figures: dict[str, float] = document["figures"]
    return figures | {WHOLE: document["total"]}


def table(found: dict[str, list[float]]) -> str:
    """A Markdown table."""
    lines = ["| figure | minimum | median | maximum |", "|---|---:|---:|---:|"]
    for name, values in found.items():
        lines.append(f"| {name} | {min(values):.2f} | {statistics.median(values):.2f} | {max(values):.2f} |")
    return "\n".join(lines)


def machine() -> str:
    """What this ran on."""
    processor = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{processor}, {cores} cores, {memory:.0f} GiB; Linux {platform.release()}, Python {platform.python_version()}"
    )


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
