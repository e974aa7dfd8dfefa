"""From a change on a host to the delivered message: ours, embedded and through Kafka, beside Prometheus + Alertmanager.

A value goes over its threshold and back at random moments; a webhook on this machine notes when it is told. Ours: the
agent measures every 2 s (a random wait stands for its phase), the frame goes over TLS to the real daemon, the rule has
no time to hold, other agents send at the same time. "From arrival" counts from when the frame was given to the kernel
on the way to the collector. Prometheus scrapes an exporter of ours every 2 s, evaluates every 2 s, Alertmanager waits
for nothing (0 s); there "from arrival" counts from the scrape that had the new value. When in these 2 s it evaluates
follows from names and ports, so the changes are shared out over several pairs of servers.

    python -m benchmarks.alarm_latency [--changes 100] [--agents 100] [--only embedded,kafka,prometheus] [--json FILE]
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.kit.hook import Hook
from benchmarks.kit.load import Load, agents
from benchmarks.kit.measure import lacking, machine, percentile, save
from benchmarks.kit.prom import Exporter, Pair
from benchmarks.kit.world import World, rule_of, world

PERIOD_S = 2.0
HIGH, LOW, THRESHOLD = 1000.0, 1.0, 200.0
PATIENCE_S = 30.0
PAIRS = 5
ROLES = {"collector": "collector", "alarms": "alarms", "writer": "writer"}
Delays = dict[str, list[float]]
"""Seconds, one a change."""


@asynccontextmanager
async def hooked() -> AsyncIterator[Hook]:
    hook = Hook()
    await hook.start()
    try:
        yield hook
    finally:
        await hook.close()


async def ours(changes: int, others: int, roles: dict[str, str] | None) -> Delays:
    """One agent's value changes; ``others`` send beside it."""
    async with hooked() as hook, world(roles) as place:
        await place.tell(1 + others, [rule_of("system", "load1", THRESHOLD)], f"json://127.0.0.1:{hook.port}/hook")
        one, more = place.vms[:1], place.vms[1:]
        async with _linked(place, one) as changing, _linked(place, more) as busy:
            crowd = asyncio.create_task(busy.tell("live", 3 + changes * (PERIOD_S + 0.5)))
            await changing.tell("live", 5)
            delays: Delays = {"from arrival": [], "from the change": []}
            sent: list[float] = []
            for number in range(changes):
                changed = time.time()
                await asyncio.sleep(random.uniform(0, PERIOD_S))
                at = (await changing.tell("set", 0, LOW if number % 2 else HIGH))["at"]
                told, _ = await hook.next(PATIENCE_S)
                sent.append(at)
                delays["from arrival"].append(told - at)
                delays["from the change"].append(told - changed)
            crowd.cancel()
            made = [message.created_at for message in await place.messages()]
            delays["of this, until judged"] = [then - at for then, at in zip(made, sent, strict=True)]
            return delays


@asynccontextmanager
async def _linked(place: World, vms: list[tuple[str, str]]) -> AsyncIterator[Load]:
    async with agents(place.collectors, place.ca, vms) as load:
        await load.tell("link")
        await load.tell("done")
        yield load


async def prometheus(changes: int) -> Delays:
    """Several pairs one after the other, each with its share of the changes."""
    found: Delays = {}
    for _ in range(pairs := min(PAIRS, max(1, changes // 10))):
        for kind, values in (await _pair(changes // pairs)).items():
            found.setdefault(kind, []).extend(values)
    return found


async def _pair(changes: int) -> Delays:
    """A pair, and an exporter in this process."""
    exporter = Exporter()
    await exporter.start()
    with tempfile.TemporaryDirectory(prefix="mcisd-prom-") as folder:
        async with hooked() as hook:
            pair = Pair(Path(folder), exporter.port, f"http://127.0.0.1:{hook.port}/hook", PERIOD_S)
            await pair.start()
            try:
                await asyncio.sleep(3 * PERIOD_S)
                return await _changes(changes, exporter, hook)
            finally:
                await pair.stop()
                await exporter.close()


async def _changes(changes: int, exporter: Exporter, hook: Hook) -> Delays:
    delays: Delays = {"from arrival": [], "from the change": []}
    for number in range(changes):
        await asyncio.sleep(random.uniform(0, PERIOD_S))
        changed = time.time()
        exporter.change(LOW if number % 2 else HIGH)
        told, _ = await hook.next(PATIENCE_S)
        delays["from arrival"].append(told - exporter.fetched_at)
        delays["from the change"].append(told - changed)
    return delays


def report(found: dict[str, Delays]) -> None:
    print(f"\n{'seconds':44}{'min':>9}{'p50':>9}{'p99':>9}{'max':>9}")
    for name, delays in found.items():
        for kind, values in delays.items():
            cells = (min(values), percentile(values, 50), percentile(values, 99), max(values))
            print(f"{name + ', ' + kind:44}" + "".join(f"{value:9.3f}" for value in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--agents", type=int, default=100, help="that send beside the one that changes")
    parser.add_argument("--only", default="embedded,kafka,prometheus")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="10 changes, without Kafka")
    options = parser.parse_args()
    if options.quick:
        options.changes, options.agents, options.only = 10, 10, "embedded,prometheus"
    ways: dict[str, Callable[[], Coroutine[None, None, Delays]]] = {
        "embedded": lambda: ours(options.changes, options.agents, None),
        "kafka": lambda: ours(options.changes, options.agents, ROLES),
        "prometheus": lambda: prometheus(options.changes),
    }
    if lacks := lacking("prometheus", "prometheus-alertmanager"):
        print(f"left out: Prometheus, as {' and '.join(lacks)} (Debian packages) are missing")
        del ways["prometheus"]
    print(machine())
    found = {name: asyncio.run(way()) for name, way in ways.items() if name in options.only.split(",")}
    print(f"{options.changes} changes, half of them back below the threshold; {options.agents} other agents")
    report(found)
    save(options.json, {"seconds": found})


if __name__ == "__main__":
    main()
