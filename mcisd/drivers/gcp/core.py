"""What all parts of a connection share. In: an API, a region, an installation. Out: seeds, links, marks, zones."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from mcisd.drivers.gcp.api import Api, Json
from mcisd.drivers.gcp.names import Marks, is_name, load, resource_name, tail
from mcisd.drivers.gcp.prices import PriceCache
from mcisd.model.cloud import VmInfo
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a connection works.

    ``pauses`` are seconds between looks at an operation that takes long; ``prices`` are kept for a day, and come from
    ``price_source`` ("": there are none).
    """

    region: str
    zone: str
    installation: str
    pauses: tuple[float, ...]
    prices: PriceCache
    price_source: str


class Core:
    """The base of each part."""

    def __init__(self, api: Api, scope: Scope) -> None:
        self._api = api
        self._scope = scope
        self._zones: tuple[str, ...] = ()
        self._writing = asyncio.Lock()
        self._reading_prices = asyncio.Lock()
        self._learning = asyncio.Lock()
        """Held while something is asked that is kept: many VMs that start at once ask it once."""
        self._known: set[str] = set()
        """Keys and security groups that are surely there: seen by this connection, and not deleted by it."""
        self._unfinished: dict[str, tuple[str, VmInfo]] = {}
        """VMs that Google was still making when we stopped looking: by id, the operation and the VM."""

    def _name(self, name: str, token: str) -> str:
        return resource_name(name, self._scope.installation, self._scope.region, token)

    def _marks(self, token: str, name: str, tags: dict[str, str], **more: str) -> Marks:
        return Marks(self._scope.installation, self._scope.region, token, name, dict(tags), more)

    def _ours(self, item: Json) -> Marks | None:
        """The marks in a description, if they are ours."""
        marks = load(str(item.get("description", "")))
        return marks if marks is not None and marks.of(self._scope.installation, self._scope.region) else None

    def _network_link(self, network_id: str) -> str:
        return f"projects/{self._api.project}/global/networks/{network_id}"

    async def _region_zones(self) -> tuple[str, ...]:
        """The zones of our region, sorted; asked for once."""
        async with self._learning:
            if not self._zones:
                self._zones = await self._ask_zones()
            return self._zones

    async def _ask_zones(self) -> tuple[str, ...]:
        try:
            region = await self._api.call("regions.get", region=self._scope.region)
        except CloudNotFoundError as error:
            raise CloudInvalidError(
                f"region {self._scope.region!r} or project {self._api.project!r} does not exist: {error.message}",
                field="region",
                remedy="use a region of: gcloud compute regions list, and a project of: gcloud projects list",
            ) from error
        return tuple(sorted(tail(zone) for zone in region.get("zones", ())))

    async def _zone(self, wanted: str | None) -> str:
        """The zone to use: the one asked for, the connection's, or the region's first."""
        zones = await self._region_zones()
        zone = wanted or self._scope.zone or (zones[0] if zones else "")
        if zone not in zones:
            known = ", ".join(zones) or "none"
            raise CloudInvalidError(
                f"zone {zone[:80]!r} is not one of region {self._scope.region}",
                field="zone",
                remedy=f"use one of: {known}",
            )
        return zone


def named(text: str, what: str) -> str:
    """``text`` if Google could have something of that name; CloudNotFoundError if not."""
    if not is_name(text):
        raise CloudNotFoundError(f"there is no {what} {text[:80]!r}")
    return text


def in_network(items: Iterable[Json], network_id: str) -> bool:
    """Whether one of these firewall rules or instances is in the network."""
    return any(
        tail(str(part.get("network", ""))) == network_id
        for item in items
        for part in (item, *item.get("networkInterfaces", ()))
    )
