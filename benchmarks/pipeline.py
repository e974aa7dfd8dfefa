"""The whole way at scale: agents over TLS, collector, Kafka, writer, InfluxDB; whose CPU it takes, and how fast it is.

Every part is real: collector and writer run in processes of their own, PostgreSQL knows the VMs. Two loads: frames of
the past as fast as they are taken (samples per second, and the CPU of our processes together beside that of broker and
InfluxDB: goal at most a quarter), and live frames every 2 s. The lag is what the writer has not committed; 10 s of it
are the window that is being filled, 2 s the time that frames may be late.
A sample is a measured value; rates that we derive are stored, too, but not counted.

    python -m benchmarks.pipeline [--vms 200] [--ticks 300] [--live 30] [--runs 3] [--json FILE] [--quick]
"""

import argparse
import asyncio
import time
from pathlib import Path

from benchmarks.kit.load import Load, agents
from benchmarks.kit.measure import Figures, Spell, append, machine, save, show
from benchmarks.kit.payload import INTERVAL_MS, WIDTH
from benchmarks.kit.world import World, world

ROLES = {"collector": "collector", "writer": "writer"}
EACH = 20
"""Frames in a TLS record of the load from the past."""
AGO_MS = 600_000
PATIENCE_S = 600.0
SETTLE_S = 5.0


class Spells:
    """CPU of all who work, since it was made."""

    def __init__(self, place: World) -> None:
        broker, influx = place.engine_pids
        pids = {name: process.pid for name, process in place.processes.items()}
        self._parts = {name: Spell([pid]) for name, pid in {**pids, "Kafka": broker, "InfluxDB": influx}.items()}

    def row(self, samples: float, seconds: float) -> dict[str, float]:
        """What they used for so many samples."""
        cpu = {name: spell.cpu for name, spell in self._parts.items()}
        ours = cpu["collector"] + cpu["writer"]
        theirs = cpu["Kafka"] + cpu["InfluxDB"]
        used = {f"CPU of a sample, ns: {name}": 1e9 * value / samples for name, value in cpu.items()}
        return {
            "samples per second": samples / seconds,
            "samples per CPU-second, ours": samples / ours,
            "samples per CPU-second, all": samples / (ours + theirs),
            "ours / (Kafka + InfluxDB)": ours / theirs,
            **used,
        }


async def bulk(place: World, load: Load, vms: int, ticks: int) -> dict[str, float]:
    """Frames of the past; done when InfluxDB has acknowledged every window of theirs."""
    now = int(time.time() * 1000)
    before = await written(place)
    spells, began = Spells(place), time.monotonic()
    await load.tell("push", ticks, now - now % 10_000 - AGO_MS - ticks * INTERVAL_MS, EACH)
    wanted = vms * ticks * INTERVAL_MS // 10_000
    while await written(place) - before < wanted:
        if time.monotonic() - began > PATIENCE_S:
            raise SystemExit(
                f"{await written(place) - before:.0f} of {wanted} windows were written in {PATIENCE_S:g} s"
            )
        await asyncio.sleep(0.5)
    seconds = time.monotonic() - began
    await asyncio.sleep(SETTLE_S)
    return spells.row(vms * ticks * WIDTH, seconds)


async def live(place: World, load: Load, seconds: float) -> dict[str, float]:
    """Frames every 2 s, and the lag looked at every second."""
    await load.tell("done")
    await load.tell("live", 4)
    spells, behind = Spells(place), [0.0]
    began = time.monotonic()
    telling = asyncio.create_task(load.tell("live", seconds))
    while not telling.done():
        await asyncio.sleep(1.0)
        behind.append(await lag(place))
    sent = (await telling)["frames"]
    row = spells.row(sent * WIDTH, time.monotonic() - began)
    return row | {"lag, s of live frames (worst)": max(behind) * seconds / sent}


async def written(place: World) -> float:
    """Windows that are in InfluxDB."""
    return await place.total("writer", 'mcisd_write_total{what="windows"}')


async def lag(place: World) -> float:
    """Frames published that the writer has not committed: those that it has not read, and those of open windows."""
    return await place.total("writer", 'mcisd_bus_lag{reader="writer",topic="metrics"}')


async def run(vms: int, ticks: int, seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    """One round with fresh engines: first live, then, with other VMs, from the past."""
    async with world(ROLES) as place:
        await place.tell(2 * vms)
        async with agents(place.collectors, place.ca, place.vms[:vms]) as load:
            await load.tell("link")
            now = await live(place, load, seconds)
        async with agents(place.collectors, place.ca, place.vms[vms:]) as load:
            await load.tell("link")
            return await bulk(place, load, vms, ticks), now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=200)
    parser.add_argument("--ticks", type=int, default=300)
    parser.add_argument("--live", type=float, default=30.0, help="seconds of live load")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="20 VMs, 30 ticks, 6 s live, once")
    options = parser.parse_args()
    if options.quick:
        options.vms, options.ticks, options.live, options.runs = 20, 30, 6.0, 1
    print(machine())
    past: Figures = {}
    now: Figures = {}
    for _ in range(options.runs):
        one, other = asyncio.run(run(options.vms, options.ticks, options.live))
        append(past, one)
        append(now, other)
    show(f"as fast as it goes: {options.vms} VMs, {options.ticks} frames of {WIDTH} samples each", past)
    show(f"live: {options.vms} VMs, a frame every {INTERVAL_MS / 1000:g} s, {options.live:g} s", now)
    save(options.json, {"bulk": past, "live": now})


if __name__ == "__main__":
    main()
