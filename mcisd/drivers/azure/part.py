"""What all parts of a connection share. In: a session. Out: the resource group, marks, and one creation at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mcisd.drivers.azure.errors import ResourceGroupMissingError
from mcisd.drivers.azure.names import resource_group
from mcisd.drivers.azure.session import Json, Session
from mcisd.drivers.azure.settings import Settings
from mcisd.drivers.azure.translate import NAME
from mcisd.drivers.marks import INSTALLATION, marked, ours
from mcisd.drivers.turns import Turns
from mcisd.model.errors import CloudNotFoundError

T = TypeVar("T")


class AzurePart:
    """Base of the mixins that make a connection."""

    def __init__(self, session: Session, installation: str) -> None:
        self._session = session
        self._installation = installation
        self._turns = Turns()

    @property
    def _settings(self) -> Settings:
        return self._session.settings

    @property
    def _group(self) -> str:
        return resource_group(self._installation, self._settings.region)

    def _id(self, kind: str, name: str) -> str:
        """The full id of an object in our resource group; ``kind`` as "Microsoft.Network/networkInterfaces"."""
        return f"/subscriptions/{self._settings.subscription}/resourceGroups/{self._group}/providers/{kind}/{name}"

    def _base(self, tags: dict[str, str], token: str, name: str, **private: str) -> Json:
        """Place and tags of a new object."""
        extra = {NAME: name[:256], **private}
        return {"location": self._settings.region, "tags": {**marked(tags, self._installation, token), **extra}}

    def _alone(self, name: str) -> asyncio.Lock:
        """One creation of this name at a time: Azure cancels the first of two that overlap."""
        return self._turns.of(name)

    async def _in_group(self, work: Callable[[], Awaitable[T]]) -> T:
        """``work``; where the resource group is missing it is made, and the work done again."""
        try:
            return await work()
        except ResourceGroupMissingError:
            body: Json = {"location": self._settings.region, "tags": {INSTALLATION: self._installation}}
            await self._session.get(self._session.resource.resource_groups.create_or_update, self._group, body)
            return await work()

    async def _listed(self, call: Callable[..., Any], *args: Any, **options: Any) -> list[Json]:
        """All of ours in a list of the resource group; [] while there is no group."""
        try:
            found = await self._session.pages(call, self._group, *args, **options)
        except ResourceGroupMissingError:
            return []
        return [body for body in found if ours(body.get("tags") or {}, self._installation)]

    async def _gone(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Do a deletion; what is not there is deleted."""
        try:
            await work()
        except CloudNotFoundError:
            return
