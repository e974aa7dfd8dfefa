"""Telling a story: its size and its faults in, the settled accounts out. Tests and the benchmark tell the same ones."""

from collections.abc import Awaitable, Callable

from tests.scenarios.faults import stories
from tests.scenarios.faults.lab import Lab, Size, open_lab
from tests.scenarios.faults.network import cable
from tests.scenarios.faults.processes import ALL, FEW
from tests.scenarios.faults.table import Outcome

TWO_WRITERS = FEW | {"writer-2": "writer"}
PATIENCE_S = 120.0


async def told(name: str, size: Size, story: Callable[[Lab], Awaitable[None]]) -> Outcome:
    """Open a laboratory, tell the story, settle the accounts. Logs are kept if they do not agree."""
    print(f"\n{name}", flush=True)
    async with open_lab(size) as lab:
        await story(lab)
        outcome = Outcome(name, await lab.settle(PATIENCE_S), await lab.alarms(30.0))
        lab.keep = not outcome.agrees
        return outcome


async def kills(count: int, agents: int = 100, seed: int = 0) -> Outcome:
    """All roles killed again and again."""
    size = Size(agents=agents, processes=ALL, seed=seed)
    return await told(f"{count} x kill -9 of any role", size, lambda lab: stories.kills(lab, count))


async def outages(seconds: float = stories.OUTAGE_S, agents: int = 100) -> Outcome:
    """Each engine away."""
    size = Size(agents=agents, processes=ALL)
    name = f"Kafka, InfluxDB away {seconds:g} s, PostgreSQL killed"
    return await told(name, size, lambda lab: stories.outages(lab, seconds))


async def long_story(count: int = 20, agents: int = 100, seed: int = 0) -> Outcome:
    """Kills, then outages, in one installation under one load."""

    async def both(lab: Lab) -> None:
        await stories.kills(lab, count)
        await stories.outages(lab)

    size = Size(agents=agents, processes=ALL, seed=seed)
    return await told(f"{count} x kill -9, then each engine away", size, both)


async def full_spool() -> Outcome:
    """The disk of the agents' spools is too small for the outage."""
    size = Size(agents=50, interval_s=0.2, spool_max_bytes=128 << 10, spool_disk_bytes=1_300_000)
    return await told("disk of the spool full", size, stories.full_spool)


async def slow_consumer() -> Outcome:
    """Nobody writes for a while."""
    size, names = Size(processes=TWO_WRITERS), ["writer-1", "writer-2"]
    return await told("all writers stand still", size, lambda lab: stories.standstill(lab, names))


async def sleeper() -> Outcome:
    """One of two writers sleeps; the other takes over; the first wakes and does not know it yet."""
    size = Size(processes=TWO_WRITERS)
    return await told("3 x one of two writers stands still", size, stories.sleepers)


async def broken_network() -> Outcome:
    """Cut and half open. After the short faults everybody is back within 40 s (30 s of patience, a try of 10 s that may
    fall into the cut), or some seconds later on a busy machine, so only in the long cut all VMs are silent for longer
    than the rule allows."""
    async with cable() as line:
        size = Size(host=line.host, prefix=line.prefix, no_data_s=70.0, silent=1)
        return await told("network cut and half open", size, lambda lab: stories.broken_network(lab, line))


async def lost_leaders() -> Outcome:
    """Three brokers, leaders killed."""
    return await told("leader of three brokers killed", Size(brokers=3), stories.lost_leaders)


async def drained() -> Outcome:
    """Collectors that are asked to end: nobody is silent for ten seconds."""
    return await told("collectors drained", Size(no_data_s=10.0), stories.drained)
