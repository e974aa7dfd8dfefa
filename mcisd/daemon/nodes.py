"""The running processes of the installation: each keeps a row alive, and watches those of the others.

A process updates its row every ``beat_s``; whoever sees a row unchanged for ``dead_after_s`` by its own clock takes
that process for dead. No clocks are compared. A process whose own beat does not get through for that long must think
that the others have taken over its work (``fenced``), and stops it until it does.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from mcisd.aio.clock import Clock
from mcisd.aio.signal import Signal
from mcisd.model.errors import McisdError
from mcisd.model.ids import new_id
from mcisd.model.records import Node
from mcisd.store.base import MetadataStore, Transaction

log = logging.getLogger(__name__)
HINT = "nodes"
FORGET_S = 3600.0


@dataclass(slots=True)
class _Seen:
    version: int
    at: float  # monotonic


class Nodes:
    """This process among the others. ``alone``: nobody else shares the store, so all other rows are of the past."""

    def __init__(
        self,
        store: MetadataStore,
        clock: Clock,
        me: Node,
        *,
        beat_s: float = 2.0,
        dead_after_s: float = 10.0,
        alone: bool = False,
        load: Callable[[], tuple[int, float]] = lambda: (0, 0.0),
    ) -> None:
        self.me = me
        self.load = load
        self._store = store
        self._clock = clock
        self._beat_s = beat_s
        self._dead_after = dead_after_s
        self._alone = alone
        self._rows: dict[str, Node] = {me.uid: me}
        self._seen: dict[str, _Seen] = {}
        self._beaten = clock.monotonic()
        self._signal = Signal()
        self._callbacks: list[Callable[[], None]] = []

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back after each look at the rows. Must be quick."""
        self._callbacks.append(callback)

    def wake(self) -> None:
        """Look at once: somebody came or went."""
        self._signal.set()

    @property
    def fenced(self) -> bool:
        """Others may have taken us for dead."""
        return self._clock.monotonic() - self._beaten > self._dead_after

    def alive(self, role: str = "", *, draining: bool = False) -> list[Node]:
        """The processes that live, those with ``role``; ``draining`` ones only if asked for. By name."""
        now = self._clock.monotonic()
        found = [
            row
            for uid, row in self._rows.items()
            if (uid == self.me.uid or now - self._seen[uid].at <= self._dead_after)
            and (not role or role in row.roles)
            and (draining or not row.draining)
        ]
        return sorted(found, key=lambda row: row.name)

    def announce(self, url: str, collector: str) -> None:
        """Where this process listens, for its row; before ``join``."""
        self.me = replace(self.me, url=url, collector=collector)

    async def join(self) -> None:
        """Make our row; earlier runs of the same name are of the past, and if we are alone all others are."""
        async with self._store.transaction() as tx:
            for row in await tx.find(Node) if self._alone else await tx.find(Node, name=self.me.name):
                await tx.delete(row)
            self.me = await tx.insert(replace(self.me, version=0))
            self._take_in(await tx.find(Node))
            tx.hint(HINT)
        self._beaten = self._clock.monotonic()

    async def run(self) -> None:
        """Beat and look, for ever."""
        while True:
            await self._signal.wait(self._beat_s)
            try:
                await self.beat()
            except McisdError as error:
                if not error.retriable:
                    raise
                log.warning("this process cannot tell that it lives: %s", error.message)
                await self._clock.sleep(self._beat_s / 4)
            self._told()

    async def beat(self) -> None:
        """One update of our row, and one look at all."""
        begun = self._clock.monotonic()
        links, frames = self.load()
        async with self._store.transaction() as tx:
            rows = {row.uid: row for row in await tx.find(Node)}
            known = rows.get(self.me.uid)
            mine = replace(self.me, links=links, frames_per_s=round(frames, 1))
            if known is None:  # we were away for so long that somebody tidied us up
                rows[mine.uid] = await tx.insert(replace(mine, version=0))
            else:
                rows[mine.uid] = await tx.update(replace(mine, version=known.version))
            await self._tidy(tx, rows)
        self.me = rows[self.me.uid]
        self._take_in(list(rows.values()))
        self._beaten = begun

    async def drain(self) -> None:
        """Tell all that we will go: no new work for us."""
        self.me = replace(self.me, draining=True)
        await self.beat()
        await self._store.hint(HINT)
        self._told()

    async def leave(self) -> None:
        """Take our row away."""
        async with self._store.transaction() as tx:
            await tx.delete(self.me)
            tx.hint(HINT)

    def _take_in(self, rows: list[Node]) -> None:
        now = self._clock.monotonic()
        self._rows = {row.uid: row for row in rows}
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in self._rows}
        for row in rows:
            seen = self._seen.get(row.uid)
            if seen is None or seen.version != row.version:
                self._seen[row.uid] = _Seen(row.version, now)

    async def _tidy(self, tx: Transaction, rows: dict[str, Node]) -> None:
        """Rows of processes that have been dead for an hour go."""
        now = self._clock.monotonic()
        for uid, seen in self._seen.items():
            if uid in rows and uid != self.me.uid and seen.version == rows[uid].version and now - seen.at > FORGET_S:
                await tx.delete(rows.pop(uid))

    def _told(self) -> None:
        for callback in self._callbacks:
            callback()


def new_node(name: str, roles: tuple[str, ...], program: str, region: str) -> Node:
    """The row of a process that starts."""
    return Node(uid=new_id("nd"), name=name, roles=roles, program=program, region=region)
