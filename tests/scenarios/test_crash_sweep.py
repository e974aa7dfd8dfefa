"""The daemon's control core killed at every point of a request, and started again on what the kill left.

A point lies before the begin, every writing statement and the commit of each transaction, after the commit, before
each call reaches its cloud and before its answer is seen. At the kill the database files are copied as they are then
(what is not committed is not in them), the old core never gets another step, and a fresh core opens the copy; the
cloud lives on. Emulated: the cloud (scripted), the speed of time, and the kill, which here ends the core and not the
process.
"""

import asyncio
import copy
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcisd.daemon.mcis.requests import Caller
from mcisd.daemon.mcis.worker import Pace
from mcisd.drivers.mock.cloud import MockCloud
from mcisd.model.records import Operation, Resource
from mcisd.model.states import Action, OperationState
from tests.integration.control.fuse import Fuse, FusedCloud, fused
from tests.integration.control.harness import (
    INSTALLATION,
    NS,
    QUICK,
    Core,
    FastClock,
    blank,
    build,
    copied,
    end,
    group,
)

Request = Callable[[Core], Awaitable[object]]
SPEED = 300.0
"""Half a minute of waiting for a lost creation is a tenth of a second."""
ABREAST = 6
"""Kills tried at the same time: a run waits more than it works."""
PACE = Pace(busy=0.01, idle=0.05)


@dataclass(frozen=True, slots=True)
class Case:
    """A request to be killed in; ``before`` is done first, undisturbed; ``goal`` is every VM's state at the end if the
    request was taken, and ``events`` what the outbox then holds, each so many times."""

    name: str
    before: tuple[Request, ...]
    request: Request
    kind: str
    goal: str
    events: dict[str, int]


async def _create(core: Core) -> object:
    return await core.create("web", group("a", "c1", 2), group("b", "c2", 2))


def _control(action: Action) -> Request:
    async def ask(core: Core) -> object:
        return await core.mcis.control(NS, "web", action, Caller())

    return ask


CASES = (
    Case("create", (), _create, "create", "Running",
         {"infra.created": 1, "vm.running": 4, "operation.started": 1, "operation.finished": 1, "vm.failed": 0}),
    Case("suspend", (_create,), _control(Action.SUSPEND), "suspend", "Suspended",
         {"vm.suspending": 4, "vm.suspended": 4, "operation.started": 2, "operation.finished": 2, "vm.failed": 0}),
    Case("terminate", (_create,), _control(Action.TERMINATE), "terminate", "Terminated",
         {"vm.terminating": 4, "vm.terminated": 4, "operation.started": 2, "operation.finished": 2, "vm.failed": 0}),
)  # fmt: skip


async def _run(case: Case, home: Path, cloud: FusedCloud, fuse: Fuse) -> None:
    """One run of the request with the fuse, until all is settled or the fuse has blown."""
    core = await build(home, cloud, cloud.clock, wrap=fused(fuse), pace=PACE)
    try:
        fuse.armed, cloud.fuse = True, fuse
        asked = asyncio.create_task(_ask(case, core))
        blown = asyncio.create_task(fuse.blown.wait())
        await asyncio.wait({asked, blown}, return_when=asyncio.FIRST_COMPLETED)
        for task in (asked, blown):
            task.cancel()
        for outcome in await asyncio.gather(asked, blown, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
    finally:
        await end(core)
        cloud.fuse = None


async def _ask(case: Case, core: Core) -> None:
    await case.request(core)
    await core.settled()


async def _again(case: Case, home: Path, cloud: MockCloud) -> bool:
    """A fresh core on what was left; True if the request had been taken."""
    core = await build(home, cloud, cloud.clock, pace=PACE)
    try:
        await core.check()
        taken = any(row.kind == case.kind for row in await core.operations())
        await _judge(case, core, taken)
    finally:
        await end(core)
    return taken


async def _judge(case: Case, core: Core, taken: bool) -> None:
    states = await core.states()
    operations: list[Operation] = await core.operations()
    resources: list[Resource] = await core.all_resources()
    alive = core.cloud.alive(INSTALLATION)
    if not taken:
        assert set(states.values()) == ({"Running"} if case.before else set())
        assert len(alive) == (4 if case.before else 0)
        return
    assert states == dict.fromkeys(("a-1", "a-2", "b-1", "b-2"), case.goal)
    assert len(alive) == (0 if case.goal == "Terminated" else 4)
    assert [row.state for row in operations] == [OperationState.SUCCEEDED] * (len(case.before) + 1)
    told = {kind: len(await core.events(kind)) for kind in case.events}
    assert told == case.events
    if case.goal != "Terminated":
        assert len(resources) == 10, "five of each connection"
        assert core.cloud.leftovers(INSTALLATION) == {"vm": 4, "network": 2, "group": 2, "key": 2}


@dataclass(frozen=True, slots=True)
class Start:
    """What every run begins with: files, and a cloud to be copied."""

    home: Path
    cloud: FusedCloud


async def _start(case: Case, home: Path) -> Start:
    """The state before the request."""
    home.mkdir()
    await blank(home)
    cloud = FusedCloud(QUICK, FastClock(SPEED))
    core = await build(home, cloud, cloud.clock, pace=PACE)
    for request in case.before:
        await request(core)
        await core.settled()
    await end(core)
    return Start(home, cloud)


async def _kill_at(case: Case, at: int, start: Start, work: Path) -> str:
    """Kill at point ``at``; where it was, or "" if the run was over before."""
    cloud = copy.deepcopy(start.cloud)
    home, after = copied(start.home, work / f"{at}"), work / f"{at}-after"
    fuse = Fuse(at, lambda: _snapshot(home, after))
    await _run(case, home, cloud, fuse)
    if not fuse.where:
        return ""
    try:
        await _again(case, after, cloud)
    except BaseException as error:
        error.add_note(f"killed at point {at} of {case.name}: {fuse.where}")
        raise
    return fuse.where


def _snapshot(home: Path, to: Path) -> None:
    copied(home, to)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_kill_at_every_point_loses_doubles_and_orphans_nothing(case: Case, tmp_path: Path) -> None:
    start = await _start(case, tmp_path / "start")
    killed: list[str] = []
    at = 1
    # Runs differ a little in how many points they have: go on until all of some runs end before their point.
    while True:
        runs = (_kill_at(case, at + n, start, tmp_path / "runs") for n in range(ABREAST))
        found = [where for where in await asyncio.gather(*runs) if where]
        killed += found
        at += ABREAST
        if not found:
            break
    assert sum("before it is sent" in where for where in killed) >= 4
    assert sum(where == "commit, before" for where in killed) >= 2
    sys.stdout.write(f"\n{case.name}: killed at {len(killed)} points, {len(set(killed))} different ones\n")
