"""The receiver of agents: TLS connections in, frames on the bus out, acknowledgements back.

Per connection: HELLO → authenticate → WELCOME or REFUSED, then schemas and frames. Each link begins anew: what was not
acknowledged comes again. Reading stops while the bus is full, which stops the agent; it keeps its frames.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcisd.aio.clock import Clock
from mcisd.aio.periodic import every
from mcisd.aio.supervise import Service, TaskSet
from mcisd.collectors.acks import AckBook, LinkProgress
from mcisd.collectors.door import Door
from mcisd.collectors.hello import Hello, parse_hello, parse_measured
from mcisd.collectors.intake import Intake
from mcisd.collectors.lane import begin
from mcisd.collectors.link import Link
from mcisd.collectors.ports import FrameBus
from mcisd.collectors.reception import (
    LEAST_REPLAY,
    MOST_REPLAY,
    Authenticate,
    OnLink,
    Reception,
    Route,
    Servers,
    Terms,
)
from mcisd.collectors.stats import ReceiveStats
from mcisd.collectors.tls import read_by_record
from mcisd.model import wire
from mcisd.model.errors import HostCommandError, HostUnreachableError, McisdError
from mcisd.model.samples import Schema

log = logging.getLogger(__name__)

F64 = NDArray[np.float64]
LOOK_S = 2.0
RATE_S = 5.0  # over which frames per second are counted


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the door, in seconds where not said otherwise."""

    links: int = 20_000  # connections at once
    hello_s: float = 10.0
    authenticate_s: float = 10.0
    silent_s: float = 60.0  # nothing heard for this long, and for three intervals: the link is taken for dead
    stall_s: float = 30.0  # a link that waited this long for a shared bus begins anew: its window may be let go by now
    tell_s: float = 10.0  # an acknowledgement at least this often, as agents take silence for a dead link
    tick_s: float = 0.25  # acknowledgements are gathered this long
    replay_per_s: float = 10_000.0  # old frames per second, all links together


class VmState:
    """What outlives the links of a VM."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms  # how often it is asked to measure
        self.link: Link | None = None
        self.heard: float | None = None  # wall clock


class Receiver:
    """Accepts agents. ``window_ms`` is the width of the windows that the aggregation makes of the frames; ``shared``
    says that this happens elsewhere, behind a bus on servers."""

    def __init__(
        self,
        *,
        bus: FrameBus,
        authenticate: Authenticate,
        clock: Clock,
        on_link: OnLink,
        ssl_context: ssl.SSLContext | None,
        interval_ms: int = 2_000,
        window_ms: int = 10_000,
        limits: Limits | None = None,
        shared: bool = False,
    ) -> None:
        self.stats = ReceiveStats()
        self._bus = bus
        self._clock = clock
        self._on_link = on_link
        self._interval_ms = interval_ms
        self._limits = limits or Limits()
        self._shared = shared
        self._acks = AckBook(window_ms)
        self._vms: dict[str, VmState] = {}
        self._links: set[Link] = set()
        self._reception = Reception(authenticate, clock, self.stats, on_link, self._limits.authenticate_s)
        lane_s = self._limits.silent_s if shared else 0.0
        self._intake = Intake(bus, self._acks, clock, self.stats, self._stepped, lane_s=lane_s)
        self._tasks = TaskSet("agent link")
        self._look_s = min(LOOK_S, min(self._limits.hello_s, self._limits.silent_s, self._limits.tell_s) / 5)
        self._look_due = 0.0
        self._tender = Service("agent links", self._tend, clock)
        self._door = Door(ssl_context, self._accepted, clock, self.stats, self._limits.hello_s)
        self._end_safe: Callable[[], None] | None = None
        self._counted = (0.0, 0)  # (monotonic seconds, frames) when frames per second were reckoned last
        self._frames_per_s = 0.0

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (useful where 0 was asked for)."""
        self._end_safe = self._bus.on_safe("metrics", self._acks.safe)
        read_by_record()
        bound = await self._door.open(host, port)
        self._counted = (self._clock.monotonic(), self.stats.frames)
        self._tender.start()
        return bound

    async def stop(self) -> None:
        """Close the door and all links. What agents have not had acknowledged they send again."""
        await self._door.close()
        if self._end_safe is not None:
            self._end_safe()
            self._end_safe = None
        await self._tender.stop()
        for link in self._links:
            link.end = "the receiver stops"
        await self._tasks.close()

    def set_route(self, route: Route, everyone: Callable[[], Servers] = list) -> None:
        """``route`` says where the agent of a VM should call instead of here; ``everyone`` is told each agent, as the
        collectors to try when this one is gone."""
        self._reception.route = route
        self._reception.everyone = everyone

    # --- what others ask

    def last_heard(self, vm: str) -> float | None:
        """Wall clock seconds when the VM's agent last said anything to this process."""
        state = self._vms.get(vm)
        return state.heard if state else None

    def linked(self, vm: str) -> bool:
        """Is the VM's agent linked now?"""
        state = self._vms.get(vm)
        return state is not None and state.link is not None

    def connected(self) -> list[str]:
        """VMs whose agent is linked now."""
        return [link.vm for link in self._links if link.vm]

    def links(self) -> int:
        """How many agents are linked now."""
        return sum(1 for link in self._links if link.vm)

    def frames_per_s(self) -> float:
        """Frames published per second, over the last seconds."""
        return self._frames_per_s

    async def measure(self, vm: str, timeout: float = 5.0) -> tuple[Schema, int, F64]:
        """Have the VM measured now: ``(schema, event time in ms, values)``; NaN is "not measured". HostError if not."""
        link = self._link(vm)
        reply = await link.ask("measure", timeout, self._clock.monotonic())
        try:
            number, time_ms, values = parse_measured(reply)
            schema = link.schemas[number].measured
        except (wire.WireError, KeyError) as error:
            raise HostCommandError(f"the agent of {vm} answered nonsense: {error}") from None
        if len(values) != len(schema.columns):
            raise HostCommandError(f"the agent of {vm} answered {len(values)} values for {len(schema.columns)} columns")
        return schema, time_ms + link.lanes[0].clock.skew_ms, values

    async def set_interval(self, vm: str, interval_ms: int, timeout: float = 5.0) -> None:
        """Have the VM measured every ``interval_ms`` from now on, over new links too while this process lives."""
        link = self._link(vm)
        await link.ask("interval", timeout, self._clock.monotonic(), interval_ms=interval_ms)
        self._state(vm).interval_ms = interval_ms
        for lane in link.lanes:
            lane.rates.interval_ms = interval_ms

    async def move(self, vm: str, servers: Servers, timeout: float = 5.0) -> None:
        """Have the agent call the first of these from now on; returns when its link here is gone. HostError if not."""
        link = self._link(vm)
        await link.ask("move", timeout, self._clock.monotonic(), servers=servers)
        if link.task is not None:
            await asyncio.wait({link.task}, timeout=timeout)

    async def stop_agent(self, vm: str, timeout: float = 5.0) -> None:
        """Have the agent end for good; returns when its link is gone. HostError if it cannot be told."""
        link = self._link(vm)
        link.send(wire.pack_json(wire.COMMAND, {"id": "stop", "op": "stop"}), self._clock.monotonic())
        if link.task is not None:
            await asyncio.wait({link.task}, timeout=timeout)

    async def disconnect(self, vm: str, code: str = "revoked") -> None:
        """The VM's token is not good any more: its link ends with REFUSED. Nothing to do if it has none."""
        state = self._vms.get(vm)
        if state is not None and (link := state.link) is not None:
            self._reception.refuse(link, vm, code)
            await self._end(link, code)

    def forget(self, vm: str) -> None:
        """The VM is gone for good; a link that still stands is cut."""
        state = self._vms.pop(vm, None)
        self._acks.forget(vm)
        self._intake.forget(vm)
        if state is not None and state.link is not None:
            state.link.cut("forgotten")

    # --- one connection

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(reader, writer, self._clock.monotonic())
        if len(self._links) >= self._limits.links:
            self.stats.over_limit += 1
            link.cut("too many links")
            return
        self._links.add(link)
        link.task = self._tasks.spawn(self._serve(link), f"agent link {link.peer}")

    async def _serve(self, link: Link) -> None:
        try:
            async for messages in link.messages():
                link.busy, began = True, self._clock.monotonic()
                if not await self._take_all(link, messages):
                    return
                link.busy, link.heard = False, self._clock.monotonic()
                if self._shared and link.heard - began > self._limits.stall_s:
                    self.stats.stalled += 1
                    link.end = "the bus was away"
                    self._acknowledge(link, link.progress, link.heard)  # or it would bring the same again
                    return
        except (wire.WireError, RecursionError) as error:  # the latter: JSON that is nested to no end
            self.stats.bad_messages += 1
            link.end = f"bad message: {error}"
            log.warning("closed the link of %s from %s: %s", link.vm or "nobody", link.peer, error)
        except OSError as error:
            if link.end == "lost":
                link.end = f"lost: {error}"
        except McisdError as error:
            link.end = f"not taken: {error.message}"
            log.warning("closed the link of %s from %s: %s", link.vm or "nobody", link.peer, error.message)
        finally:
            await self._ended(link)

    async def _ended(self, link: Link) -> None:
        self._links.discard(link)
        state = self._vms.get(link.vm)
        if state is not None and state.link is link:
            state.link = None
        if link.vm:
            self._on_link("stopped" if link.end == "stopped" else "down", link.vm, {"reason": link.end})
        await link.finish(2.0)

    async def _take_all(self, link: Link, messages: list[tuple[int, bytes]]) -> bool:
        """Handle what one read brought, frames that follow each other in one go; False ends the link."""
        frames: list[bytes] = []
        for kind, payload in messages:
            if kind == wire.FRAME and link.vm:
                frames.append(payload)
                continue
            if (frames and not await self._frames(link, frames)) or not await self._take(link, kind, payload):
                return False
            frames = []
        if link.vm and (state := self._vms.get(link.vm)) is not None:
            state.heard = self._clock.now()
        return not frames or await self._frames(link, frames)

    async def _frames(self, link: Link, payloads: Sequence[bytes]) -> bool:
        """Publish; False ends the link."""
        if link.vm not in self._vms:
            return False  # forgotten meanwhile
        await self._intake.frames(link, payloads)
        return True

    async def _take(self, link: Link, kind: int, payload: bytes) -> bool:
        """Handle a message that is no frame; False ends the link."""
        if not link.vm:
            if kind != wire.HELLO:
                raise wire.WireError("no HELLO first")
            link.greeted = True
            return await self._hello(link, parse_hello(payload))
        if kind == wire.SCHEMA:
            await self._intake.schema(link, payload)
        elif kind == wire.REPLY:
            link.answered(wire.unpack_json(payload))
        elif kind == wire.REPLAY_DONE:
            self._acks.replay_done(link.progress)
        elif kind == wire.BYE:
            link.end = "moved" if wire.unpack_json(payload).get("reason") == "moved" else "stopped"
            return False
        else:
            raise wire.WireError(f"unexpected message of type {kind}")
        return True

    async def _hello(self, link: Link, hello: Hello) -> bool:
        arrived_ms = int(self._clock.now() * 1000)  # how long we take to answer is no fault of the agent's clock
        identity = await self._reception.admit(link, hello)
        if identity is None:
            return False
        state = self._state(hello.vm)
        while state.link is not None:
            self.stats.replaced += 1
            state.link.cut("replaced")
            await self._end(state.link, "replaced")
        state.link, link.vm, link.agent = link, hello.vm, hello.agent
        self._welcome(link, state, hello, self._reception.skew(hello, arrived_ms))
        await self._intake.identity(identity)
        return True

    def _welcome(self, link: Link, state: VmState, hello: Hello, skew_ms: int) -> None:
        width = self._acks.width_ms
        now_ms, agent_ms = int(self._clock.now() * 1000), hello.time_ms + skew_ms
        link.number = max(now_ms, hello.link + 1)  # grows, whatever our clock and those of other collectors say
        link.progress = self._acks.begin(link.vm)
        link.lanes = begin(link.progress, skew_ms, agent_ms - agent_ms % width, state.interval_ms)
        state.heard = self._clock.now()
        share = int(self._limits.replay_per_s / max(1, len(self._links)))
        replay = min(MOST_REPLAY, max(LEAST_REPLAY, share))
        terms = Terms(
            link.number, link.progress.seen, state.interval_ms, width, skew_ms, replay, self._reception.everyone()
        )
        link.send(terms.message(now_ms), self._clock.monotonic())
        self.stats.links += 1
        self._on_link("up", link.vm, {"peer": link.peer, "agent": link.agent})

    def _stepped(self, vm: str, skew_ms: int) -> None:
        self._on_link("clock-skew", vm, {"skew_ms": skew_ms})

    # --- all connections

    async def _tend(self) -> None:
        await every(self._clock, self._limits.tick_s, self._tick)

    async def _tick(self) -> None:
        now = self._clock.monotonic()
        for progress in self._acks.take_changed():
            state = self._vms.get(progress.vm)
            if state is not None and state.link is not None and state.link.progress is progress:
                self._acknowledge(state.link, progress, now)
        if now >= self._look_due:
            self._look_due = now + self._look_s
            self._look(now)

    def _look(self, now: float) -> None:
        """All links in turn: too rarely to cost anything with ten thousand of them, often enough for the limits."""
        for link in list(self._links):
            if not link.vm:
                if not link.greeted and now - link.opened > self._limits.hello_s:
                    self.stats.late_hello += 1
                    link.cut("no HELLO in time")
            elif now - link.heard > self._patience(link.vm) and not link.busy:
                self.stats.silent += 1
                link.cut("silent")
            elif now - link.told > self._limits.tell_s:
                self._acknowledge(link, link.progress, now)
        at, frames = self._counted
        if now - at >= RATE_S:
            self._frames_per_s = (self.stats.frames - frames) / (now - at)
            self._counted = (now, self.stats.frames)

    def _patience(self, vm: str) -> float:
        state = self._vms.get(vm)
        return max(self._limits.silent_s, 3 * state.interval_ms / 1000) if state else self._limits.silent_s

    def _acknowledge(self, link: Link, progress: LinkProgress, now: float) -> None:
        live, replay = progress.lanes
        link.send(wire.pack_ack(replay.acked, live.acked), now)
        self.stats.acks += 1

    def _state(self, vm: str) -> VmState:
        state = self._vms.get(vm)
        if state is None:
            state = self._vms[vm] = VmState(self._interval_ms)
        return state

    def _link(self, vm: str) -> Link:
        state = self._vms.get(vm)
        if state is None or state.link is None:
            raise HostUnreachableError(f"the agent of {vm} is not linked", remedy="wait until it is, or reinstall it")
        return state.link

    async def _end(self, link: Link, reason: str) -> None:
        """End a link and wait until its task is gone, so that nothing of it is published later."""
        link.end = reason
        if link.task is not None and link.task is not asyncio.current_task():
            link.task.cancel()
            await asyncio.wait({link.task}, timeout=5.0)
