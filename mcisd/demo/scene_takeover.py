"""A scene at scale only: one process of each role is killed while everything runs; the others take over."""

import asyncio
import itertools
import time

from mcisd.client.transport import Json
from mcisd.demo.scaled import ScaledDaemon
from mcisd.demo.show import Show, until
from mcisd.demo.telling import expect
from mcisd.demo.world import INFRA, NS

WINDOW = 10.0
VICTIMS = ("collector-1", "writer-1", "alarms-1", "controller-1")


async def take_over(show: Show, daemon: ScaledDaemon) -> None:
    """``kill -9`` of one collector, writer, alarms and controller; agents move, samples are stored, nothing is lost."""
    with show.tell.step("kill-roles", "kill -9 of one process of each role") as step:
        before = {node["name"]: node["links"] for node in await _nodes(show)}
        expect(set(VICTIMS) <= before.keys(), "every process to be known", sorted(before))
        await asyncio.gather(*(daemon.processes[name].kill() for name in VICTIMS))
        killed = time.time()
        step.text = f"kill -9 of {', '.join(VICTIMS)} ({before['collector-1']} agents were with collector-1)"
    with show.tell.step("agents-moved", "all agents report to the other collector") as step:
        count = await show.until_reporting(killed, 60.0)
        step.text = f"all {count} agents report to the other collector"
    with show.tell.step("stored-on", "the other writer stores on, from the first window that was not stored"):
        await until(lambda: _stored_without_gap(show, killed), "a stored window after the kill, none missing", 90.0)
    with show.tell.step("roles-again", "the four started again; work is divided anew"):
        await daemon.start_all(VICTIMS)

        async def back() -> tuple[bool, object]:
            links = {node["name"]: node["links"] for node in await _nodes(show)}
            return set(VICTIMS) <= links.keys() and links["collector-1"] > 0, links

        await until(back, "the processes known again, and agents at collector-1", 60.0)


async def _nodes(show: Show) -> list[Json]:
    found: list[Json] = (await show.client.system())["nodes"]
    return found


async def _stored_without_gap(show: Show, killed: float) -> tuple[bool, object]:
    """Every VM has each window from that of the kill on, up to one well after it. (One was replaced just before: its
    first window may be later.)"""
    start = killed - killed % WINDOW
    found = await show.client.monitoring(
        NS, INFRA, measurement="cpu", fields="usage_active", start=start, end=time.time(), step=WINDOW,
        statistic="count", **{"tag.cpu": "cpu-total"},
    )  # fmt: skip
    missing: list[str] = []
    for series in found["series"]:
        times = series["times"]
        gaps = [f"{b - a:.0f} s" for a, b in itertools.pairwise(times) if b - a > 1.5 * WINDOW]
        if times[-1] < start + 2 * WINDOW or gaps:
            missing.append(f"{series['vm']}: {gaps or 'nothing newer'}")
    return not missing and bool(found["series"]), missing[:3]
