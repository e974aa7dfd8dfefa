"""The cloud's memory on disk: one JSON file per object, written atomically. In: objects. Out: the same after a restart.

No fsync: the state must survive the end of the cloud process, and after a power cut no VM is left anyway.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Document = dict[str, Any]


@dataclass(slots=True)
class Item:
    """One object of the cloud: ``face`` is what callers see, ``inner`` what only the cloud knows."""

    kind: str
    id: str
    account: str
    region: str
    token: str
    face: Document
    inner: Document = field(default_factory=dict)


class Disk:
    """All objects of one cloud, in memory and on disk."""

    def __init__(self, home: Path) -> None:
        self._root = home / "objects"
        self._items: dict[tuple[str, str], Item] = {}
        for path in sorted(self._root.glob("*/*.json")):
            item = Item(**json.loads(path.read_text()))
            self._items[item.kind, item.id] = item

    def put(self, item: Item) -> None:
        """Keep ``item``, replacing an older state of it."""
        self._items[item.kind, item.id] = item
        write_json(self._path(item.kind, item.id), asdict(item))

    def remove(self, kind: str, item_id: str) -> None:
        """Forget an object; nothing happens if there is none."""
        if self._items.pop((kind, item_id), None) is not None:
            self._path(kind, item_id).unlink(missing_ok=True)

    def get(self, kind: str, item_id: str) -> Item | None:
        return self._items.get((kind, item_id))

    def all(self, kind: str) -> list[Item]:
        return [item for (of, _), item in self._items.items() if of == kind]

    def within(self, kind: str, account: str, region: str) -> list[Item]:
        """Objects of one kind of one account in one region."""
        return [item for item in self.all(kind) if item.account == account and item.region == region]

    def by_token(self, kind: str, account: str, region: str, token: str) -> Item | None:
        """The object made earlier with this idempotency token."""
        return next((item for item in self.within(kind, account, region) if item.token == token), None)

    def _path(self, kind: str, item_id: str) -> Path:
        return self._root / kind / f"{item_id}.json"


def write_json(path: Path, document: Document) -> None:
    """Write so that a reader sees the old text or the new one, never half of it; mode 0600."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.touch(mode=0o600)
    scratch.write_text(json.dumps(document, indent=1))
    scratch.replace(path)
