"""Bytes on disk for a sample of real host data: our embedded store, VictoriaMetrics and InfluxDB with the same data.

A sample is one value of one measured series, taken every 2 s. Ours keeps windows of 10 s with average, minimum,
maximum, last value and count, and the same of the rate of each counter (rates are not counted as samples: they are our
own doing). The peers keep every sample as it is, without rates; whole numbers go to InfluxDB as integers.

Each of ``--hosts`` sends the recording, begun at another place of it. Our data take the way of the daemon's writer
(rates, frames, windows, store, packing), without the sockets before it. The size is that of all files after everything
was flushed and packed or compacted.

    python -m benchmarks.storage_size [--minutes 60 | --recording FILE] [--keep FILE] [--hosts 20] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import numpy as np

from benchmarks.recording import Recording, load, record
from mcisd.collectors.rates import RatedSchema, Rates
from mcisd.collectors.windows import FrameWindow, summarise
from mcisd.demo.engines import InfluxEngine
from mcisd.demo.engines_influx import missing_influx
from mcisd.demo.engines_process import ServerProcess
from mcisd.demo.ports import free_ports
from mcisd.model.samples import Column, Schema, pack_frame
from mcisd.store.series.base import WindowBlock
from mcisd.store.series.duck import DuckSeriesStore

WIDTH_MS = 10_000
LINES = 5_000  # in a request
TIMEOUT = aiohttp.ClientTimeout(total=60)
HOUR_MS = 3_600_000
SETTLE_S = 90.0
Row = tuple[str, float, float]
"""Name, bytes on disk, and the seconds of CPU that we, or the server, took."""


def blocks(host: str, recording: Recording) -> Iterator[list[WindowBlock]]:
    """The windows of one host, as the daemon makes them of its frames; those of an hour at a time."""
    rated, rates = RatedSchema(Schema.of(recording.columns)), Rates(2_000)
    schemas = {rated.full.key: rated.full}
    windows: dict[int, list[bytes]] = {}
    for seq, (now, values) in enumerate(zip(recording.times_ms.tolist(), recording.values, strict=True), 1):
        frame = pack_frame(host, rated.full.key, seq, now, 0, rates.extend(rated, now, values.tobytes()))
        windows.setdefault(now - now % WIDTH_MS, []).append(frame)
    hours: dict[int, list[FrameWindow]] = {}
    for start, frames in windows.items():
        hours.setdefault(start // HOUR_MS, []).append(FrameWindow(host, start, rated.full.key, tuple(frames)))
    for hour in hours.values():
        yield [
            WindowBlock(b.columns, b.width_ms, b.vms, b.starts_ms, b.avg, b.min, b.max, b.last, b.count)
            for b in summarise(hour, schemas, WIDTH_MS)
        ]


async def ours(hosts: dict[str, Recording], directory: Path) -> Row:
    store = await DuckSeriesStore.open(directory / "series.duckdb")
    cpu = time.process_time()
    for host, recording in hosts.items():
        for written in blocks(host, recording):
            await store.write(written)
    later = int(max(recording.times_ms[-1] for recording in hosts.values())) + 2 * HOUR_MS
    if await store.compact(later) + await store.compact(later) == 0:
        raise SystemExit("nothing was packed")
    cpu = time.process_time() - cpu
    await store.close()
    return "mcisd, embedded", size(directory), cpu


async def victoria(hosts: dict[str, Recording], directory: Path) -> Row:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = ["victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={directory / 'data'}"]
    server = ServerProcess("VictoriaMetrics", [*command, "-retentionPeriod=10y"], directory / "log")
    await server.start(lambda: answers(f"{url}/health"), 30)
    await send(hosts, f"{url}/write?precision=ms", {}, integers=False)
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        for path in ("flush", "merge", "flush"):
            async with session.get(f"{url}/internal/force_{path}") as answer:
                answer.raise_for_status()
            await asyncio.sleep(5)
    used = cpu_of(server.pid)
    await server.stop()
    return "VictoriaMetrics", size(directory / "data"), used


async def influx(hosts: dict[str, Recording], directory: Path) -> Row:
    for name, value in (("CACHE_SNAPSHOT_WRITE", "5s"), ("COMPACT_FULL_WRITE", "10s")):
        os.environ[f"INFLUXD_STORAGE_{name}_COLD_DURATION"] = value  # else it would take hours to compact
    engine = await InfluxEngine.start(directory)
    url = f"{engine.url}/api/v2/write?org={engine.org}&bucket={engine.bucket}&precision=ms"
    await send(hosts, url, {"Authorization": f"Token {engine.token}"}, integers=True)
    data = directory / "engine"
    until, before = time.monotonic() + SETTLE_S, -1.0
    while time.monotonic() < until and (size(data / "wal") > 1000 or size(data) != before):
        before = size(data)
        await asyncio.sleep(15)
    used = cpu_of(engine.pid)
    await engine.stop()
    return "InfluxDB 2.7", size(data), used


async def send(hosts: dict[str, Recording], url: str, headers: dict[str, str], *, integers: bool) -> None:
    async with aiohttp.ClientSession(timeout=TIMEOUT, headers=headers) as session:
        for host, recording in hosts.items():
            lines = list(line_protocol(host, recording, integers=integers))
            for first in range(0, len(lines), LINES):
                async with session.post(url, data="\n".join(lines[first : first + LINES]).encode()) as answer:
                    if answer.status >= 300:
                        raise SystemExit(f"{url}: {answer.status} {await answer.text()}")


def line_protocol(host: str, recording: Recording, *, integers: bool) -> Iterator[str]:
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[int]] = {}
    for place, column in enumerate(recording.columns):
        groups.setdefault((column.measurement, column.tags), []).append(place)
    whole = [integers and bool((v == np.rint(v))[~np.isnan(v)].all()) for v in recording.values.T]
    for (measurement, tags), places in groups.items():
        head = ",".join([measurement, f"host={host}", *(f"{key}={escaped(value)}" for key, value in tags)])
        names = [recording.columns[place].field for place in places]
        for now, values in zip(recording.times_ms.tolist(), recording.values[:, places].tolist(), strict=True):
            fields = [
                f"{name}={int(value)}i" if whole[place] else f"{name}={value!r}"
                for name, place, value in zip(names, places, values, strict=True)
                if value == value
            ]
            if fields:
                yield f"{head} {','.join(fields)} {now}"


def escaped(value: str) -> str:
    return value.replace(" ", r"\ ").replace(",", r"\,").replace("=", r"\=") or "-"


async def answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session, session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def cpu_of(pid: int) -> float:
    """Seconds of CPU the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size(directory: Path) -> float:
    """Bytes of all files; holes and what was only reserved do not count."""
    found = [path.stat() for path in directory.rglob("*") if path.is_file()]
    return float(sum(min(file.st_size, 512 * file.st_blocks) for file in found))


async def measure(recording: Recording, hosts: int) -> list[Row]:
    ticks = len(recording.times_ms)
    sent = {f"host-{number:02}": recording.rotated(number * ticks // hosts) for number in range(hosts)}
    peers: list[Callable[[dict[str, Recording], Path], Awaitable[Row]]] = [ours]
    if shutil.which("victoria-metrics"):
        peers.append(victoria)
    if not missing_influx():
        peers.append(influx)
    rows = []
    for peer in peers:
        with tempfile.TemporaryDirectory(prefix="mcisd-size-") as directory:
            rows.append(await peer(sent, Path(directory)))
    return rows


def noisy(columns: tuple[Column, ...], recording: Recording) -> tuple[int, int]:
    """How many series never changed, and how many are not whole numbers."""
    measured = [column[~np.isnan(column)] for column in recording.values.T]
    changing = [column for column in measured if (column != column[:1]).any()]
    return len(measured) - len(changing), sum(bool((column != np.rint(column)).any()) for column in changing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="how long to record (default: %(default)s)")
    parser.add_argument("--recording", type=Path, help="use this recording instead")
    parser.add_argument("--keep", type=Path, help="keep the recording here")
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    recording = load(options.recording) if options.recording else record(options.minutes)
    if options.keep:
        recording.save(options.keep)
    recording = recording.last(int(options.minutes * 30))
    samples = options.hosts * int(np.count_nonzero(~np.isnan(recording.values)))
    rows = asyncio.run(measure(recording, options.hosts))
    constant, broken = noisy(recording.columns, recording)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}")
    kinds = f"{len(recording.columns)} series ({constant} never change, {broken} are no whole numbers)"
    print(f"{recording.minutes:.1f} minutes of this host, {kinds}, {options.hosts} hosts, {samples} samples\n")
    print(f"{'':24}{'bytes':>14}{'bytes per sample':>20}{'CPU seconds':>14}")
    for name, used, cpu in rows:
        print(f"{name:24}{used:>14,.0f}{used / samples:>20.2f}{cpu:>14.1f}")
    if options.json:
        figures = {name: {"bytes": used, "bytes_per_sample": used / samples, "cpu_s": cpu} for name, used, cpu in rows}
        document = {"minutes": recording.minutes, "hosts": options.hosts, "samples": samples, "figures": figures}
        options.json.write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
