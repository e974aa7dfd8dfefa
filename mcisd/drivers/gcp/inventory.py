"""Everything of ours in this region, whatever it is. In: marks. Out: OwnedInfo, and its removal one by one."""

from mcisd.drivers.gcp.api import Json, together
from mcisd.drivers.gcp.names import description_filter, label_filter
from mcisd.drivers.gcp.networks import Networks
from mcisd.drivers.gcp.translate import vm_id
from mcisd.drivers.gcp.vms import Vms
from mcisd.drivers.marks import TOKEN
from mcisd.model.cloud import OwnedInfo
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError


class Inventory(Vms, Networks):
    """The handler for what we own: one paged call per kind, as Google cannot search all kinds at once."""

    async def list_owned(self) -> list[OwnedInfo]:
        kinds = await together(
            self._vms_owned(), self._disks_owned(), self._groups_owned(), self._subnets_owned(),
            self._networks_owned(), self._keys_owned(),
        )  # fmt: skip
        return [item for kind in kinds for item in kind]

    async def _vms_owned(self) -> list[OwnedInfo]:
        return [
            OwnedInfo("vm", vm_id(item), marks.name, marks.token, marks.shown())
            for item, marks in await self._own_vms()
        ]

    async def _disks_owned(self) -> list[OwnedInfo]:
        search = label_filter(self._scope.installation, self._scope.region)
        found = await self._api.scoped("disks.aggregatedList", "disks", self._scope.region, filter=search)
        return [_disk(item) for item in found]

    async def _groups_owned(self) -> list[OwnedInfo]:
        return [
            OwnedInfo("security-group", name, marks.name, marks.token, marks.shown())
            for name, _, marks in await self._own_groups()
        ]

    async def _subnets_owned(self) -> list[OwnedInfo]:
        found = await self._api.items(
            "subnetworks.list", region=self._scope.region, filter=description_filter(self._scope.installation)
        )
        return [
            OwnedInfo("subnet", item["name"], item["name"], marks.token, marks.shown())
            for item in found
            if (marks := self._ours(item)) is not None
        ]

    async def _networks_owned(self) -> list[OwnedInfo]:
        return [
            OwnedInfo("network", item["name"], marks.name, marks.token, marks.shown())
            for item, marks in await self._own_networks()
        ]

    async def _keys_owned(self) -> list[OwnedInfo]:
        return [OwnedInfo("key", key, marks.name, marks.token, marks.shown()) for key, marks in await self._own_keys()]

    async def remove_owned(self, item: OwnedInfo) -> None:
        match item.kind:
            case "vm":
                await self.terminate_vm(item.id)
            case "disk":
                await self._remove_disk(item.id)
            case "security-group":
                await self.delete_security_group(item.id)
            case "subnet":
                await self._remove_subnet(item.id)
            case "network":
                await self.delete_network(item.id)
            case "key":
                await self.delete_key_pair(item.id)
            case _:
                raise CloudInvalidError(f"this driver makes no {item.kind[:40]!r}", field="kind")

    async def _remove_disk(self, disk_id: str) -> None:
        try:
            zone, name = self._parts(disk_id)
        except CloudNotFoundError:
            return
        await self._api.remove("disks.delete", zone=zone, disk=name)


def _disk(item: Json) -> OwnedInfo:
    """Only labels are kept with a disk: a token that does not fit them is shown as its digest."""
    tags = dict(item.get("labels", {}))
    token = tags.pop(TOKEN, "")
    return OwnedInfo("disk", vm_id(item), item["name"], token, tags)
