"""Samples per CPU-second from the socket to the store port, and the memory of a link.

One process receives, aggregates and writes (the one that is measured); another plays the agents over TLS on loopback
and sends as fast as it is let. The store counts and drops, unless ``--duckdb`` asks for the real one: then the figure
includes packing all hours at the end.

    python -m benchmarks.sample_path [--links 20] [--frames 1500] [--rounds 3] [--duckdb]
"""

import argparse
import array
import asyncio
import contextlib
import os
import platform
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mcisd.aio.clock import SystemClock
from mcisd.aio.loop import run_async
from mcisd.aio.supervise import Service
from mcisd.bus.memory import MemoryBus
from mcisd.collectors.aggregate import Aggregator
from mcisd.collectors.ports import WindowStore
from mcisd.collectors.receive import Receiver
from mcisd.collectors.schemas import SchemaBook
from mcisd.collectors.tls import SERVER_NAME, LinkCertificates
from mcisd.collectors.windows import WindowBlock
from mcisd.collectors.writer import Writer
from mcisd.model import wire
from mcisd.model.identity import NOBODY, Identity
from mcisd.store.series import base as series
from mcisd.store.series.duck import DuckSeriesStore

GAUGES, COUNTERS = 60, 40


class CountingStore:
    """Adds up the counts of the first column and passes the windows on, where there is a store."""

    def __init__(self, store: DuckSeriesStore | None) -> None:
        self.frames = 0
        self._store = store

    async def write(self, blocks: list[WindowBlock], identities: Mapping[str, Identity] = NOBODY) -> int:
        self.frames += sum(int(block.count[:, 0].sum()) for block in blocks)
        if self._store is None:
            return 0
        return await self._store.write(
            [
                series.WindowBlock(b.columns, b.width_ms, b.vms, b.starts_ms, b.avg, b.min, b.max, b.last, b.count)
                for b in blocks
            ],
            identities,
        )


def stream(frames: int) -> bytes:
    """What one agent sends after WELCOME: its schema and frames of the past, two seconds apart."""
    columns = [["m", f"g{i}", {}, "g"] for i in range(GAUGES)] + [["m", f"c{i}", {}, "c"] for i in range(COUNTERS)]
    parts = [wire.pack_json(wire.SCHEMA, {"id": 1, "columns": columns})]
    start = int(time.time() * 1000) - 2_000 * frames - 20_000
    rng = np.random.default_rng(1)
    for seq in range(1, frames + 1):
        values = np.concatenate([rng.random(GAUGES) * 100, np.full(COUNTERS, seq * 1e4)])
        parts.append(wire.pack_frame(1, seq, start + 2_000 * seq, wire.REPLAYED, array.array("d", values.tobytes())))
    return b"".join([*parts, wire.pack_json(wire.BYE, {})])


def play_agent(port: int, ca: str, vm: str, body: bytes) -> None:
    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection(("127.0.0.1", port), 30) as raw,
        context.wrap_socket(raw, server_hostname=SERVER_NAME) as link,
    ):
        now = int(time.time() * 1000)
        hello: dict[str, object] = {"protocol": wire.PROTOCOL, "vm": vm, "token": "t", "link": 0, "time_ms": now}
        link.sendall(wire.pack_json(wire.HELLO, hello))
        link.recv(4096)
        sys.stdin.readline()  # go
        link.settimeout(300)
        link.sendall(body)
        with contextlib.suppress(OSError):  # until the receiver has taken everything and closes
            while link.recv(65536):
                pass


def play(port: int, ca: str, links: int, frames: int) -> None:
    body = stream(frames)
    threads = [threading.Thread(target=play_agent, args=(port, ca, f"vm-{i}", body)) for i in range(links)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def rss_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def let_in(vm: str, _: str) -> Identity | str:
    return Identity(vm, f"host-{vm}", "ns", "bench")


async def pack(store: DuckSeriesStore) -> None:
    """Have the store pack all hours, as it does once an hour is over. It is part of what a sample costs."""
    later = int(time.time() * 1000) + 2 * 3_600_000
    if await store.compact(later) + await store.compact(later) == 0:  # the first call waits for hours to come to rest
        raise SystemExit("nothing was packed")


async def measure(directory: Path, links: int, frames: int, duckdb: bool) -> tuple[float, float, float]:
    """``(samples per CPU-second, samples per second, KiB per link)`` of one round."""
    clock, bus = SystemClock(), MemoryBus()
    certificates = LinkCertificates(directory, clock)
    certificates.ensure()
    real = await DuckSeriesStore.open(directory / f"{time.time_ns()}.duckdb") if duckdb else None
    store = CountingStore(real)
    port_store: WindowStore = store
    schemas = SchemaBook(bus, "writer")
    writer = Writer(store=port_store, schemas=schemas.known, clock=clock)
    aggregator = Aggregator(bus=bus, writer=writer, clock=clock)
    receiver = Receiver(
        bus=bus,
        authenticate=let_in,
        clock=clock,
        on_link=lambda kind, vm, data: None,
        ssl_context=certificates.server_context(),
    )
    aggregator.join()
    bodies = {"schemas": schemas.run, "writer": writer.run, "aggregator": aggregator.run}
    services = [Service(name, body, clock) for name, body in bodies.items()]
    for service in services:
        service.start()
    port = await receiver.start("127.0.0.1", 0)
    before = rss_kib()
    command = [sys.executable, "-m", "benchmarks.sample_path", "--play", str(port), "--ca", str(directory / "ca.pem")]
    command += ["--links", str(links), "--frames", str(frames)]
    agents = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    while len(receiver.connected()) < links:
        await asyncio.sleep(0.05)
    per_link = (rss_kib() - before) / links
    cpu, wall = time.process_time(), time.perf_counter()
    await agents.communicate(b"\n" * links)
    while receiver.stats.frames < links * frames:
        await asyncio.sleep(0.02)
    await aggregator.drain()
    if real is not None:
        await pack(real)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    samples = receiver.stats.samples
    if store.frames < links * frames:
        raise SystemExit(f"lost frames: {store.frames} of {links * frames} stored")
    for service in services:
        await service.stop()
    await receiver.stop()
    await bus.close()
    if real is not None:
        await real.close()
    return samples / cpu, samples / wall, per_link


def report(rows: dict[str, list[float]]) -> None:
    print(f"{'':32}{'min':>14}{'median':>14}{'max':>14}")
    for name, values in rows.items():
        print(f"{name:32}{min(values):>14,.0f}{statistics.median(values):>14,.0f}{max(values):>14,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=20)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duckdb", action="store_true")
    parser.add_argument("--play", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ca", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        play(options.play, options.ca, options.links, options.frames)
        return
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        rounds = [
            run_async(measure(place, options.links, options.frames, options.duckdb)) for _ in range(options.rounds)
        ]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}")
    print(f"{options.links} links, {options.frames} frames each of {GAUGES} gauges and {COUNTERS} counters (and rates)")
    names = ("samples per CPU-second", "samples per second", "KiB of memory per link")
    report({name: [values[i] for values in rounds] for i, name in enumerate(names)})


if __name__ == "__main__":
    main()
