"""How many agents one core of a collector carries: the real daemon against many agents' links over TLS.

Agents send a frame of 82 samples every 2 s each, phases spread; another process plays them. Two sizes: the daemon
embedded (every role in the measured process: receive, judge, summarise, store) and a collector process of its own that
publishes to Kafka (the broker's CPU is not in the figure). "Agents a core carries" is reckoned from the CPU of a frame;
memory of an idle agent is what the process grew by, divided. The storm is all agents calling at one moment, until the
last one is welcome: handshakes, the look at the token, WELCOME; agents' and daemon's CPU share the cores.

    python -m benchmarks.agents_per_core [--agents 100,1000,10000] [--seconds 30] [--sizes embedded,kafka] [--json FILE]
"""

import argparse
import asyncio
import resource
from pathlib import Path

from benchmarks.kit.load import Load, agents
from benchmarks.kit.measure import Figures, Spell, append, machine, resident_kib, save, show
from benchmarks.kit.payload import WIDTH
from benchmarks.kit.world import World, world

ROLES = {"embedded": None, "kafka": {"collector": "collector"}}
WARM_S = 4.0
REST_S = 10.0
INTERVAL_S = 2.0


async def one(size: str, count: int, seconds: float) -> dict[str, float]:
    """One round with so many agents, in a daemon of its own."""
    async with world(ROLES[size]) as place:
        await place.tell(count)
        async with agents(place.collectors, place.ca, place.vms, int(INTERVAL_S * 1000)) as load:
            return await measured(place, load, seconds)


async def measured(place: World, load: Load, seconds: float) -> dict[str, float]:
    """Storm, rest, then frames."""
    (pid,) = place.pids
    count = len(place.vms)
    before, spell = resident_kib(pid), Spell([pid])
    storm = await load.tell("link")
    storm_cpu = spell.cpu
    memory = (resident_kib(pid) - before) / count
    await load.tell("done")
    spell = Spell([pid])
    await asyncio.sleep(min(seconds, REST_S))
    idle = spell.cpu / spell.wall
    await load.tell("live", WARM_S)
    taken = await place.total("collector", "mcisd_agent_frames_total")
    spell = Spell([pid])
    live = await load.tell("live", seconds)
    cpu, wall = spell.cpu, spell.wall
    frames = await place.total("collector", "mcisd_agent_frames_total") - taken
    return {
        "CPU of a sample, ns": 1e9 * cpu / (frames * WIDTH),
        "CPU of a frame, us": 1e6 * cpu / frames,
        "CPU of a frame above idle, us": 1e6 * (cpu - idle * wall) / frames,
        "share of a core, %": 100 * cpu / wall,
        "share of a core with idle links, %": 100 * idle,
        "agents a core carries": INTERVAL_S * frames / cpu,
        "frames taken in time, % (less: overloaded)": 100 * frames / live["frames"],
        "memory of an idle agent, KiB": memory,
        "storm: last one welcome, s": storm["seconds"],
        "storm: CPU of the daemon, ms/agent": 1e3 * storm_cpu / count,
        "storm: calls that were turned away": storm["turned_away"],
        "the load itself: worst lateness, ms": live["late_ms"],
        "the load itself: share of a core, %": 100 * live["cpu"] / live["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", default="100,1000,10000")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", default="embedded,kafka")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="50 agents, embedded, a few seconds")
    options = parser.parse_args()
    if options.quick:
        options.agents, options.sizes, options.seconds, options.runs = "50", "embedded", 4.0, 1
    most = max(map(int, options.agents.split(",")))
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < most + 1_000:
        raise SystemExit(f"{most} links need as many open files; remedy: ulimit -n {most + 1_000}")
    print(machine())
    found: dict[str, object] = {}
    for size in options.sizes.split(","):
        for count in map(int, options.agents.split(",")):
            figures: Figures = {}
            for _ in range(options.runs):
                append(figures, asyncio.run(one(size, count, options.seconds)))
            show(f"{count} agents, {size}, {WIDTH} samples every {INTERVAL_S:g} s, {options.seconds:g} s", figures)
            found[f"{size} {count}"] = figures
    save(options.json, {"figures": found})


if __name__ == "__main__":
    main()
