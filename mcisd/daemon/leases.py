"""Work that only one process may do at a time: names of work in, "begin" and "end" out.

Every process ranks the living processes of the role for each name by rendezvous hashing, so all agree whose the work
should be without a leader. The row in the store says whose it *is*: it changes hands only when its owner lets go, is
dead or gone, and the update of the row decides between two that reach for it. Work is divided evenly, moves only when a
process comes or goes, and nobody begins before the one before has ended or is dead.

This keeps work from being done twice in the long run. It is no lock for single steps: a process that was paused may
finish a step that another has begun. What it then writes is refused by the row's version, and what it asks of a cloud
bears the same idempotency token.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace

from mcisd.aio.signal import Signal
from mcisd.collectors.assign import ranked
from mcisd.daemon.nodes import Nodes
from mcisd.model.errors import ConflictError, McisdError
from mcisd.model.records import Lease
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
Names = Callable[[], Awaitable[Collection[str]]]
Turn = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Work:
    """A family of work of one role. ``names`` lists what there is now; ``begin`` and ``end`` get one of them and return
    when it has begun or ended. A name must be unique over all families."""

    role: str
    names: Names
    begin: Turn
    end: Turn


class Leases:
    """Holds what is ours. Give it all families of work before ``run``."""

    def __init__(self, store: MetadataStore, nodes: Nodes) -> None:
        self._store = store
        self._nodes = nodes
        self._families: list[Work] = []
        self._held: dict[str, Work] = {}
        self._signal = Signal()
        self._turn = asyncio.Lock()
        nodes.on_change(self.wake)

    def add(self, work: Work) -> None:
        """One more family of work."""
        self._families.append(work)

    def wake(self) -> None:
        """Look at once: there may be new names, or somebody came or went."""
        self._signal.set()

    @property
    def held(self) -> list[str]:
        """Names of the work that is ours now."""
        return sorted(self._held)

    async def run(self) -> None:
        """Take and let go, for ever."""
        while True:
            await self._signal.wait()
            try:
                await self.settle()
            except McisdError as error:
                if not error.retriable:
                    raise
                log.warning("cannot see whose work is whose: %s", error.message)

    async def settle(self) -> None:
        """One look: end what is not ours any more, begin what is ours now."""
        async with self._turn:
            if self._nodes.fenced:
                await self._end_all("the others may have taken it over")
                return
            wanted = {name: work for work in self._families for name in await work.names()}
            over = list(self._held.keys() - wanted.keys())
            for name in over:
                await self._end(name)
            await self._free(over)
            await self._let_go(wanted)
            await self._take(wanted)

    async def close(self) -> None:
        """End all our work and free it."""
        async with self._turn:
            names = list(self._held)
            await self._end_all("")
            await self._free(names)

    # --- one look

    async def _let_go(self, wanted: dict[str, Work]) -> None:
        """What was taken from us ends; what another should have is ended and freed."""
        rows = await self._rows(list(self._held))
        me, leaving = self._nodes.me.uid, []
        for name, work in list(self._held.items()):
            row = rows.get(name)
            if row is None or row.owner != me:
                log.warning("%s was taken over by another process", name)
                await self._end(name)
            elif name in wanted and self._first(name, work.role) != me:
                await self._end(name)
                leaving.append(name)
        await self._free(leaving)

    async def _take(self, wanted: dict[str, Work]) -> None:
        me = self._nodes.me.uid
        mine = [name for name, work in wanted.items() if name not in self._held and self._first(name, work.role) == me]
        for name in await self._grab(mine):
            self._held[name] = wanted[name]
            try:
                await wanted[name].begin(name)
            except BaseException:
                del self._held[name]
                await self._free([name])
                raise

    async def _grab(self, names: list[str]) -> list[str]:
        """Those of ``names`` that were free, now ours by their rows."""
        if not names:
            return []
        me, taken = self._nodes.me.uid, []
        living = {node.uid for node in self._nodes.alive(draining=True)}
        try:
            async with self._store.transaction() as tx:
                rows = {row.uid: row for row in await tx.find(Lease, uid=names)}
                for name in names:
                    row = rows.get(name)
                    if row is None:
                        await tx.insert(Lease(uid=name, owner=me))
                    elif row.owner == me or row.owner not in living:
                        await tx.update(replace(row, owner=me))
                    else:
                        continue
                    taken.append(name)
        except ConflictError as error:
            log.debug("somebody was faster: %s", error.message)
            return []
        return taken

    async def _free(self, names: list[str]) -> None:
        if not names:
            return
        async with self._store.transaction() as tx:
            for row in await tx.find(Lease, uid=names):
                if row.owner == self._nodes.me.uid:
                    await tx.delete(row)
            tx.hint("leases")

    async def _rows(self, names: list[str]) -> dict[str, Lease]:
        if not names:
            return {}
        async with self._store.reading() as tx:
            return {row.uid: row for row in await tx.find(Lease, uid=names)}

    def _first(self, name: str, role: str) -> str:
        """The process that should do it; empty if nobody can."""
        nodes = {node.name: node.uid for node in self._nodes.alive(role)}
        order = ranked(name, nodes)
        return nodes[order[0]] if order else ""

    async def _end_all(self, why: str) -> None:
        if why and self._held:
            log.warning("ending %d pieces of work: %s", len(self._held), why)
        for name in list(self._held):
            await self._end(name)

    async def _end(self, name: str) -> None:
        work = self._held.pop(name)
        await work.end(name)
