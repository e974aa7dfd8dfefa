"""Everything of this installation in the project, leftovers too. In: one item or none. Out: its removal, or all."""

import asyncio

from mcisd.drivers.marks import TOKEN
from mcisd.drivers.openstack import naming
from mcisd.drivers.openstack.client import Json
from mcisd.drivers.openstack.groups import Groups
from mcisd.drivers.openstack.keys import Keys
from mcisd.drivers.openstack.translate import State, key_info, vm_state
from mcisd.drivers.openstack.vms import Vms
from mcisd.model.cloud import OwnedInfo
from mcisd.model.errors import CloudConflictError, CloudNotFoundError

KINDS = {
    "nic": "ports",
    "public-ip": "floatingips",
    "gateway": "routers",
    "security-group": "security-groups",
    "network": "networks",
}
"""Our word → neutron's collection. Subnets go with their network."""


class Inventory(Vms, Groups, Keys):
    """The InventoryHandler of a connection: one list per kind, as the cloud has no search over all of them."""

    async def list_owned(self) -> list[OwnedInfo]:
        servers, keys, *lists = await asyncio.gather(
            self._servers(), self._keys(), *(self._owned(kind) for kind in KINDS.values())
        )
        found = [
            OwnedInfo(
                "vm",
                server["id"],
                server["name"],
                server["metadata"].get(TOKEN, ""),
                naming.visible(server["metadata"]),
            )
            for server in servers
            if vm_state(server)[0] is not State.TERMINATED
        ]
        for kind, items in zip(KINDS, lists, strict=True):
            found += [self._item(kind, item) for item in items]
        for key in keys:
            info, body = key_info(key), naming.key_body(key["public_key"]) or {}
            found.append(OwnedInfo("key", info.id, info.name, str(body.get("token", "")), info.tags))
        return found

    async def remove_owned(self, item: OwnedInfo) -> None:
        match item.kind:
            case "vm":
                await self.terminate_vm(item.id)
            case "key":
                await self.delete_key_pair(item.id)
            case "network":
                await self.delete_network(item.id)
            case "security-group":
                await self.delete_security_group(item.id)
            case kind if kind in KINDS:
                await self._remove(KINDS[kind], item.id)

    def _item(self, kind: str, item: Json) -> OwnedInfo:
        mark = naming.owner(item.get("description")) or ("", "")
        tags = naming.installed(naming.from_tags(item.get("tags") or []), self._installation)
        return OwnedInfo(kind, str(item["id"]), str(item.get("name") or ""), mark[1], tags)

    async def _remove(self, kind: str, item_id: str) -> None:
        """A port, an address or a router: only what is ours, and that nothing needs."""
        if not naming.is_id(item_id):
            return
        try:
            found = await self._client.get("neutron", kind + "/{id}", item_id)
        except CloudNotFoundError:
            return
        item: Json = next(iter(found.values()))
        if not self._owns(item):
            return
        if item.get("device_id") or item.get("port_id"):
            raise CloudConflictError(f"{kind} {item_id} serves {item.get('device_id') or item.get('port_id')}")
        await self._delete("neutron", kind + "/{id}", item_id)
