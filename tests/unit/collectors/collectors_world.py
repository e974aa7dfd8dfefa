"""The sample path as a model to be played with: agents, receivers and a store in small, the parts between them real.

Real are the acknowledgements, the intake with its clocks, and the book of windows; the bus is a list. Agents, links and
the store are emulated as far as their promises go. On a *shared* bus (a server's) what is published is safe, and
another aggregator may take over; on the other one bus, receiver and aggregator are one process and die together.
"""

import struct
import types
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from mcisd.collectors.acks import AckBook, LinkProgress
from mcisd.collectors.book import Batch, WindowBook
from mcisd.collectors.intake import Intake
from mcisd.collectors.lane import begin
from mcisd.collectors.link import Link
from mcisd.collectors.ports import FrameSubscription, Handover, Outgoing
from mcisd.collectors.rates import RatedSchema
from mcisd.collectors.stats import ReceiveStats
from mcisd.model import wire
from mcisd.model.errors import StateError
from mcisd.model.samples import Column, Schema, frame_head, pack_frame

WIDTH = 10_000
START = 1_700_000_000_000
SILENT_MS, STALL_MS = 60_000, 30_000
LATE_MS = 100_000  # later than this nothing lands behind its link; what may happen then is in docs/delivery.md
SCHEMA = RatedSchema(Schema.of((Column("m", "f", (), "g"),)))


def content(batch: Batch | None) -> dict[tuple[str, int], list[int]]:
    """Window → numbers of its frames."""
    if batch is None:
        return {}
    return {(w.vm, w.start_ms): [frame_head(f)[2] for f in w.frames] for w in batch.windows}


@types.coroutine
def _landing() -> Generator[None, None, None]:
    """Wait until the model goes on with us."""
    yield


class ListBus:
    """One partition in a list. While ``slow``, what is published lands only when the model says so."""

    def __init__(self) -> None:
        self.log: list[tuple[float, bytes]] = []
        self.slow = False
        self.twice = False
        self.now = 0.0
        self.flying: Sequence[Outgoing] = ()

    async def publish_all(self, topic: str, messages: Sequence[Outgoing]) -> list[tuple[int, int]]:
        if self.slow:
            self.flying = messages
            await _landing()
        return self.append(messages)

    def append(self, messages: Sequence[Outgoing]) -> list[tuple[int, int]]:
        if self.twice:  # tried again after an answer that was lost
            self.log += [(self.now, value) for _, value, _ in messages]
        first = len(self.log)
        self.log += [(self.now, value) for _, value, _ in messages]
        return [(0, first + i) for i in range(len(messages))]

    async def publish(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, int]:
        return (await self.publish_all(topic, [(key, value, headers or {})]))[0]

    def subscribe(
        self,
        topic: str,
        group: str,
        *,
        durable: bool = False,
        from_start: bool = False,
        handover: Handover | None = None,
        look_back: Callable[[], float] | None = None,
        gather_s: float = 0.0,
    ) -> FrameSubscription:
        raise AssertionError("the model reads the list")

    def follow(self, topic: str, reader: str, *, from_start: bool = False, gather_s: float = 0.0) -> FrameSubscription:
        raise AssertionError("the model reads the list")

    def on_safe(self, topic: str, callback: Callable[[int, int], None]) -> Callable[[], None]:
        raise AssertionError("the model tells what is safe")


class FakeLink(Link):
    """A link without a network."""

    def __init__(self, vm: str, number: int) -> None:
        self.vm = vm
        self.number = number
        self.schemas = {1: SCHEMA}


@dataclass
class Agent:
    """Frames it has measured, and those it still keeps, in two lanes while it is linked."""

    frames: list[tuple[int, int]] = field(default_factory=list)  # (number, time)
    kept: dict[int, int] = field(default_factory=dict)
    lanes: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))  # sent on this link, live and replay
    split: int = 0
    link: FakeLink | None = None
    receiver: "Receiver | None" = None
    sent_at: int = 0
    flight: "Flight | None" = None

    def next(self, lane: int) -> tuple[int, int] | None:
        sent = self.lanes[lane][-1] if self.lanes[lane] else (0 if lane else self.split)
        return next(((s, at) for s, at in self.kept.items() if s > sent and (s <= self.split) == bool(lane)), None)

    def acked(self, progress: LinkProgress) -> None:
        for lane, cursor in zip(self.lanes, progress.lanes, strict=True):
            for seq in lane:
                if seq <= cursor.acked:
                    self.kept.pop(seq, None)


@dataclass
class Flight:
    """Frames on their way to the bus, and the receiver's work that waits for them to land."""

    work: Coroutine[None, None, None]
    messages: Sequence[Outgoing]
    agent: Agent
    link: FakeLink
    since: int


class Receiver:
    """One receiver process; it is its own clock."""

    def __init__(self, bus: ListBus, shared: bool) -> None:
        self.wall = START
        self.acks = AckBook(WIDTH)
        lane_s = SILENT_MS / 1000 if shared else 0.0
        self.intake = Intake(bus, self.acks, self, ReceiveStats(), lambda vm, skew: None, lane_s=lane_s)

    def now(self) -> float:
        return self.wall / 1000

    def monotonic(self) -> float:
        return self.wall / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the model's bus never refuses")


class World:
    """Everything, and the steps it can make."""

    def __init__(self, vms: Sequence[str], shared: bool) -> None:
        self.shared = shared
        self.agents = {vm: Agent() for vm in vms}
        self.store: dict[tuple[str, int], list[int]] = {}
        self.wall = START
        self.links = 0
        self.flights: list[Flight] = []
        self.boot()

    def boot(self) -> None:
        """Bus, receivers and aggregator begin; all links are gone."""
        self.bus = ListBus()
        self.receivers = [Receiver(self.bus, self.shared), Receiver(self.bus, self.shared)]
        self.committed = -1
        self.flights.clear()
        for agent in self.agents.values():
            agent.link = agent.flight = None
        self.take_over()

    def crash(self) -> None:
        """Of the one process; on a shared bus, of a receiver, whose frames on the way may still land."""
        if not self.shared:
            self.boot()
            return
        dead = self.receivers.pop(0)
        self.receivers.append(Receiver(self.bus, self.shared))
        for agent in self.agents.values():
            if agent.receiver is dead:
                self.cut(agent)

    def take_over(self) -> None:
        """Another aggregator goes on behind the last commit."""
        self.book = WindowBook(WIDTH, shared=self.shared)
        self.batches: list[Batch] = []
        self.read_to = self.committed + 1
        self.read_until = float(self.wall) / 1000
        for flight in self.flights:  # what lands later than a takeover is not covered; docs/delivery.md
            flight.messages = () if flight.agent.flight is not flight else flight.messages

    # --- agents

    def measure(self, vm: str, gap_ms: int) -> None:
        agent = self.agents[vm]
        self.wall += gap_ms
        seq = len(agent.frames) + 1
        agent.frames.append((seq, self.wall))
        agent.kept[seq] = self.wall

    def cut(self, agent: Agent) -> None:
        """What is on its way to a server may still land there; what waits for the bus of this process does not."""
        if agent.flight is not None and not self.shared:
            agent.flight.messages = ()
        agent.link = agent.flight = None

    def connect(self, vm: str, to: int = 0) -> None:
        agent = self.agents[vm]
        self.cut(agent)
        receiver = agent.receiver = self.receivers[to if self.shared else 0]
        self.links += 1
        link = agent.link = FakeLink(vm, self.links)
        link.progress = receiver.acks.begin(vm)
        window = self.wall // WIDTH * WIDTH
        link.lanes = begin(link.progress, 0, window, 2_000)
        agent.split = max((seq for seq, at in agent.kept.items() if at < window), default=0)
        agent.lanes = ([], [])
        agent.sent_at = self.wall
        if not agent.split:
            receiver.acks.replay_done(link.progress)

    def send(self, vm: str, lane: int, count: int, slow: bool = False, twice: bool = False) -> None:
        agent = self.agents[vm]
        if agent.link is None or self.wall - agent.sent_at > SILENT_MS:
            self.connect(vm)
        if agent.flight is not None:
            return
        payloads: list[bytes] = []
        while len(payloads) < count and (found := agent.next(lane)) is not None:
            agent.lanes[lane].append(found[0])
            flags = wire.REPLAYED if lane else 0
            payloads.append(wire.pack_frame(1, found[0], found[1], flags, [float(found[0])])[5:])
        if payloads and agent.link and agent.receiver:
            self.publish(agent, agent.link, agent.receiver, payloads, slow, twice)

    def publish(
        self, agent: Agent, link: FakeLink, receiver: Receiver, payloads: list[bytes], slow: bool, twice: bool
    ) -> None:
        self.bus.slow, self.bus.twice, self.bus.now = slow, twice, self.wall / 1000
        receiver.wall = self.wall
        work = receiver.intake.frames(link, payloads)
        try:
            work.send(None)
        except StopIteration:
            self.sent(agent, link, receiver)
            return
        except StateError:
            self.cut(agent)  # a lane paused too long
            return
        agent.flight = Flight(work, self.bus.flying, agent, link, self.wall)
        self.flights.append(agent.flight)

    def sent(self, agent: Agent, link: FakeLink, receiver: Receiver) -> None:
        agent.sent_at = self.wall
        if agent.next(1) is None:
            receiver.acks.replay_done(link.progress)

    def land(self) -> None:
        """The frames longest on their way reach the bus, whether their link still stands or not."""
        if not self.flights:
            return
        flight = self.flights.pop(0)
        self.bus.now, self.bus.twice = self.wall / 1000, False
        if flight.agent.flight is not flight:
            flight.work.close()
            if self.wall - flight.since < LATE_MS:
                self.bus.append(flight.messages)
            return
        flight.agent.flight = None
        try:
            flight.work.send(None)
        except StopIteration:
            assert flight.agent.receiver is not None
            self.sent(flight.agent, flight.link, flight.agent.receiver)
        if self.shared and self.wall - flight.since > STALL_MS:
            self.cut(flight.agent)

    # --- aggregator and store

    def read(self, count: int) -> None:
        for offset in range(self.read_to, min(len(self.bus.log), self.read_to + count)):
            self.book.add(0, offset, self.bus.log[offset][1], self.wall / 1000)
            self.read_to = offset + 1
        if self.read_to == len(self.bus.log):
            self.read_until = self.wall / 1000

    def tick(self) -> None:
        if (batch := self.book.take(self.wall, self.wall / 1000, self.read_until)) is not None:
            self.batches.append(batch)

    def write(self, told: bool) -> None:
        """Store the oldest batch; the process may die before it can tell anybody."""
        if self.batches:
            self.store.update(content(self.batches[0]))
            if told:
                self.book.written(self.batches.pop(0))

    def acknowledge(self, heard: bool) -> None:
        """Commit, and tell the agents."""
        for offset in self.book.positions(self.read_until).values():
            self.committed = max(offset, self.committed)
        safe = len(self.bus.log) - 1 if self.shared else self.committed
        for receiver in self.receivers:
            receiver.acks.safe(0, safe)
            for progress in receiver.acks.take_changed():
                agent = self.agents[progress.vm]
                if heard and agent.link is not None and agent.link.progress is progress:
                    agent.acked(progress)

    def settle(self) -> None:
        """All that was measured arrives, and all the time it takes goes by."""
        while self.flights:
            self.land()
        for vm in [*self.agents, *self.agents]:  # again, as a link may have to begin anew
            self.send(vm, 1, 10_000)
            self.send(vm, 0, 10_000)
        self.read(1_000_000)
        self.wall += 60_000
        self.tick()
        while self.batches:
            self.write(told=True)

    def expected(self) -> dict[tuple[str, int], list[int]]:
        windows: dict[tuple[str, int], list[int]] = {}
        for vm, agent in self.agents.items():
            for seq, at in agent.frames:
                windows.setdefault((vm, at // WIDTH * WIDTH), []).append(seq)
        return windows


def frame(vm: str, seq: int, time_ms: int, schema: bytes = b"s" * 16, flags: int = 0, link: int = 0) -> bytes:
    """A bus frame of one value."""
    return pack_frame(vm, schema, seq, time_ms, flags, struct.pack("<d", float(seq)), link)
