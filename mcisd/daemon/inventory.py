"""What is ours at a cloud, and which of it nobody here knows: leftovers that may cost money.

In: a connection's list of what bears our mark, and the rows. Out: each object with whether it is known; removal of
what is not, and only when somebody asks: a store that was restored from a backup knows less than there is.
"""

import logging
from dataclasses import dataclass, replace
from enum import StrEnum

from mcisd.aio.clock import Clock
from mcisd.daemon.clouds import Clouds
from mcisd.daemon.events import EventMaker
from mcisd.drivers.base import InventoryHandler
from mcisd.model.cloud import OwnedInfo
from mcisd.model.errors import CloudConflictError, CloudError
from mcisd.model.events import Event
from mcisd.model.records import Resource, Setting, Vm
from mcisd.model.states import ResourceKind, VmState
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
SURE_AFTER = 60.0
"""Seconds between two looks after which what was unknown in both is an orphan: what is just going shows in one."""
MOST_NOTED = 1000
"""Unknown objects of one connection that are remembered; the others' turn comes when these are gone."""
ROOM = 60.0
"""Seconds for which one request goes on removing."""
TRIES, PAUSE = 3, 2.0
"""Passes in a row in which nothing could be removed before it is left; seconds between passes."""
ORDER = ("vm", "nic", "public-ip", "disk", "security-group", "gateway", "route-table", "subnet", "network", "key")
"""What is removed first. Other kinds come last, as they may contain these."""
TAGS = ("mcisd-vm", "mcisd-resource")
AT_CLOUD = (ResourceKind.NETWORK, ResourceKind.SECURITY_GROUP, ResourceKind.SSH_KEY)


@dataclass(frozen=True, slots=True)
class Owned:
    """One object at a cloud. ``since``: when it was first seen unknown, 0 if it is known; ``sure``: it is an orphan."""

    item: OwnedInfo
    known: bool
    since: float = 0.0
    sure: bool = False


class Fate(StrEnum):
    """What became of an orphan."""

    REMOVED = "removed"
    WAITING = "waiting"
    IN_USE = "in-use"
    FAILED = "failed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Removal:
    owned: Owned
    fate: Fate
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ours:
    """What our rows know: uids of theirs that were looked for; ids at the cloud in question, and at any cloud."""

    uids: set[str]
    here: set[str]
    anywhere: set[str]

    def know(self, item: OwnedInfo) -> bool:
        """By a uid it bears, or by its id. Ids are unique at their cloud only: where a row of another connection has
        it, that counts only for what bears no uid at all."""
        bears = marks(item)
        return bool(bears & self.uids) or item.id in self.here or (not bears and item.id in self.anywhere)


class Inventory:
    """Looks at what is ours at clouds. Every look is noted, so that two of them, of any process, make sure."""

    def __init__(self, store: MetadataStore, clouds: Clouds, events: EventMaker, clock: Clock) -> None:
        self._store = store
        self._clouds = clouds
        self._events = events
        self._clock = clock

    async def look(self, connection: str) -> list[Owned]:
        """Everything of ours at the cloud of this connection; raises what the gate raises."""
        cloud = await self._clouds.handler(connection, InventoryHandler)
        items = await cloud.list_owned()
        # The rows are read after the list: what is made meanwhile is not on it, and has its row before it is made.
        known = judge(items, await self._ours(connection, items))
        owned = [Owned(item, seen) for item, seen in zip(items, known, strict=True)]
        return await self._noted(connection, owned)

    async def remove(self, connection: str, *, force: bool = False) -> list[Removal]:
        """Remove the orphans; with ``force`` also what was seen unknown only just now. Never what is known."""
        unknown = [one for one in await self.look(connection) if not one.known]
        todo = sorted((one for one in unknown if one.sure or force), key=lambda one: _rank(one.item))
        cloud = await self._clouds.handler(connection, InventoryHandler)
        done: dict[str, Removal] = {}
        end, idle = self._clock.monotonic() + ROOM, 0
        while todo and idle < TRIES:
            for one in todo:
                late = self._clock.monotonic() > end
                done[place(one.item)] = _left(one) if late else await self._remove(connection, cloud, one)
            before, todo = len(todo), [one for one in todo if done[place(one.item)].fate is Fate.IN_USE]
            idle = 0 if len(todo) < before else idle + 1
            if todo and idle < TRIES:
                await self._clock.sleep(PAUSE)
        waiting = f"seen only now; ask again in {SURE_AFTER:.0f} s, or use force"
        return [done.get(place(one.item)) or Removal(one, Fate.WAITING, waiting) for one in unknown]

    async def _remove(self, connection: str, cloud: InventoryHandler, one: Owned) -> Removal:
        if (await self._ours(connection, [one.item])).know(one.item):
            return Removal(replace(one, known=True), Fate.LEFT, "it is known by now")
        try:
            await cloud.remove_owned(one.item)
        except CloudConflictError as error:
            return Removal(one, Fate.IN_USE, error.message)
        except CloudError as error:
            return Removal(one, Fate.FAILED, error.message)
        log.info("removed %s, which nobody knew, from %s", place(one.item), connection)
        async with self._store.transaction() as tx:
            await tx.emit(self._event("orphan.removed", connection, one.item, "was removed, as nobody here knew it"))
        return Removal(one, Fate.REMOVED)

    async def _ours(self, connection: str, items: list[OwnedInfo]) -> Ours:
        """What our rows know of these items. A VM that is Terminated knows nothing any more: what is still there of it
        is a leftover."""
        named = sorted({mark for item in items for mark in marks(item)})
        uids: set[str] = set()
        async with self._store.reading() as tx:
            for start in range(0, len(named), 500):
                part = named[start : start + 500]
                uids |= {vm.uid for vm in await tx.find(Vm, uid=part) if vm.state is not VmState.TERMINATED}
                uids |= {row.uid for row in await tx.find(Resource, uid=part)}
            if all(marks(item) & uids for item in items):
                return Ours(uids, set(), set())
            vms = [vm for vm in await tx.find(Vm) if vm.state is not VmState.TERMINATED]
            resources = await tx.find(Resource, kind=[kind.value for kind in AT_CLOUD])
        ids = {(vm.connection, vm.cloud_id) for vm in vms} | {(row.connection, row.cloud_id) for row in resources}
        return Ours(uids, {name for at, name in ids if name and at == connection}, {name for _, name in ids if name})

    async def _noted(self, connection: str, owned: list[Owned]) -> list[Owned]:
        """The same with since when each is unknown; news are written down, and an orphan is told once."""
        uid, now = noted_under(connection), self._clock.now()
        unknown = [one.item for one in owned if not one.known][:MOST_NOTED]
        async with self._store.reading() as tx:
            row = await tx.get(Setting, uid)
        if note(row.value if row else {}, unknown, now) != (row.value if row else {}):
            async with self._store.transaction() as tx:
                row = await tx.get(Setting, uid)
                before = row.value if row else {}
                after = note(before, unknown, now)
                for item in unknown:
                    if _told(after[place(item)]) and not _told(before.get(place(item), "")):
                        await tx.emit(self._event("orphan.found", connection, item, "is ours and nobody here knows it"))
                written = replace(row or Setting(uid=uid), value=after)
                row = await (tx.update(written) if row else tx.insert(written))
        notes = row.value if row else {}
        return [one if one.known else _dated(one, notes.get(place(one.item), ""), now) for one in owned]

    def _event(self, kind: str, connection: str, item: OwnedInfo, text: str) -> Event:
        facts = {"kind": item.kind, "id": item.id, "name": item.name}
        sentence = f"{item.kind} {item.name or item.id} at {connection} {text}"
        return self._events.make(kind, f"connections/{connection}", sentence, **facts)


def noted_under(connection: str) -> str:
    """Where the looks at a connection are written down."""
    return f"orphans:{connection}"


def place(item: OwnedInfo) -> str:
    """What names an object at its cloud."""
    return f"{item.kind}/{item.id}"


def marks(item: OwnedInfo) -> set[str]:
    """The uids of rows that it bears."""
    return {item.token, *(item.tags.get(tag, "") for tag in TAGS)} - {""}


def judge(items: list[OwnedInfo], ours: Ours) -> list[bool]:
    """Whether each is known. What bears no uid is shared (such as a resource group), and known as long as anything on
    the list is."""
    named = [ours.know(item) for item in items]
    shared = any(named)
    return [known or (shared and not marks(item)) for item, known in zip(items, named, strict=True)]


TOLD = " told"


def note(before: dict[str, str], unknown: list[OwnedInfo], now: float) -> dict[str, str]:
    """The notes after a look: object → when it was first seen unknown, marked once it is surely an orphan. Pure."""
    after: dict[str, str] = {}
    for item in unknown:
        text = before.get(place(item)) or f"{now:.3f}"
        sure = _told(text) or now - _since(text) >= SURE_AFTER
        after[place(item)] = f"{_since(text):.3f}{TOLD if sure else ''}"
    return after


def _since(text: str) -> float:
    return float(text.removesuffix(TOLD))


def _told(text: str) -> bool:
    return text.endswith(TOLD)


def _dated(one: Owned, text: str, now: float) -> Owned:
    return replace(one, since=_since(text) if text else now, sure=_told(text))


def _rank(item: OwnedInfo) -> tuple[bool, int]:
    return not marks(item), ORDER.index(item.kind) if item.kind in ORDER else len(ORDER)


def _left(one: Owned) -> Removal:
    return Removal(one, Fate.LEFT, "there was no time for it; ask again")
