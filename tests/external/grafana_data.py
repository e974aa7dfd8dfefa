"""An installation's samples, for dashboards to draw: VMs of two clouds and two processes, in the three buckets.

The columns are those of the real probes (on files of a real kernel) with the collectors' rates, and those that the
daemon's own report sends; frames become windows as they do in a writer, and the real store writes them. The values are
made up.
"""

import asyncio
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mcisd.agent.gather import Gatherer
from mcisd.agent.probes.base import ProcFiles
from mcisd.agent.probes.own import Stats
from mcisd.agent.scope import probes
from mcisd.aio.clock import ManualClock
from mcisd.bus.memory import MemoryBus
from mcisd.collectors.rates import RatedSchema, Rates
from mcisd.collectors.windows import FrameWindow, summarise
from mcisd.daemon.telemetry import DECLARED, OWN_INFRA, OWN_NS, Labels, SelfReport, Telemetry
from mcisd.daemon.windowsink import WindowSink
from mcisd.model import wire
from mcisd.model.identity import Identity
from mcisd.model.samples import COUNTER, FRAME_HEAD, Schema, pack_frame
from mcisd.store.series.influx.store import InfluxSeriesStore

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "agent" / "linux-6.8"
PROCESSES = ("collector-1", "controller-1")
VMS = {
    "vm-web1": Identity("vm-web1", "web-1", "shop", "front", "aws", "eu-west-1", "aws-west"),
    "vm-web2": Identity("vm-web2", "web-2", "shop", "front", "gcp", "europe-west4", "gcp-west"),
    "vm-gone": Identity("vm-gone", "web-3", "shop", "front", "gcp", "europe-west4", "gcp-west"),
}
SILENT = "vm-gone"
LABELS = {
    "service": ("receiver", "writer"),
    "role": ("collector", "controller"),
    "fate": ("frames", "refused"),
    "what": ("frames", "failures"),
    "reason": ("older than the bucket keeps",),
    "topic": ("metrics",),
    "reader": ("writer", "alarms"),
    "rule": ("cpu high", "disk full"),
    "severity": ("critical", "warning", "info"),
    "phase": ("firing", "pending"),
    "state": ("Running", "Failed", "Undefined", "up", "silent", "failed"),
}
"""Values of labels; others get one of their own name."""


@dataclass(frozen=True, slots=True)
class Frames:
    """One VM's or process's columns, and its values at tick ``n``."""

    schema: Schema
    base: list[float]
    wander: float = 0.01

    def at(self, tick: int) -> bytes:
        """Gauges wander a little, counters grow by their first value at each tick."""
        values = np.array(self.base)
        values[~np.isfinite(values)] = 7.0
        growth = np.array([column.kind == COUNTER for column in self.schema.columns])
        return (
            np.where(growth, 1000.0 + values * (1 + tick), values * (1 + self.wander * (tick % 7)))
            .astype("<f8")
            .tobytes()
        )


def measured() -> Frames:
    """What an agent on a real machine measures."""
    stats = Stats()
    files = ProcFiles(f"{GOLDEN}/")
    gatherer = Gatherer(files, probes({}, files, stats), stats)
    values = gatherer.gather(1.0, True)
    files.close()
    ((_, payload),) = wire.take(bytearray(gatherer.schema.message))
    return Frames(Schema.from_json(json.dumps(wire.unpack_json(payload)["columns"])), values)


async def reported(process: str) -> Frames:
    """What a process of the daemon tells of itself, with a value for every metric that is declared."""
    bus, clock, telemetry = MemoryBus(), ManualClock(), Telemetry()
    for name, declared in DECLARED.items():
        every = [LABELS.get(label, (label,)) for label in declared.labels]
        telemetry.add(name, partial(dict[Labels, float], [(labels, 1.0) for labels in itertools.product(*every)]))
    schemas, frames = bus.follow("schemas", "t", from_start=True), bus.follow("metrics", "t", from_start=True)
    running = asyncio.ensure_future(SelfReport(telemetry, bus, clock, process).run())
    await clock.advance(15.0)
    (schema,), (frame,) = await schemas.fetch(), await frames.fetch()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await bus.close()
    return Frames(Schema.from_json(schema.value), np.frombuffer(frame.value[FRAME_HEAD.size :], "<f8").tolist(), 0.0)


async def fill(store: InfluxSeriesStore, starts_s: Iterable[int], width_s: int, silent_from_s: int) -> None:
    """Write windows that begin then, of all VMs and processes; those of the silent VM only up to ``silent_from_s``."""
    starts = list(starts_s)
    agent = measured()
    for vm in VMS:
        until = silent_from_s if vm == SILENT else starts[-1] + 1
        await _write(store, vm, agent, [start for start in starts if start < until], width_s)
    for process in PROCESSES:
        name = f"node-{process}"[:16]
        await _write(store, name, await reported(process), starts, width_s, Identity(name, process, OWN_NS, OWN_INFRA))


async def _write(
    store: InfluxSeriesStore,
    vm: str,
    frames: Frames,
    starts: Sequence[int],
    width_s: int,
    identity: Identity | None = None,
) -> None:
    """Three frames a window; the rates of an agent's counters are the collectors'."""
    rated = RatedSchema(frames.schema) if identity is None else None
    schema = rated.full if rated else frames.schema
    rates, windows = Rates(2_000), []
    for start in starts:
        found = []
        for offset in (1, 3, 5):
            time_ms = (start + offset) * 1000
            values = frames.at((start + offset - starts[0]) // 2)
            if rated:
                values = rates.extend(rated, time_ms, values)
            found.append(pack_frame(vm, schema.key, time_ms, time_ms, 0, values))
        windows.append(FrameWindow(vm, start * 1000, schema.key, found))
    blocks = list(summarise(windows, {schema.key: schema}, width_s * 1000))
    await WindowSink(store).write(blocks, {vm: identity or VMS[vm]})
