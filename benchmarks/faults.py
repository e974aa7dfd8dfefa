"""The fault table: what goes wrong, how many samples were produced and stored, and how many alarms were told.

Every story runs on real engines, each with its own; the load is simulated agents whose every frame is known.

    python -m benchmarks.faults [--kills 100] [--agents 100] [--seed 1] [--only kills,outages,…]
"""

import argparse
import asyncio
import os
import platform
import signal
import sys
import time
from collections.abc import Awaitable, Callable

from tests.scenarios.faults import tell
from tests.scenarios.faults.table import Outcome, lines


def stories(kills: int, agents: int, seed: int) -> dict[str, Callable[[], Awaitable[Outcome]]]:
    """Name → story, in the order of telling."""
    return {
        "kills": lambda: tell.kills(kills, agents, seed),
        "outages": lambda: tell.outages(agents=agents),
        "spool": tell.full_spool,
        "writers": tell.slow_consumer,
        "sleeper": tell.sleeper,
        "network": tell.broken_network,
        "brokers": tell.lost_leaders,
        "drain": tell.drained,
    }


async def run(chosen: dict[str, Callable[[], Awaitable[Outcome]]]) -> list[Outcome]:
    return [await story() for story in chosen.values()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="0: a new one, which is printed")
    parser.add_argument("--only", default="", help="names, with commas between")
    options = parser.parse_args()
    known = stories(options.kills, options.agents, options.seed)
    names = [name for name in options.only.split(",") if name] or list(known)
    if strange := [name for name in names if name not in known]:
        parser.error(f"--only {strange[0]}: known are {', '.join(known)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends us, what we started ends first
    began = time.monotonic()
    outcomes = asyncio.run(run({name: known[name] for name in names}))
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip
    print("\n".join(lines(outcomes)))
    for outcome in outcomes:
        for words in outcome.words:
            print(f"{outcome.name}: {words}")
    return 0 if all(outcome.agrees for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
