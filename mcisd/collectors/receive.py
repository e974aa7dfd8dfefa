"""The door for agents: TLS connections in, frames on the bus out, acknowledgements back.

Per connection: HELLO → authenticate → WELCOME or REFUSED, then schemas and frames. Reading stops while the bus is
full, which stops the agent; it keeps its frames until they are acknowledged.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcisd.aio.clock import Clock
from mcisd.aio.periodic import every
from mcisd.aio.supervise import Service, TaskSet
from mcisd.collectors.acks import AckBook
from mcisd.collectors.hello import Hello, parse_hello, parse_measured
from mcisd.collectors.intake import Intake, VmState
from mcisd.collectors.link import Link
from mcisd.collectors.ports import FrameBus
from mcisd.collectors.stats import ReceiveStats
from mcisd.collectors.tls import read_by_record
from mcisd.model import wire
from mcisd.model.errors import HostCommandError, HostUnreachableError, McisdError
from mcisd.model.samples import Schema

log = logging.getLogger(__name__)

F64 = NDArray[np.float64]
Authenticate = Callable[[str, str], Awaitable[str | None]]
"""``(vm, token)`` → None if it may come in, else why not: "unknown", "revoked" or "forged"."""
OnLink = Callable[[str, str, dict[str, object]], None]
"""``(kind, vm, data)``; kind "up", "down", "stopped", "refused" or "clock-skew". Must not block."""

REFUSAL_S = 60.0  # the same refusal is told once in this time, as who is refused tries again
MOST_REFUSALS = 1_000
REASONS = {
    "unknown": "no such VM here",
    "revoked": "the token was revoked",
    "forged": "the token is not this VM's",
    "protocol": f"this daemon speaks protocol {wire.PROTOCOL}",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the door, in seconds where not said otherwise."""

    links: int = 20_000  # connections at once
    hello_s: float = 10.0
    authenticate_s: float = 10.0
    silent_s: float = 60.0  # nothing heard for this long, and for three intervals: the link is taken for dead
    tell_s: float = 10.0  # an acknowledgement at least this often, as agents take silence for a dead link
    tick_s: float = 0.25  # acknowledgements are gathered this long


class Receiver:
    """Accepts agents. ``window_ms`` is the width of the windows that the aggregation makes of the frames."""

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
    ) -> None:
        self.stats = ReceiveStats()
        self._bus = bus
        self._authenticate = authenticate
        self._clock = clock
        self._on_link = on_link
        self._ssl = ssl_context
        self._interval_ms = interval_ms
        self._limits = limits or Limits()
        self._acks = AckBook(window_ms)
        self._vms: dict[str, VmState] = {}
        self._links: set[Link] = set()
        self._intake = Intake(bus, self._acks, clock, self.stats, self._stepped)
        self._refusals: dict[tuple[str, str], float] = {}
        self._tasks = TaskSet("agent link")
        self._tender = Service("agent links", self._tend, clock)
        self._server: asyncio.Server | None = None
        self._end_safe: Callable[[], None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (useful where 0 was asked for)."""
        self._end_safe = self._bus.on_safe("metrics", self._acks.safe)
        read_by_record()
        timeout = self._limits.hello_s if self._ssl else None
        self._server = await asyncio.start_server(
            self._accepted, host, port, ssl=self._ssl, ssl_handshake_timeout=timeout, backlog=1024
        )
        self._tender.start()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the door and all links. What agents have not had acknowledged they send again."""
        if self._server is not None:
            self._server.close()
        if self._end_safe is not None:
            self._end_safe()
        await self._tender.stop()
        for link in self._links:
            link.end = "the receiver stops"
        await self._tasks.close()

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
        return schema, time_ms + self._vms[vm].clock.skew_ms, values

    async def set_interval(self, vm: str, interval_ms: int, timeout: float = 5.0) -> None:
        """Have the VM measured every ``interval_ms`` from now on, over new links too while this process lives."""
        await self._link(vm).ask("interval", timeout, self._clock.monotonic(), interval_ms=interval_ms)
        self._state(vm).rates.interval_ms = interval_ms

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
            self._refuse(link, vm, code)
            await self._end(link, code)

    def forget(self, vm: str) -> None:
        """The VM is gone for good; a link that still stands is cut."""
        state = self._vms.pop(vm, None)
        self._acks.forget(vm)
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
                link.heard = self._clock.monotonic()
                for kind, payload in messages:
                    if not await self._take(link, kind, payload):
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

    async def _take(self, link: Link, kind: int, payload: bytes) -> bool:
        """Handle one message; False ends the link."""
        if not link.vm:
            if kind != wire.HELLO:
                raise wire.WireError("no HELLO first")
            return await self._hello(link, parse_hello(payload))
        state = self._vms.get(link.vm)
        if state is None:
            return False  # forgotten meanwhile
        state.heard = self._clock.now()
        if kind == wire.FRAME:
            await self._intake.frame(link, state, payload)
        elif kind == wire.SCHEMA:
            await self._intake.schema(link, payload)
        elif kind == wire.REPLY:
            link.answered(wire.unpack_json(payload))
        elif kind == wire.BYE:
            link.end = "stopped"
            return False
        else:
            raise wire.WireError(f"unexpected message of type {kind}")
        return True

    async def _hello(self, link: Link, hello: Hello) -> bool:
        if hello.protocol != wire.PROTOCOL:
            return self._refuse(link, hello.vm, "protocol")
        async with asyncio.timeout(self._limits.authenticate_s):
            code = await self._authenticate(hello.vm, hello.token)
        if code is not None:
            return self._refuse(link, hello.vm, code)
        state = self._state(hello.vm)
        while state.link is not None:
            self.stats.replaced += 1
            state.link.cut("replaced")
            await self._end(state.link, "replaced")
        state.link, link.vm, link.agent = link, hello.vm, hello.agent
        self._welcome(link, state, hello)
        return True

    def _welcome(self, link: Link, state: VmState, hello: Hello) -> None:
        now_ms = int(self._clock.now() * 1000)
        off = state.clock.hello(hello.time_ms, now_ms)
        state.heard = self._clock.now()
        acked = self._acks.acked(link.vm)
        body: dict[str, object] = {"acked": acked, "interval_ms": state.interval_ms, "time_ms": now_ms}
        link.send(wire.pack_json(wire.WELCOME, body), self._clock.monotonic())
        self.stats.links += 1
        self._on_link("up", link.vm, {"peer": link.peer, "agent": link.agent})
        if off:
            self._on_link("clock-skew", link.vm, {"skew_ms": state.clock.skew_ms})

    def _refuse(self, link: Link, vm: str, code: str) -> bool:
        self.stats.refused += 1
        link.end = code
        body: dict[str, object] = {"code": code, "reason": REASONS.get(code, code)}
        now = self._clock.monotonic()
        link.send(wire.pack_json(wire.REFUSED, body), now)
        if now - self._refusals.get((vm, code), -REFUSAL_S) >= REFUSAL_S:
            if len(self._refusals) >= MOST_REFUSALS:
                self._refusals.clear()
            self._refusals[vm, code] = now
            self._on_link("refused", vm, {"code": code, "peer": link.peer})
        return False

    def _stepped(self, vm: str, skew_ms: int) -> None:
        self._on_link("clock-skew", vm, {"skew_ms": skew_ms})

    # --- all connections

    async def _tend(self) -> None:
        await every(self._clock, self._limits.tick_s, self._tick)

    async def _tick(self) -> None:
        now = self._clock.monotonic()
        for vm, seq in self._acks.take_changed():
            if (state := self._vms.get(vm)) is not None and state.link is not None:
                self._acknowledge(state.link, seq, now)
        for link in list(self._links):
            if not link.vm:
                if now - link.opened > self._limits.hello_s:
                    self.stats.late_hello += 1
                    link.cut("no HELLO in time")
            elif now - link.heard > self._patience(link.vm):
                self.stats.silent += 1
                link.cut("silent")
            elif now - link.told > self._limits.tell_s:
                self._acknowledge(link, self._acks.acked(link.vm), now)

    def _patience(self, vm: str) -> float:
        state = self._vms.get(vm)
        return max(self._limits.silent_s, 3 * state.interval_ms / 1000) if state else self._limits.silent_s

    def _acknowledge(self, link: Link, seq: int, now: float) -> None:
        link.send(wire.pack_ack(seq), now)
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
