"""The benchmarks, one after the other: all, or those named. In: names of scripts here. Out: their tables, and how long
each took; 1 if one failed.

Those that need an hour of this host's own data get one that is recorded while the others run; the recorder takes a
thousandth of a core. Those that bring devices of their own to the host, which would end the recording, come after it.

    python -m benchmarks [pipeline ingest …]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MINUTES = 60.0
RECORDED = ("series_query", "storage_size")
"""Read the recording."""
INTRUSIVE = ("cloud_calls", "faults")
"""Bring interfaces and file systems of their own."""
NOT_SCRIPTS = ("__init__", "__main__", "recording")


def known() -> list[str]:
    """All benchmarks, in the order in which they run."""
    names = {path.stem for path in Path(__file__).parent.glob("*.py")} - set(NOT_SCRIPTS)
    return [*sorted(names - {*RECORDED, *INTRUSIVE}), *RECORDED, *INTRUSIVE]


def run(names: list[str], folder: Path) -> list[str]:
    """Run them; the names of those that failed."""
    failed, recording = [], folder / "host.npz"
    recorder = record(recording) if set(names) & set(RECORDED) else None
    try:
        for number, name in enumerate(names, 1):
            print(f"\n== {name} ({number} of {len(names)}), {time.strftime('%H:%M:%S')}", flush=True)
            arguments: list[str] = []
            if name in RECORDED and recorder is not None:
                wait(recorder)
                arguments = ["--recording", str(recording)]
            began = time.monotonic()
            code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode
            print(f"-- {name}: exit {code} after {time.monotonic() - began:.0f} s", flush=True)
            if code:
                failed.append(name)
    finally:
        if recorder is not None and recorder.poll() is None:
            recorder.terminate()
            recorder.wait(10)
    return failed


def record(path: Path) -> "subprocess.Popen[bytes]":
    """Begin to record this host."""
    print(f"recording this host for {MINUTES:g} minutes, beside what follows", flush=True)
    return subprocess.Popen([sys.executable, "-m", "benchmarks.recording", str(path), "--minutes", str(MINUTES)])


def wait(recorder: "subprocess.Popen[bytes]") -> None:
    """Until the recorder has ended; without a recording the benchmark says that there is none, and fails."""
    began = time.monotonic()
    while recorder.poll() is None:
        if sys.stderr.isatty():
            print(f"\rwaiting for the recording, {time.monotonic() - began:.0f} s ", end="", file=sys.stderr)
        time.sleep(1)


def main() -> int:
    names = known()
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)} (default: all)")
    chosen = parser.parse_args().names
    if strange := [name for name in chosen if name not in names]:
        parser.error(f"{strange[0]} is no benchmark; there are {', '.join(names)}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcisd-bench-all-") as folder:
        failed = run([name for name in names if not chosen or name in chosen], Path(folder))
    ended = f"failed: {', '.join(failed)}" if failed else "all ended well"
    print(f"\n{ended}; {(time.monotonic() - began) / 60:.0f} minutes")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
