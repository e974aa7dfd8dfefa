"""Key pairs: entries in the project's metadata. In: requests of the core. Out: KeyPairInfo.

Google has no key pairs. An entry here lets nobody in (a VM gets its key at first boot, and ignores the project's): it
is our register of them. All entries are written at once, guarded by a fingerprint: who comes second reads again.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from mcisd.drivers.gcp.api import Json
from mcisd.drivers.gcp.core import Core
from mcisd.drivers.gcp.names import Marks, dump, load
from mcisd.model.cloud import KeyPairInfo, KeyPairRequest
from mcisd.model.errors import CloudConflictError, CloudInvalidError, CloudNotFoundError

PREFIX = "mcisd-key-"
Edit = Callable[[dict[str, str]], bool]


class Keys(Core):
    """The handlers for key pairs."""

    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo:
        print_ = fingerprint(request.public_key)
        key = f"{PREFIX}{self._name(request.name, request.token)}"
        marks = self._marks(
            request.token, request.name, request.tags, public_key=request.public_key.strip(), fingerprint=print_
        )

        def add(items: dict[str, str]) -> bool:
            if key in items:
                return False
            items[key] = dump(marks)
            return True

        items = await self._edit(add)
        self._known.add(key)
        return _info(key, load(items[key]) or marks)

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        return [_info(key, marks) for key, marks in await self._own_keys()]

    async def _own_keys(self) -> list[tuple[str, Marks]]:
        items = _items(await self._api.call("projects.get"))
        read = [(key, load(text)) for key, text in items.items() if key.startswith(PREFIX)]
        ours = (self._scope.installation, self._scope.region)
        return [(key, marks) for key, marks in read if marks is not None and marks.of(*ours)]

    async def delete_key_pair(self, key_id: str) -> None:
        if not key_id.startswith(PREFIX):
            return
        self._known.discard(key_id)

        def remove(items: dict[str, str]) -> bool:
            return items.pop(key_id, None) is not None

        await self._edit(remove)

    async def _edit(self, edit: Edit) -> dict[str, str]:
        """Change the entries as ``edit`` does, which says whether there was anything to do; all entries after it."""
        async with self._writing:
            for attempt in range(20):
                metadata = (await self._api.call("projects.get")).get("commonInstanceMetadata", {})
                items = _items({"commonInstanceMetadata": metadata})
                if not edit(items):
                    return items
                body = {
                    "items": [{"key": key, "value": value} for key, value in items.items()],
                    "fingerprint": metadata.get("fingerprint", ""),
                }
                try:
                    await self._api.change("projects.setCommonInstanceMetadata", metadataResource=body)
                    return items
                except CloudConflictError:  # somebody else wrote meanwhile
                    await asyncio.sleep(0.05 * min(attempt, 10))
        raise CloudConflictError("the project's metadata is changed by others all the time", remedy="try again later")

    async def _need_key(self, key_id: str) -> None:
        """CloudNotFoundError if the key is not in the register."""
        async with self._learning:
            if key_id in self._known:
                return
            if key_id not in dict(await self._own_keys()):
                raise CloudNotFoundError(f"there is no key pair {key_id[:80]!r}", field="key_pair_id")
            self._known.add(key_id)


def fingerprint(public_key: str) -> str:
    """As ``ssh-keygen -l`` shows it; CloudInvalidError if it is no public key."""
    try:
        load_ssh_public_key(public_key.strip().encode())
        blob = base64.b64decode(public_key.split()[1], validate=True)
    except (ValueError, UnsupportedAlgorithm, IndexError, binascii.Error) as error:
        raise CloudInvalidError("this is not an OpenSSH public key", field="public_key") from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _items(project: Json) -> dict[str, str]:
    entries = project.get("commonInstanceMetadata", {}).get("items", ())
    return {str(entry["key"]): str(entry.get("value", "")) for entry in entries}


def _info(key: str, marks: Marks) -> KeyPairInfo:
    return KeyPairInfo(key, marks.name, marks.more.get("fingerprint", ""), marks.shown())
