"""Who says HELLO, and what it is answered: WELCOME with all that a link begins with, or REFUSED with the reason."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mcisd.aio.clock import Clock
from mcisd.collectors.agent_clock import skew
from mcisd.collectors.hello import Hello
from mcisd.collectors.link import Link
from mcisd.collectors.stats import ReceiveStats
from mcisd.model import wire
from mcisd.model.identity import Identity

Servers = list[tuple[str, int]]
"""Collectors as agents call them: ``(host, port)``, the best first."""
Authenticate = Callable[[str, str], Awaitable[Identity | str]]
"""``(vm, token)`` → whose frames these are if it may come in, else why not: "unknown", "revoked" or "forged"."""
Route = Callable[[str, bool], Servers]
"""``(VM uid, stay)`` → where its agent should call instead; empty if it may stay here, as it asks to with ``stay`` when
it was sent here or found no other collector. Must not block."""
OnLink = Callable[[str, str, dict[str, object]], None]
"""``(kind, vm, data)``; kind "up", "down", "stopped", "refused" or "clock-skew". Must not block."""

REFUSAL_S = 60.0  # the same refusal is told once in this time, as who is refused tries again
MOST_REFUSALS = 1_000
LEAST_REPLAY, MOST_REPLAY = 10, 500  # frames per second and link
REASONS = {
    "unknown": "no such VM here",
    "revoked": "the token was revoked",
    "forged": "the token is not this VM's",
    "protocol": f"this daemon speaks protocol {wire.PROTOCOL}",
    "moved": "another collector serves this VM",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What WELCOME says."""

    link: int
    seen: int
    interval_ms: int
    window_ms: int
    skew_ms: int
    replay_per_s: int
    servers: Servers

    def message(self, now_ms: int) -> bytes:
        body: dict[str, object] = {"link": self.link, "seen": self.seen, "time_ms": now_ms}
        body |= {
            "interval_ms": self.interval_ms,
            "window_ms": self.window_ms,
            "skew_ms": self.skew_ms,
            "replay_per_s": self.replay_per_s,
        }
        if self.servers:
            body["servers"] = self.servers
        return wire.pack_json(wire.WELCOME, body)


class Reception:
    """Shared by all links."""

    def __init__(
        self, authenticate: Authenticate, clock: Clock, stats: ReceiveStats, on_link: OnLink, timeout_s: float
    ) -> None:
        self.route: Route = lambda vm, stay: []
        self.everyone: Callable[[], Servers] = list
        self._authenticate = authenticate
        self._clock = clock
        self._stats = stats
        self._on_link = on_link
        self._timeout_s = timeout_s
        self._told: dict[tuple[str, str], float] = {}

    async def admit(self, link: Link, hello: Hello) -> Identity | None:
        """Whose agent this is; None if it was refused and told so. TimeoutError if nobody can say in time."""
        if hello.protocol != wire.PROTOCOL:
            self.refuse(link, hello.vm, "protocol")
            return None
        async with asyncio.timeout(self._timeout_s):
            answer = await self._authenticate(hello.vm, hello.token)
        if isinstance(answer, str):
            self.refuse(link, hello.vm, answer)
            return None
        if servers := self.route(hello.vm, hello.stay):
            self._stats.moved += 1
            self._say(link, "moved", servers=servers)
            return None
        return answer

    def refuse(self, link: Link, vm: str, code: str) -> None:
        """Send REFUSED; the caller ends the link."""
        self._stats.refused += 1
        self._say(link, code)
        now = self._clock.monotonic()
        if now - self._told.get((vm, code), -REFUSAL_S) >= REFUSAL_S:
            if len(self._told) >= MOST_REFUSALS:
                self._told.clear()
            self._told[vm, code] = now
            self._on_link("refused", vm, {"code": code, "peer": link.peer})

    def skew(self, hello: Hello, arrived_ms: int) -> int:
        """The correction of the agent's clock in ms, and it is told if there is one."""
        skew_ms = skew(hello.time_ms, arrived_ms)
        if skew_ms:
            self._on_link("clock-skew", hello.vm, {"skew_ms": skew_ms})
        return skew_ms

    def _say(self, link: Link, code: str, **more: object) -> None:
        link.end = code
        body: dict[str, object] = {"code": code, "reason": REASONS.get(code, code), **more}
        link.send(wire.pack_json(wire.REFUSED, body), self._clock.monotonic())
