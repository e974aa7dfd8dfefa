"""Networks: one custom-mode VPC network and one subnetwork per range in our region, one after the other.

In: requests of the core. Out: NetworkInfo, found again by the marks in the description.
"""

from mcisd.drivers.gcp.api import Json, together
from mcisd.drivers.gcp.core import Core, in_network, named
from mcisd.drivers.gcp.names import Marks, description, description_filter, is_name, label_filter, tail
from mcisd.model.cloud import NetworkInfo, NetworkRequest
from mcisd.model.errors import CloudConflictError, CloudNotFoundError


class Networks(Core):
    """The handlers for networks."""

    async def create_network(self, request: NetworkRequest) -> NetworkInfo:
        name = self._name(request.name, request.token)
        marks = self._marks(request.token, request.name, request.tags, cidr=request.cidr)
        body = {"name": name, "autoCreateSubnetworks": False, "description": description(marks)}
        found = await self._api.make(
            "networks.insert", f"network {name}", lambda: self._find_network(name), networkResource=body
        )
        known = (self._ours(found) if found else None) or marks
        ranges = request.subnets or (request.cidr,)
        names = [f"{name}-{i}" for i in range(len(ranges))]
        await together(*(self._make_subnet(each, name, cidr, known) for each, cidr in zip(names, ranges, strict=True)))
        return NetworkInfo(name, known.name, known.more.get("cidr", ""), tuple(names), known.shown())

    async def _make_subnet(self, name: str, network: str, cidr: str, marks: Marks) -> None:
        body = {
            "name": name,
            "network": self._network_link(network),
            "ipCidrRange": cidr,
            "description": description(marks),
        }
        await self._api.make(
            "subnetworks.insert",
            f"subnetwork {name}",
            lambda: self._find_subnet(name),
            region=self._scope.region,
            subnetworkResource=body,
        )

    async def list_networks(self) -> list[NetworkInfo]:
        return [_info(item, marks) for item, marks in await self._own_networks()]

    async def _own_networks(self) -> list[tuple[Json, Marks]]:
        listed = await self._api.items("networks.list", filter=description_filter(self._scope.installation))
        return [(item, marks) for item in listed if (marks := self._ours(item)) is not None]

    async def delete_network(self, network_id: str) -> None:
        if not is_name(network_id):
            return
        found = await self._find_network(network_id)
        if found is None or self._ours(found) is None:
            return
        await self._refuse_if_used(network_id)
        await together(*(self._remove_subnet(tail(link)) for link in found.get("subnetworks", ())))
        await self._api.remove("networks.delete", network=network_id)

    async def _remove_subnet(self, name: str) -> None:
        await self._api.remove("subnetworks.delete", region=self._scope.region, subnetwork=name)

    async def _refuse_if_used(self, network_id: str) -> None:
        """Before the first part is deleted: Google itself would refuse only the last."""
        ours = self._scope.installation
        groups = await self._api.items("firewalls.list", filter=description_filter(ours))
        if in_network(groups, network_id):
            raise CloudConflictError(f"network {network_id} has a security group", remedy="delete that first")
        search = label_filter(ours, self._scope.region)
        vms = await self._api.scoped("instances.aggregatedList", "instances", self._scope.region, filter=search)
        if in_network(vms, network_id):
            raise CloudConflictError(f"network {network_id} has a VM", remedy="terminate that first")

    async def _find_network(self, name: str) -> Json | None:
        try:
            return await self._api.call("networks.get", network=named(name, "network"))
        except CloudNotFoundError:
            return None

    async def _find_subnet(self, name: str) -> Json | None:
        try:
            return await self._api.call("subnetworks.get", region=self._scope.region, subnetwork=name)
        except CloudNotFoundError:
            return None


def _info(item: Json, marks: Marks) -> NetworkInfo:
    subnets = tuple(sorted(tail(link) for link in item.get("subnetworks", ())))
    return NetworkInfo(item["name"], marks.name, marks.more.get("cidr", ""), subnets, marks.shown())
