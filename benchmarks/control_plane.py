"""How fast the control core brings many VMs up and down, on a scripted cloud inside this process.

In: numbers of VMs and connections. Out: a table with wall and CPU time, calls per VM, memory and the longest stalls of
the event loop. Emulated: the cloud (boot takes 2 s of real time, a call 20 ms); store, gate and reconciler are real.

    python benchmarks/control_plane.py [--vms 1000] [--connections 1] [--runs 3]
"""

import argparse
import asyncio
import platform
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mcisd.aio.clock import SystemClock
from mcisd.daemon.mcis.requests import Caller
from mcisd.daemon.mcis.worker import Pace
from mcisd.drivers.mock.cloud import MockCloud
from mcisd.drivers.mock.settings import REGIONS, MockSettings, Spread
from mcisd.model.states import Action, OperationState
from tests.integration.control.harness import NS, Core, build, end, group

BOOT = 2.0
CLOUD = MockSettings(
    latency=Spread(0.02), boot=Spread(BOOT), stop=Spread(1.0), start=Spread(1.0), terminate=Spread(1.0)
)


COLUMNS = {
    "answer_s": "answer s", "calls_per_vm": "calls/VM", "lists": "lists", "stall_ms": "stall ms", "rss_mib": "RSS MiB",
}  # fmt: skip


@dataclass(slots=True)
class Figures:
    """What one phase cost."""

    phase: str
    wall_s: float
    cpu_s: float
    answer_s: float
    calls_per_vm: float
    lists: int
    stall_ms: float
    rss_mib: float


@dataclass(slots=True)
class Stalls:
    """The longest time the loop did not get round."""

    longest: float = 0.0

    async def watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            self.longest = max(self.longest, time.perf_counter() - before - 0.005)


async def phase(core: Core, name: str, vms: int, action: Action | None, connections: int) -> Figures:
    """Ask for one thing and wait until it is done."""
    before, stalls = dict(core.cloud.calls), Stalls()
    watch = asyncio.create_task(stalls.watch())
    wall, cpu = time.perf_counter(), time.process_time()
    if action is None:
        share = [group(f"g{i}", f"c{i}", vms // connections) for i in range(connections)]
        operation = await core.create("web", *share)
    else:
        operation = (await core.mcis.control(NS, "web", action, Caller())).operation
    answer = time.perf_counter() - wall
    while (row := await core.operation(operation.uid)).state is OperationState.RUNNING:
        await asyncio.sleep(0.1)
    if row.state is not OperationState.SUCCEEDED:
        raise SystemExit(f"{name} did not succeed: {row.message}")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    watch.cancel()
    made = {api: count - before.get(api, 0) for api, count in core.cloud.calls.items()}
    lists = made.get("list_vms", 0) + made.get("list_vm_status", 0)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Figures(name, wall, cpu, answer, sum(made.values()) / vms, lists, stalls.longest * 1000, rss)


async def run(vms: int, connections: int, home: Path) -> list[Figures]:
    """Create, suspend, watch for ten seconds, terminate."""
    clock = SystemClock()
    core = await build(home, MockCloud(CLOUD, clock), clock, pace=Pace())
    try:
        for i in range(connections):
            await core.connect(f"c{i}", REGIONS[i % len(REGIONS)].name)
        found = [await phase(core, "create", vms, None, connections)]
        cpu = time.process_time()
        await asyncio.sleep(10)
        found.append(Figures("idle 10 s", 10.0, time.process_time() - cpu, 0, 0, 0, 0, found[0].rss_mib))
        found.append(await phase(core, "suspend", vms, Action.SUSPEND, connections))
        found.append(await phase(core, "terminate", vms, Action.TERMINATE, connections))
        return found
    finally:
        await end(core)


def show(rows: list[list[Figures]]) -> None:
    print(f"{'phase':<12}{'wall s':>24}{'CPU s':>24}" + "".join(f"{name:>10}" for name in COLUMNS.values()))
    for column in zip(*rows, strict=True):
        wall, cpu = ([getattr(figures, name) for figures in column] for name in ("wall_s", "cpu_s"))
        worst = "".join(f"{max(getattr(figures, name) for figures in column):>10.2f}" for name in COLUMNS)
        print(f"{column[0].phase:<12}{spread(wall):>24}{spread(cpu):>24}{worst}")


def spread(values: list[float]) -> str:
    return f"{min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--vms", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory() as home:
            rows.append(asyncio.run(run(args.vms, args.connections, Path(home))))
    print(f"{platform.machine()}, Python {platform.python_version()}, {args.vms} VMs, {args.connections} connection(s)")
    print("minimum / median / maximum of", args.runs, "runs; the other columns show the worst")
    show(rows)


if __name__ == "__main__":
    main()
