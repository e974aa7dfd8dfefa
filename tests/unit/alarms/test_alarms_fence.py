"""Several processes judge the same frames for a while, stand still, are killed, take over: whatever the order, each
episode has one firing and one resolved message, and in the end the stored state is what the frames say.
"""

import asyncio
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mcisd.aio.clock import ManualClock
from mcisd.alarms.judge import Judge
from mcisd.alarms.ledger import Ledger
from mcisd.alarms.stages import pipeline
from mcisd.alarms.tracks import Finding
from mcisd.model.alarms import AlarmPhase, AlarmState
from tests.unit.alarms.alarms_checks import check_events, check_messages, stored
from tests.unit.alarms.alarms_kit import SCHEMA, START, frame, member, rule
from tests.unit.alarms.alarms_store import MemoryStore

VMS = ("a", "b")
MEMBERS = [member(name) for name in VMS]
RULES = {
    one.uid: one
    for one in (
        rule(uid="al-now", name="now", recovery=70.0),
        rule(uid="al-hold", name="hold", recovery=70.0, for_s=4.0),
        rule(uid="al-nod", name="silent", no_data_s=6.0),
    )
}
VALUES = (10.0, 65.0, 75.0, 85.0, 97.0)


class Shared:
    """What all processes share: the log of frames, how far it is committed, who owns it, and the store."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.store = MemoryStore()
        self.clock = ManualClock(START)
        self.log = [frame(f"vm-{rng.choice(VMS)}", START + i, rng.choice(VALUES)) for i in range(rng.randint(5, 50))]
        self.log += [frame(f"vm-{vm}", START + len(self.log) + i, rng.choice(VALUES)) for i, vm in enumerate(VMS)]
        self.committed = -1
        self.owner: Process | None = None


class Process:
    """One judge and its changes that are not written yet. Its clock may be a little off."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.skew = shared.rng.choice([-3.0, 0.0, 0.0, 3.0])
        self.judge = Judge({SCHEMA.key: SCHEMA})
        self.ledger = Ledger(shared.store, pipeline(shared.clock.now), shared.clock, lambda: None)
        self.position = 0
        self.waiting: list[tuple[Finding, int]] = []

    async def take_over(self) -> "Process":
        """The owner before does not notice."""
        async with self.shared.store.reading() as tx:
            states = await tx.find(AlarmState)
        self.position = self.shared.committed + 1
        self.judge.load(states, RULES, 0.0)
        self.note(self.judge.renew(RULES, MEMBERS, self.now, 0.0))
        self.shared.owner = self
        return self

    @property
    def now(self) -> float:
        return START + self.position + 1 + self.skew

    def note(self, findings: list[Finding], begin: int | None = None) -> None:
        """They follow from the frames from ``begin`` on."""
        self.waiting += [(finding, self.position if begin is None else begin) for finding in findings]

    def judge_some(self, most: int) -> None:
        begin = self.position
        batch = self.shared.log[begin : begin + most]
        self.position += len(batch)
        mono = float(self.position)
        # Frames are judged by the time in them; only of silence each process has its own idea.
        self.note(self.judge.frames(batch, START + 1000, mono).findings, begin)
        self.note(self.judge.overdue(self.now, mono), begin)

    async def write_some(self, most: int) -> None:
        """In one transaction; one that is not the owner any more does so, too, but its commits are refused."""
        part, self.waiting = self.waiting[:most], self.waiting[most:]
        if part:
            await self.ledger.write([finding for finding, _ in part])
        if self.shared.owner is self and self.shared.rng.random() < 0.5:
            done = self.waiting[0][1] - 1 if self.waiting else self.position - 1
            self.shared.committed = max(self.shared.committed, min(done, self.position - 1))

    async def finish(self) -> None:
        """Judge and write all, then believe the store."""
        self.judge_some(len(self.shared.log))
        while self.waiting:
            await self.write_some(3)


async def live(shared: Shared) -> None:
    rng = shared.rng
    processes = [await Process(shared).take_over()]
    for _ in range(rng.randint(10, 80)):
        chosen = rng.choice(processes)
        match rng.randint(0, 9):
            case 0 | 1 | 2 | 3:
                chosen.judge_some(rng.randint(1, 4))
            case 4 | 5 | 6 | 7:
                await chosen.write_some(rng.randint(1, 4))
            case 8:
                processes.append(await Process(shared).take_over())
            case 9 if chosen is not shared.owner:
                processes.remove(chosen)  # killed; what it had not written is lost
    last = await Process(shared).take_over()
    for process in sorted([*processes, last], key=lambda one: rng.random()):
        await process.finish()
    # The resync: what others wrote after the last owner had looked.
    rows = stored(shared.store)
    last.note(last.judge.adopt(rows.values(), last.judge.tracks.states(), frozenset(), last.now, 1e6))
    end = START + len(shared.log)
    shared.log += [frame(f"vm-{vm}", end, 75.0) for vm in VMS]
    await last.finish()


def truth(shared: Shared) -> dict[str, AlarmPhase]:
    """The states of the value rules as one process finds them that reads all frames once."""
    judge = Judge({SCHEMA.key: SCHEMA})
    judge.renew(RULES, MEMBERS, START, 0.0)
    judge.frames(shared.log, START + 1000, 0.0)
    return {uid: state.phase for uid, state in judge.tracks.states().items() if "nod" not in uid and state.since > 0}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_many_owners_tell_each_episode_once_and_agree_with_the_frames(seed: int) -> None:
    shared = Shared(Random(seed))
    asyncio.run(live(shared))
    check_messages(shared.store)
    check_events(shared.store)
    states = stored(shared.store)
    assert {uid: states[uid].phase for uid in truth(shared) if uid in states} == {
        uid: phase for uid, phase in truth(shared).items() if uid in states
    }
    assert all(states[uid].phase is AlarmPhase.OK for uid in states if "nod" in uid), "frames ended every silence"
    assert all(phase is AlarmPhase.OK for uid, phase in truth(shared).items() if uid not in states)
