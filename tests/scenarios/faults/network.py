"""A network of its own between agents and collectors: a namespace and a pair of virtual links, with faults on demand.

Needs root. In: nothing. Out: an address for the collectors, words that run a program at the agents' side, and a cable
that can be cut or made deaf. Nothing of it reaches beyond this host, and all of it goes with the namespace.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcisd.demo.engines_process import run_once

NOWHERE = "02:00:00:00:00:01"
"""A hardware address that nobody has: what is sent there is lost without a word."""


class Cable:
    """``host`` is where collectors listen, ``prefix`` runs a command at the agents' side."""

    def __init__(self, number: int) -> None:
        self._name = f"mlab{os.getpid()}-{secrets.token_hex(2)}"
        self._ours, self._theirs = f"mlh{number}", f"mla{number}"
        self.host = f"10.231.{number}.1"
        self._agents = f"10.231.{number}.2"
        self.prefix = ("ip", "netns", "exec", self._name)

    async def lay(self) -> None:
        """Put it into the namespace; EngineError says what the system refused."""
        await _ip("link", "add", self._ours, "type", "veth", "peer", "name", self._theirs, "netns", self._name)
        await _ip("addr", "add", f"{self.host}/30", "dev", self._ours)
        await _ip("link", "set", self._ours, "up")
        await _ip("-n", self._name, "addr", "add", f"{self._agents}/30", "dev", self._theirs)
        await _ip("-n", self._name, "link", "set", self._theirs, "up")
        await _ip("-n", self._name, "link", "set", "lo", "up")

    async def open(self) -> None:
        """Make the namespace."""
        await _ip("netns", "add", self._name)

    async def remove(self) -> None:
        """Remove the namespace; the links go with it."""
        await _ip("netns", "del", self._name)

    async def cut(self) -> None:
        """Nothing passes, in either direction; neither end is told, as the collectors' address stays."""
        await _ip("-n", self._name, "link", "set", self._theirs, "down")

    async def mend(self) -> None:
        await _ip("-n", self._name, "link", "set", self._theirs, "up")

    async def deafen_agents(self) -> None:
        """Half open: what collectors send is lost, what agents send arrives."""
        await _ip("neigh", "replace", self._agents, "lladdr", NOWHERE, "dev", self._ours, "nud", "permanent")

    async def deafen_collectors(self) -> None:
        """Half open, the other way round."""
        await _ip(
            "-n", self._name, "neigh", "replace", self.host, "lladdr", NOWHERE, "dev", self._theirs, "nud", "permanent"
        )

    async def cure(self) -> None:
        """Both hear again."""
        await asyncio.gather(
            run_once("ip", ["ip", "neigh", "flush", "dev", self._ours, "nud", "permanent"]),
            run_once("ip", ["ip", "-n", self._name, "neigh", "flush", "dev", self._theirs, "nud", "permanent"]),
        )


@asynccontextmanager
async def cable() -> AsyncIterator[Cable]:
    """A cable of a number that nobody uses; gone at the end."""
    one = Cable(secrets.randbelow(200) + 20)
    await one.open()
    try:
        await one.lay()
        yield one
    finally:
        await one.remove()


async def _ip(*words: str) -> None:
    await run_once("ip", ["ip", *words], timeout=10.0)
