"""Samples per CPU-second of the process that takes them in, from the wire until they are durable and can be queried.

The same samples, 82 series of each VM every 2 s, go to each system by its own best protocol, in the same run; other
processes send, the CPU is that of the receiving process (user and system, of all its threads) as the kernel counts it.

* mcisd, embedded: binary frames over TLS, one link a VM; receive, rates, windows of 10 s (average, minimum, maximum,
  last, count), DuckDB, packing; on the loop that the daemon runs on, uvloop where it is installed. "bulk" is many
  frames a TLS record, as after an outage; "live" is one frame a record, all links in turn. Durable when the window is
  committed (fsync of its log); only then the agent is told so.
* VictoriaMetrics: line protocol, Prometheus remote write, and its native import (blocks of one series as another
  VictoriaMetrics exports them: the way of a backup, no live samples come so). It answers before data are on disk and
  has no log: durable after a flush (by itself every few seconds; asked for here at the end).
* InfluxDB 2.7: line protocol, plain and gzip. It answers when its write-ahead log has been synced.

Rates that we derive from counters are written too, but are not counted as samples here. The peers keep each sample, we
keep windows: this is said in the README's table, too.

    python -m benchmarks.ingest [--vms 40] [--ticks 1800] [--runs 3] [--json FILE] [--quick]
"""

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from benchmarks.kit import peers
from benchmarks.kit.load import agents
from benchmarks.kit.measure import Figures, Spell, append, machine, save, show
from benchmarks.kit.path import sample_path
from benchmarks.kit.payload import COLUMNS, INTERVAL_MS, WIDTH
from mcisd.aio.loop import run_async
from mcisd.demo.engines import InfluxEngine
from mcisd.demo.engines_influx import missing_influx
from mcisd.store.series.base import SeriesQuery, SeriesStore

BULK = 100
RESTORE = "VictoriaMetrics, native import"
HOURS_AGO_MS = 3 * 3_600_000
SETTLE_S = 6.0
"""What a peer does in the background after the last request is its cost, too."""


class Work:
    """How much is sent: ``vms`` VMs, ``ticks`` frames of each."""

    def __init__(self, vms: int, ticks: int) -> None:
        self.vms, self.ticks = vms, ticks
        self.samples = vms * ticks * WIDTH
        now = int(time.time() * 1000)
        self.start_ms = now - now % 3_600_000 - HOURS_AGO_MS


async def ours(work: Work, folder: Path, each: int) -> dict[str, float]:
    """Our path, ``each`` frames a TLS record."""
    vms = [(f"vm-{number}", "t") for number in range(work.vms)]
    async with sample_path(folder) as path, agents([("127.0.0.1", path.port)], path.ca, vms) as load:
        await load.tell("link")
        cpu, wall = time.process_time(), time.perf_counter()
        await load.tell("push", work.ticks, work.start_ms, each)
        await path.stored(work.vms * work.ticks)
        committed = time.process_time() - cpu
        await path.pack()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        await _complete(path.store, [vm for vm, _ in vms], work)
    return _row(work, cpu, wall) | {"share of packing, %": 100 * (cpu - committed) / cpu}


async def _complete(store: SeriesStore, vms: list[str], work: Work) -> None:
    """The first series of every VM has each of its samples."""
    measurement, field, *_ = COLUMNS[0]
    end = work.start_ms + work.ticks * INTERVAL_MS
    asked = SeriesQuery(vms, str(measurement), work.start_ms, end + 60_000, 0, "count", [str(field)])
    found = sum(float(result.values.sum()) for result in await store.query(asked))
    if found != work.vms * work.ticks:
        raise SystemExit(f"{found:.0f} of {work.vms * work.ticks} frames are stored")


async def victoria(work: Work, folder: Path, way: str) -> dict[str, float]:
    """VictoriaMetrics, by one of its protocols."""
    server = peers.Victoria(folder)
    await server.start()
    try:
        if way == "native":
            return await _timed(work, server, "/api/v1/import/native", [await _exported(work, folder)])
        if way == "remote write":
            bodies = list(peers.remote_requests(work.vms, work.ticks, work.start_ms))
            headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
            return await _timed(work, server, "/api/v1/write", bodies, headers)
        bodies = list(peers.line_requests(work.vms, work.ticks, work.start_ms))
        return await _timed(work, server, "/write?precision=ms", bodies)
    finally:
        await server.stop()


async def _timed(
    work: Work, server: peers.Victoria, path: str, bodies: list[bytes], headers: dict[str, str] | None = None
) -> dict[str, float]:
    spell = Spell([server.pid])
    await peers.post_all(server.url + path, bodies, headers)
    await server.flush()
    wall = spell.wall
    await asyncio.sleep(SETTLE_S)
    cpu = spell.cpu
    if (series := await server.series()) < work.vms * WIDTH:
        raise SystemExit(f"VictoriaMetrics has {series} of {work.vms * WIDTH} series")
    return _row(work, cpu, wall)


async def _exported(work: Work, folder: Path) -> bytes:
    """The samples in VictoriaMetrics' own format: what another one gives out after it was fed with them."""
    other = peers.Victoria(folder / "other")
    await other.start()
    try:
        await peers.post_all(
            f"{other.url}/write?precision=ms", peers.line_requests(work.vms, work.ticks, work.start_ms)
        )
        await other.flush()
        times = f"start={work.start_ms // 1000 - 60}&end={work.start_ms // 1000 + work.ticks * 2 + 60}"
        return await peers.get(f"{other.url}/api/v1/export/native?match[]={{host!=%22%22}}&{times}")
    finally:
        await other.stop()


async def influx(work: Work, folder: Path, way: str) -> dict[str, float]:
    """InfluxDB, line protocol as it is or compressed."""
    engine = await InfluxEngine.start(folder)
    try:
        bodies = list(peers.line_requests(work.vms, work.ticks, work.start_ms))
        headers = {"Authorization": f"Token {engine.token}"}
        if way == "gzip":
            bodies, headers = list(peers.zipped(bodies)), headers | {"Content-Encoding": "gzip"}
        url = f"{engine.url}/api/v2/write?org={engine.org}&bucket={engine.bucket}&precision=ms"
        spell = Spell([engine.pid])
        await peers.post_all(url, bodies, headers)
        wall = spell.wall
        await asyncio.sleep(SETTLE_S)
        cpu = spell.cpu
        if (found := await peers.influx_count(engine)) != work.samples:
            raise SystemExit(f"InfluxDB has {found} of {work.samples} samples")
        return _row(work, cpu, wall)
    finally:
        await engine.stop()


def _row(work: Work, cpu: float, wall: float) -> dict[str, float]:
    return {"samples per CPU-second": work.samples / cpu, "samples per second": work.samples / wall}


Way = Callable[[Work, Path], Coroutine[None, None, dict[str, float]]]


def ways() -> dict[str, Way]:
    """Everything that this machine has."""
    found: dict[str, Way] = {
        "mcisd, live": lambda work, folder: ours(work, folder, 1),
        "mcisd, bulk": lambda work, folder: ours(work, folder, BULK),
    }
    if shutil.which("victoria-metrics"):
        found |= {
            "VictoriaMetrics, line protocol": lambda work, folder: victoria(work, folder, "lines"),
            "VictoriaMetrics, remote write": lambda work, folder: victoria(work, folder, "remote write"),
            RESTORE: lambda work, folder: victoria(work, folder, "native"),
        }
    else:
        print("left out: VictoriaMetrics (Debian package victoria-metrics)")
    if lack := missing_influx():
        print(f"left out: {lack}")
    else:
        found["InfluxDB, plain"] = lambda work, folder: influx(work, folder, "plain")
        found["InfluxDB, gzip"] = lambda work, folder: influx(work, folder, "gzip")
    return found


def compare(found: dict[str, Figures]) -> None:
    """Ours against the best way of each peer that live samples can come by, and against the restoring of a backup."""
    medians = {name: statistics.median(figures["samples per CPU-second"]) for name, figures in found.items()}
    for peer, goal in (("VictoriaMetrics", "goal 3"), ("InfluxDB", "goal 5"), (RESTORE, "no goal: a backup restored")):
        ways = [name for name in medians if name.startswith(peer) and (peer == RESTORE or name != RESTORE)]
        best = max(ways, key=lambda name: medians[name], default="")
        for name in (name for name in medians if best and name.startswith("mcisd")):
            print(f"{name}: {medians[name] / medians[best]:.1f} x {best} ({goal})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=40)
    parser.add_argument("--ticks", type=int, default=1800)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="those whose name has this in it")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="20 VMs, 30 ticks, once")
    options = parser.parse_args()
    if options.quick:
        options.vms, options.ticks, options.runs = 20, 30, 1
    print(machine())
    work, found = Work(options.vms, options.ticks), dict[str, Figures]()
    print(f"{work.vms} VMs, {work.ticks} frames of {WIDTH} samples each: {work.samples:,} samples")
    chosen = {name: way for name, way in ways().items() if options.only in name}
    for _ in range(options.runs):  # all in turn, so that the noise of the machine falls on all
        for name, way in chosen.items():
            with tempfile.TemporaryDirectory(prefix="mcisd-ingest-") as folder:
                append(found.setdefault(name, {}), run_async(way(work, Path(folder))))
    for name, figures in found.items():
        show(name, figures)
    compare(found)
    save(options.json, {"samples": work.samples, "figures": found})


if __name__ == "__main__":
    main()
