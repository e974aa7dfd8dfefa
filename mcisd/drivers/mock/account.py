"""What a mock account may have and what it has. In: who asks. Out: quotas, and all objects with our mark."""

from mcisd.drivers.mock import errors, translate
from mcisd.drivers.mock.cloud import Region
from mcisd.drivers.mock.resources import MockResources
from mcisd.drivers.mock.vms import MockVms
from mcisd.model.cloud import OwnedInfo, QuotaInfo


class MockAccount(MockResources, MockVms):
    """QuotaHandler and InventoryHandler, above the handlers of the objects themselves."""

    async def list_quotas(self) -> list[QuotaInfo]:
        region = self._admitted()
        limit = self._cloud.settings.vms_per_region
        return await self._cloud.call(
            "list_quotas", region, lambda now: [QuotaInfo("vms", limit, region.occupied), QuotaInfo("networks", None)]
        )

    async def list_owned(self) -> list[OwnedInfo]:
        region = self._admitted()
        return await self._cloud.call("list_owned", region, lambda now: self._owned(region, now))

    async def remove_owned(self, item: OwnedInfo) -> None:
        remove = {
            "vm": self.terminate_vm,
            "network": self.delete_network,
            "security-group": self.delete_security_group,
            "key": self.delete_key_pair,
        }
        if item.kind not in remove:
            raise errors.invalid("kind", item.kind)
        await remove[item.kind](item.id)

    def _owned(self, region: Region, now: float) -> list[OwnedInfo]:
        found = [
            OwnedInfo(
                "vm", machine.id, machine.request.name, token, translate.tags(machine.request.tags, self._installation)
            )
            for token, machine in region.vms.owned(self._installation, now)
            if machine.occupies(now)
        ]
        for kind, shelf in (("network", region.networks), ("security-group", region.groups), ("key", region.keys)):
            rows = shelf.owned(self._installation, now)
            found += [OwnedInfo(kind, item.id, item.name, token, item.tags) for token, item in rows]
        return found
