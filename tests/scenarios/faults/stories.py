"""The stories: what goes wrong, and when. In: a laboratory under load. Out: all parts run again.

Each leaves the alarm condition over; whoever tells it then settles the accounts.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

from mcisd.demo.engines_process import run_once
from tests.scenarios.faults.lab import Lab
from tests.scenarios.faults.network import Cable

ROLES = ("collector", "writer", "alarms", "controller", "api")
OUTAGE_S = 60.0
CALM_S = 8.0
ORDERLY_S = 20.0
STANDSTILL_S = 30.0
SLEEP_S = 25.0  # more than the group waits for a member, and than the other takes to write the window whole
WINDOW_S, MID_WINDOW_S = 10.0, 6.0


async def kills(lab: Lab, count: int) -> None:
    """``kill -9`` of one process after the other, every role as often; started again after up to five seconds. The
    alarm condition begins and ends all the while."""
    roles = [ROLES[number % len(ROLES)] for number in range(count)]
    lab.random.shuffle(roles)
    for number, role in enumerate(roles):
        if number % 5 == 0:
            await lab.command("lower" if number // 5 % 2 else "raise")
        await asyncio.sleep(lab.random.uniform(0.5, 3.0))
        names = [name for name, of in lab.daemon.roles.items() if role in of.split(",")]
        victim = lab.random.choice(names)
        pause = lab.random.uniform(0.0, 5.0)
        lab.say(f"kill -9 of {victim} ({number + 1} of {count}), started again after {pause:.1f} s")
        await lab.daemon.processes[victim].kill()
        await asyncio.sleep(pause)
        await lab.daemon.start_all([victim])
    await lab.command("lower")
    await asyncio.sleep(CALM_S)


async def outages(lab: Lab, seconds: float = OUTAGE_S) -> None:
    """Kafka away, InfluxDB away, PostgreSQL killed and started; the alarm condition begins before each and ends
    after it."""
    kafka, influx, postgres = lab.daemon.lab_engines.all
    for name, stop, start in (
        ("Kafka", kafka.stop, kafka.start_again),
        ("InfluxDB", influx.stop, influx.start_again),
    ):
        await lab.command("raise")
        await asyncio.sleep(CALM_S)
        lab.say(f"{name} stopped for {seconds:g} s")
        await stop()
        await asyncio.sleep(seconds)
        await start()
        lab.say(f"{name} runs again")
        await asyncio.sleep(CALM_S)
        await lab.command("lower")
        await asyncio.sleep(CALM_S)
    await lab.command("raise")
    await asyncio.sleep(CALM_S)
    await postgres.stop(kill=True)
    lab.say("PostgreSQL killed, started again at once")
    await postgres.start_again()
    await asyncio.sleep(CALM_S)
    await lab.command("lower")
    await asyncio.sleep(CALM_S)


async def standstill(lab: Lab, names: list[str]) -> None:
    """These processes stand still for longer than their work is kept for them, then go on where they stopped."""
    await lab.command("raise")
    await asyncio.sleep(CALM_S)
    lab.say(f"{' and '.join(names)} stand still for {STANDSTILL_S:g} s")
    for name in names:
        lab.daemon.processes[name].send(signal.SIGSTOP)
    await asyncio.sleep(STANDSTILL_S)
    for name in names:
        lab.daemon.processes[name].send(signal.SIGCONT)
    lab.say("they go on")
    await asyncio.sleep(CALM_S)
    await lab.command("lower")
    await asyncio.sleep(CALM_S)


async def sleepers(lab: Lab, rounds: int = 3) -> None:
    """One of two writers after the other is stopped in the middle of a window and wakes when its partitions have long
    been another's: what it has in hand then is a part of what is stored."""
    await lab.command("raise")
    for number in range(rounds):
        name = f"writer-{number % 2 + 1}"
        await asyncio.sleep((MID_WINDOW_S - time.time()) % WINDOW_S)
        lab.say(f"{name} stands still for {SLEEP_S:g} s, from the middle of a window on")
        lab.daemon.processes[name].send(signal.SIGSTOP)
        await asyncio.sleep(SLEEP_S)
        lab.daemon.processes[name].send(signal.SIGCONT)
        lab.say("it wakes")
        await asyncio.sleep(CALM_S)
    await lab.command("lower")
    await asyncio.sleep(CALM_S)


async def full_spool(lab: Lab, seconds: float = 45.0) -> None:
    """No collector for so long that the agents' disk is full; the oldest frames go, and are counted."""
    names = [name for name, role in lab.daemon.roles.items() if "collector" in role]
    await asyncio.sleep(CALM_S)
    lab.say(f"all collectors killed for {seconds:g} s")
    for name in names:
        await lab.daemon.processes[name].kill()
    await asyncio.sleep(seconds)
    lab.say(f"disk of the spools: {await run_once('df', ['df', '--output=used,avail', str(lab.spools)])!r}")
    await lab.daemon.start_all(names)
    await lab.until_linked(60.0)
    lab.say(f"linked again; dropped {sum(int(str(one['dropped'])) for one in lab.agents())} frames")
    await asyncio.sleep(CALM_S)


async def broken_network(lab: Lab, line: Cable) -> None:
    """Cut for less and for more than agents have patience, and half open in either direction."""
    faults: tuple[tuple[str, float, Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]], ...] = (
        ("cut", 20.0, line.cut, line.mend),
        ("half open, agents deaf", 20.0, line.deafen_agents, line.cure),
        ("half open, collectors deaf", 20.0, line.deafen_collectors, line.cure),
        ("cut for long", 90.0, line.cut, line.mend),
    )
    await lab.command("raise")
    for name, seconds, begin, end in faults:
        await asyncio.sleep(CALM_S)
        lab.say(f"network {name}, {seconds:g} s")
        await begin()
        await asyncio.sleep(seconds)
        await end()
        began = time.monotonic()
        await lab.until_linked(60.0)
        lab.say(f"network well; all agents linked {time.monotonic() - began:.1f} s later")
    await asyncio.sleep(CALM_S)
    await lab.command("lower")
    await asyncio.sleep(CALM_S)


async def lost_leaders(lab: Lab) -> None:
    """Of three brokers one after the other is killed and comes back; each leads a third of the partitions."""
    kafka = lab.daemon.lab_engines.all[0]
    await lab.command("raise")
    for broker in (0, 1):
        await asyncio.sleep(CALM_S)
        lab.say(f"kill -9 of broker {broker} for 20 s")
        await kafka.stop(broker, kill=True)
        await asyncio.sleep(20.0)
        await kafka.start_again(broker)
        lab.say(f"broker {broker} runs again")
    await asyncio.sleep(CALM_S)
    await lab.command("lower")
    await asyncio.sleep(CALM_S)


async def drained(lab: Lab) -> None:
    """A collector is asked to end: its agents move to the other one; then the other way round."""
    await lab.command("raise")
    for name in ("collector-1", "collector-2"):
        await asyncio.sleep(CALM_S)
        began = time.monotonic()
        await lab.daemon.processes[name].stop()
        took = time.monotonic() - began
        assert took < ORDERLY_S, f"{name} did not end within {ORDERLY_S:g} s"
        lab.say(f"{name} ended, {took:.1f} s after it was asked")
        await lab.until_linked(30.0)
        await asyncio.sleep(CALM_S)
        await lab.daemon.start_all([name])
        lab.say(f"{name} runs again")
    await asyncio.sleep(CALM_S)
    await lab.command("lower")
    await asyncio.sleep(CALM_S)
