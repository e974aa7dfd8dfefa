"""The daemon's own metrics: every name declared once, here; values asked for when somebody looks.

Two readers: Prometheus, by ``/metrics`` of every process; and the installation itself, as each process sends its own
metrics as frames on the topic ``metrics`` like an agent does, so they are stored, queried and drawn like all others
(measurement ``mcisd``, one series per name, labels and process).
"""

import hashlib
import math
import os
import resource
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mcisd.aio.clock import Clock
from mcisd.bus.base import Bus
from mcisd.bus.topics import IDENTITIES, METRICS, SCHEMAS
from mcisd.model.identity import Identity
from mcisd.model.samples import COUNTER, FIRST, GAUGE, Column, Schema, pack_frame

PREFIX = "mcisd_"
MEASUREMENT = "mcisd"
OWN_NS, OWN_INFRA = "_mcisd", "daemon"
"""Namespace and MCIS that the daemon's own series bear; no user's namespace can have such a name."""
PERIOD_S = 10.0
Labels = tuple[str, ...]
Value = float | Mapping[Labels, float]
Source = Callable[[], Value]


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric: ``kind`` "c" counter or "g" gauge; ``labels`` the names of its labels."""

    kind: str
    help: str
    labels: Labels = ()


DECLARED: dict[str, Declared] = {
    "up": Declared(GAUGE, "1; absent when the process is not there"),
    "uptime_seconds": Declared(GAUGE, "seconds since the process started"),
    "process_cpu_seconds_total": Declared(COUNTER, "CPU time of the process"),
    "process_resident_bytes": Declared(GAUGE, "resident memory of the process"),
    "process_open_fds": Declared(GAUGE, "open file descriptors"),
    "service_up": Declared(GAUGE, "1 while the service runs, 0 while it is down", ("service",)),
    "service_failures_total": Declared(COUNTER, "times the service went down and was started again", ("service",)),
    "nodes": Declared(GAUGE, "living processes of the installation, by role", ("role",)),
    "leases_held": Declared(GAUGE, "pieces of work that are this process's"),
    "agent_links": Declared(GAUGE, "agents linked to this collector"),
    "agent_frames_total": Declared(COUNTER, "frames taken from agents"),
    "agent_samples_total": Declared(COUNTER, "samples in them, derived ones included"),
    "agent_frames_by_fate_total": Declared(COUNTER, "frames and links by what became of them", ("fate",)),
    "agent_moves_total": Declared(COUNTER, "agents asked to call another collector"),
    "link_news_dropped_total": Declared(COUNTER, "news of links lost because the store was away too long"),
    "write_total": Declared(COUNTER, "what went from the bus to the series store", ("what",)),
    "write_rejected_total": Declared(COUNTER, "points that the series store will not take", ("reason",)),
    "bus_lag": Declared(GAUGE, "messages that a reader of this process has before it", ("topic", "reader")),
    "bus_dropped_total": Declared(COUNTER, "messages lost to slow readers", ("topic", "reader")),
    "control_refused_total": Declared(COUNTER, "requests between processes not served for want of room"),
    "alarm_total": Declared(COUNTER, "what the alarms did with frames and changes", ("what",)),
    "alarms": Declared(GAUGE, "alarms in a phase", ("alarm_ns", "alarm_infra", "rule", "severity", "phase")),
    "calls_dropped_total": Declared(COUNTER, "rows of the call history lost because the store was away"),
    "cloud_requests_total": Declared(
        COUNTER, "requests sent to clouds, by call of the driver", ("cloud_provider", "api")
    ),
    "cloud_orphans": Declared(GAUGE, "objects at a cloud that are ours and unknown here", ("cloud_connection",)),
    "vms": Declared(GAUGE, "VMs by state", ("state",)),
    "agents": Declared(GAUGE, "agents by state", ("state",)),
    "events_relayed_total": Declared(COUNTER, "events brought from the outbox to the bus"),
}


class Telemetry(Collector):
    """Values by declared name. ``add`` what a part counts when the part is made."""

    def __init__(self) -> None:
        self._sources: dict[str, list[Source]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def add(self, name: str, source: Source) -> None:
        """A source of a declared metric: one number, or one for each combination of label values."""
        if name not in DECLARED:
            raise KeyError(f"metric {name} is not declared")
        self._sources.setdefault(name, []).append(source)

    def values(self) -> Iterator[tuple[str, Declared, dict[Labels, float]]]:
        """All metrics with a source, as they are now."""
        for name, sources in self._sources.items():
            found: dict[Labels, float] = {}
            for source in sources:
                value = source()
                found.update(value if isinstance(value, Mapping) else {(): float(value)})
            yield name, DECLARED[name], found

    def exposition(self) -> bytes:
        """What ``/metrics`` answers, in Prometheus' text format."""
        return generate_latest(self._registry)

    def flat(self) -> dict[str, float]:
        """Name with labels → value, for people: ``bus_lag{metrics,writer}``."""
        return {
            name + ("{" + ",".join(labels) + "}" if labels else ""): value
            for name, _, found in self.values()
            for labels, value in found.items()
        }

    def collect(self) -> Iterator[Metric]:
        for name, declared, found in self.values():
            family: CounterMetricFamily | GaugeMetricFamily
            if declared.kind == COUNTER:
                family = CounterMetricFamily(
                    PREFIX + name.removesuffix("_total"), declared.help, labels=declared.labels
                )
            else:
                family = GaugeMetricFamily(PREFIX + name, declared.help, labels=declared.labels)
            for labels, value in found.items():
                family.add_metric(labels, value)
            yield family


class SelfReport:
    """Sends the process's own metrics as frames, every ten seconds."""

    def __init__(self, telemetry: Telemetry, bus: Bus, clock: Clock, node: str, window_ms: int = 10_000) -> None:
        self._telemetry = telemetry
        self._bus = bus
        self._clock = clock
        self._vm = "node-" + hashlib.blake2b(node.encode(), digest_size=5).hexdigest()
        self._identity = Identity(vm=self._vm, host=node, ns=OWN_NS, infra=OWN_INFRA)
        self._schema = b""
        self._window_ms = window_ms
        self._window = -1

    async def run(self) -> None:
        """Report for ever."""
        await self._bus.publish(IDENTITIES.name, self._vm, self._identity.to_json().encode())
        while True:
            await self._clock.sleep(PERIOD_S - self._clock.now() % PERIOD_S)
            await self._report()

    async def _report(self) -> None:
        columns: list[Column] = []
        values: list[float] = []
        for name, declared, found in self._telemetry.values():
            for labels, value in sorted(found.items()):
                tags = tuple(sorted(zip(declared.labels, labels, strict=True)))
                columns.append(Column(MEASUREMENT, name, tags, declared.kind))
                values.append(value)
        schema = Schema.of(tuple(columns))
        if schema.key != self._schema:
            await self._bus.publish(SCHEMAS.name, schema.key.hex(), schema.to_json().encode())
            self._schema = schema.key
        now_ms = int(self._clock.now() * 1000)
        begun, self._window = self._window, now_ms // self._window_ms
        flags = FIRST if begun != self._window else 0
        frame = pack_frame(self._vm, schema.key, now_ms, now_ms, flags, struct.pack(f"<{len(values)}d", *values))
        await self._bus.publish(METRICS.name, self._vm, frame)


def add_process(telemetry: Telemetry, clock: Clock) -> None:
    """What every process tells of itself."""
    begun = clock.monotonic()
    telemetry.add("up", lambda: 1.0)
    telemetry.add("uptime_seconds", lambda: clock.monotonic() - begun)
    telemetry.add("process_cpu_seconds_total", lambda: sum(os.times()[:2]))
    telemetry.add("process_resident_bytes", resident_bytes)
    telemetry.add("process_open_fds", open_files)


def resident_bytes() -> float:
    """Resident memory now; NaN where the system does not tell."""
    try:
        return float(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return math.nan


def open_files() -> float:
    """Open descriptors now; NaN where the system does not tell."""
    try:
        return float(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    except OSError:
        return math.nan
