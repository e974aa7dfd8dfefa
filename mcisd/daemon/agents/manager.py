"""The collector manager, one in every collector process: which of the collectors serves which agent.

All of them see the same rows of living processes and rank them alike (collectors/assign.py), so no leader is needed. An
agent that says hello at the wrong place is told the right one; when a collector joins, drains or is overrun, agents are
asked to move, a few at a time. When one dies its agents call the next in their list by themselves.

Loads are seconds old when others read them. So load decides only where an agent that comes is sent, and who sheds some;
agents that are linked move because a collector came or went, never because of a number that will be another one soon.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from mcisd.aio.clock import Clock
from mcisd.collectors.assign import Candidate, bound, preferred, route
from mcisd.daemon.agents.install import parse_address
from mcisd.daemon.nodes import Nodes
from mcisd.model.errors import HostError

log = logging.getLogger(__name__)
PER_LOOK = 100
"""Agents asked to move at once: each costs a TLS handshake at the other end."""
DRAIN_S = 60.0
Address = tuple[str, int]


class Door(Protocol):
    """The agents linked to this process (collectors/receive.py)."""

    def connected(self) -> list[str]: ...
    async def move(self, vm: str, servers: list[Address]) -> None: ...


class CollectorManager:
    """``region`` says where a VM is. ``order`` is asked at every hello."""

    def __init__(self, nodes: Nodes, door: Door, region: Callable[[str], str], clock: Clock) -> None:
        self.moved = 0
        self._nodes = nodes
        self._door = door
        self._region = region
        self._clock = clock
        self._known: frozenset[str] = frozenset()

    def order(self, vm: str, stay: bool = False) -> list[Address]:
        """Where else the agent should call, best first; empty: it may stay here.

        ``stay``: it was sent here, or could not reach the one before us in its list. Then it is not sent on, whatever
        our rows say: they may be seconds old, and it would go back and forth. Unless we are about to go.
        """
        me = self._nodes.me
        found = route(vm, self._region(vm), self._candidates())
        if not found or found[0].uid == me.uid or (stay and not me.draining):
            return []
        return [one.address for one in found]

    def everyone(self) -> list[Address]:
        """All collectors that live: an agent keeps them for the day when this one is gone."""
        return [one.address for one in candidates_of(self._nodes)]

    async def run(self) -> None:
        """See to it that agents are where they should be, for ever."""
        while True:
            await self._clock.sleep(1.0)
            await self.settle()

    async def settle(self) -> None:
        """One look: ask those to move that belong elsewhere since a collector came or went, or are too many here."""
        candidates = self._candidates()
        uids = frozenset(one.uid for one in candidates)
        if uids != self._known:
            if not await self._move([vm for vm in self._door.connected() if self._belongs_elsewhere(vm)]):
                self._known = uids
            return
        linked = self._door.connected()
        too_many = self._nodes.me.links - bound(candidates)
        if too_many > 0 and len(candidates) > 1:
            strangers = sorted(linked, key=self._belongs_elsewhere, reverse=True)
            await self._move([vm for vm in strangers if self.order(vm)][:too_many])

    async def drain(self) -> None:
        """Ask all agents to go elsewhere, and wait until they have; at once if there is nobody else."""
        until = self._clock.monotonic() + DRAIN_S
        while self._candidates() and self._clock.monotonic() < until:
            await self._move(self._door.connected())
            if not self._door.connected():
                return
            await self._clock.sleep(0.2)

    async def _move(self, vms: list[str]) -> int:
        """Ask as many as may go now; returns how many are left."""
        now = vms[:PER_LOOK]
        await asyncio.gather(*(self._ask(vm) for vm in now))
        return len(vms) - len(now)

    async def _ask(self, vm: str) -> None:
        try:
            found = preferred(vm, self._region(vm), self._candidates())
            await self._door.move(vm, self.order(vm) or [one.address for one in found])
            self.moved += 1
        except HostError as error:
            log.debug("agent of %s has gone by itself: %s", vm, error.message)

    def _belongs_elsewhere(self, vm: str) -> bool:
        found = preferred(vm, self._region(vm), self._candidates())
        return bool(found) and found[0].uid != self._nodes.me.uid

    def _candidates(self) -> list[Candidate]:
        """All by their rows, ourselves as well: who sees the same rows comes to the same order, so nobody is sent back
        and forth, even while hundreds come in the time between two looks."""
        return candidates_of(self._nodes)


def candidates_of(nodes: Nodes) -> list[Candidate]:
    """The collectors that live and take agents."""
    return [
        Candidate(node.uid, node.name, parse_address(node.collector), node.region, node.links)
        for node in nodes.alive("collector")
        if node.collector
    ]
