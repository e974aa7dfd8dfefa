"""All that is ours in a region. In: nothing. Out: one line for each object of our resource group, and their removal."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mcisd.drivers.azure.errors import ResourceGroupMissingError
from mcisd.drivers.azure.names import kind_of
from mcisd.drivers.azure.resources import AzureNetworks
from mcisd.drivers.azure.session import WAIT
from mcisd.drivers.azure.translate import ENDED, owned_of, tags_of
from mcisd.drivers.azure.vms import AzureVms
from mcisd.drivers.marks import ours
from mcisd.model.cloud import OwnedInfo
from mcisd.model.errors import CloudInvalidError

KEPT = timedelta(days=1)
"""How long a marker of a terminated VM does its work; then it is a leftover like any other."""


class AzureInventory(AzureVms, AzureNetworks):
    async def list_owned(self) -> list[OwnedInfo]:
        """By resource group and not by tag: Azure makes the disks, and they carry our names but not surely our tags."""
        call = self._session.resource.resources.list_by_resource_group
        try:
            bodies = await self._session.pages(call, self._group)
        except ResourceGroupMissingError:
            return []
        return [owned_of(body) for body in bodies if self._counts(body)]

    def _counts(self, body: Mapping[str, Any]) -> bool:
        name = str(body["name"]).lower()
        if kind_of(name) == "gone":
            return _old(tags_of(body).get(ENDED, ""))
        return kind_of(name) is not None or ours(tags_of(body), self._installation)

    async def remove_owned(self, item: OwnedInfo) -> None:
        compute, network = self._session.compute, self._session.network
        match kind_of(item.id):
            case "vm":
                return await self.terminate_vm(item.id)
            case "net":
                return await self.delete_network(item.id)
            case "sg":
                return await self.delete_security_group(item.id)
            case "key":
                return await self.delete_key_pair(item.id)
            case "disk":
                begin = compute.disks.begin_delete
            case "nic":
                begin = network.network_interfaces.begin_delete
            case "ip":
                begin = network.public_ip_addresses.begin_delete
            case "gone":
                begin = network.application_security_groups.begin_delete
            case _:
                raise CloudInvalidError(
                    f"{item.kind[:40]} {item.id[:60]!r} was not made by mcisd", remedy="remove it in the Azure portal"
                )
        return await self._gone(lambda: self._session.change(begin, self._group, item.id, wait=WAIT))


def _old(ended: str) -> bool:
    try:
        return datetime.now(UTC) - datetime.fromisoformat(ended) > KEPT
    except (ValueError, TypeError):
        return True
