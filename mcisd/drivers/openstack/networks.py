"""Networks: a network, its subnets, and a router to the outside where the connection names an external network.

In: requests of the core. Out: neutron's objects, each marked in the request that makes it.
"""

import ipaddress
import time

from mcisd.drivers.openstack import naming
from mcisd.drivers.openstack.client import Json
from mcisd.drivers.openstack.part import Part, age, half_made
from mcisd.drivers.openstack.translate import network_info
from mcisd.model.cloud import NetworkInfo, NetworkRequest
from mcisd.model.errors import CloudConflictError, CloudInvalidError, CloudNotFoundError, CloudTransientError

CIDR = naming.INNER + "cidr"
GROUP_NETWORK = naming.INNER + "network"


class Networks(Part):
    """The NetworkHandler of a connection."""

    async def create_network(self, request: NetworkRequest) -> NetworkInfo:
        lock = self._memory.lock(self._installation, "network", request.token)
        return await self._works.run(lock, lambda: self._create_network(request))

    async def list_networks(self) -> list[NetworkInfo]:
        return [network_info(item, self._installation) for item in await self._owned("networks")]

    async def delete_network(self, network_id: str) -> None:
        """Router first, then the network, with which its subnets go."""
        network = await self._network(network_id)
        if network is None or not self._owns(network):
            return
        groups = [g for g in await self._owned("security-groups") if _network_of(g) == network_id]
        if groups:
            raise CloudConflictError(f"security group {groups[0]['id']} belongs to network {network_id}")
        ports = await self._client.pages("neutron", "ports", "ports", {"network_id": network_id})
        using = [port for port in ports if not str(port["device_owner"]).startswith("network:")]
        if using:
            raise CloudConflictError(f"port {using[0]['id']} is in network {network_id}")
        routed = bool(ports) or bool(self._settings.external_network)  # a router may be half made, without a leg
        for router in await self._routers(network_id) if routed else []:
            await self._remove_router(str(router["id"]), network_id, [str(sub) for sub in network.get("subnets") or []])
        await self._delete("neutron", "networks/{id}", network_id)

    async def _network(self, network_id: str) -> Json | None:
        if not naming.is_id(network_id):
            return None
        try:
            found = await self._client.get("neutron", "networks/{id}", network_id)
        except CloudNotFoundError:
            return None
        network: Json = found["network"]
        return network

    async def _create_network(self, request: NetworkRequest) -> NetworkInfo:
        cidrs = request.subnets or (request.cidr,)
        _check_cidrs(request.cidr, *cidrs)
        known = await self._marked("networks", request.token)
        mark = naming.description(self._installation, request.token)
        begun = time.monotonic()
        if known:
            network = known[0]
        else:
            body = {"network": {"name": request.name, "description": mark, "admin_state_up": True}}
            network = (await self._client.post("neutron", "networks", body=body))["network"]
        slow = 2 * (time.monotonic() - begun)
        network = await self._retag("networks", network, {**request.tags, CIDR: request.cidr})
        subnets = await self._subnets(network, mark, cidrs)
        if self._settings.external_network:
            await self._route(str(network["id"]), mark, [str(subnet["id"]) for subnet in subnets])
        if not known or len(known) > 1:
            oldest = await self._settled("networks", request.token, network, slow)
            if oldest["id"] != network["id"]:
                await self.delete_network(str(network["id"]))
                raise CloudTransientError("another controller has made this network first; the next try finds it")
        return network_info({**network, "subnets": [subnet["id"] for subnet in subnets]}, self._installation)

    async def _subnets(self, network: Json, mark: str, cidrs: tuple[str, ...]) -> list[Json]:
        """The subnets in the order of the request; those that are missing are made, in one request."""
        wanted = [str(ipaddress.ip_network(cidr)) for cidr in cidrs]
        network_id = str(network["id"])
        known: list[Json] = []
        if network.get("subnets"):
            known = await self._client.pages("neutron", "subnets", "subnets", {"network_id": network_id})
        missing = [cidr for cidr in wanted if all(cidr != subnet["cidr"] for subnet in known)]
        if missing:
            body = [
                {
                    "network_id": network_id, "cidr": cidr, "ip_version": ipaddress.ip_network(cidr).version,
                    "description": mark, "dns_nameservers": list(self._settings.dns),
                }
                for cidr in missing
            ]  # fmt: skip
            try:
                known += (await self._client.post("neutron", "subnets", body={"subnets": body}))["subnets"]
            except (CloudConflictError, CloudInvalidError) as error:
                seen = await self._client.pages("neutron", "subnets", "subnets", {"network_id": network_id})
                if all(subnet["cidr"] not in missing for subnet in seen):
                    raise  # nobody else is at work here
                raise half_made("network", error) from error
        return sorted(
            known, key=lambda subnet: wanted.index(subnet["cidr"]) if subnet["cidr"] in wanted else len(wanted)
        )

    async def _routers(self, network_id: str) -> list[Json]:
        found = await self._client.pages("neutron", "routers", "routers", {"name": _router_name(network_id)})
        return [router for router in found if self._owns(router)]

    async def _route(self, network_id: str, mark: str, subnets: list[str]) -> None:
        """A router to the outside with a leg in each subnet."""
        external = await self._external_id()
        known = await self._routers(network_id)
        legs = await self._legs(network_id, known)
        if known:
            router_id = min(known, key=lambda router: (str(router["id"]) not in legs.values(), age(router)))["id"]
        else:
            gateway = {"network_id": external}
            body = {"router": {"name": _router_name(network_id), "description": mark, "external_gateway_info": gateway}}
            router_id = (await self._client.post("neutron", "routers", body=body))["router"]["id"]
        for subnet in [subnet for subnet in subnets if subnet not in legs]:
            leg = {"subnet_id": subnet}
            try:
                await self._client.call("neutron", "PUT", "routers/{id}/add_router_interface", router_id, body=leg)
            except (CloudConflictError, CloudInvalidError) as error:
                if subnet not in await self._legs(network_id, await self._routers(network_id)):
                    raise
                if not known:
                    await self._delete("neutron", "routers/{id}", router_id)
                raise half_made("network", error) from error

    async def _legs(self, network_id: str, routers: list[Json]) -> dict[str, str]:
        """Subnet → the router that has a leg in it."""
        legs: dict[str, str] = {}
        for router_id in [str(router["id"]) for router in routers]:
            query = {"device_id": router_id, "network_id": network_id}
            ports = await self._client.pages("neutron", "ports", "ports", query)
            legs |= {str(place["subnet_id"]): router_id for port in ports for place in port["fixed_ips"]}
        return legs

    async def _remove_router(self, router_id: str, network_id: str, subnets: list[str]) -> None:
        for subnet in subnets:
            try:
                leg = {"subnet_id": subnet}
                await self._client.call("neutron", "PUT", "routers/{id}/remove_router_interface", router_id, body=leg)
            except (CloudNotFoundError, CloudInvalidError):
                continue  # it has no leg there, or the router is gone
            except CloudConflictError as error:
                raise CloudConflictError(f"network {network_id} is in use: {error.message}") from error
        await self._delete("neutron", "routers/{id}", router_id)

    async def _external_id(self) -> str:
        """The id of the external network, which may be given by name."""
        if not self._external:
            wanted = self._settings.external_network
            found = await self._client.pages("neutron", "networks", "networks", {"router:external": "true"})
            match = [str(item["id"]) for item in found if wanted in (item["id"], item["name"])]
            if len(match) != 1:
                names = ", ".join(sorted(str(item["name"]) for item in found)) or "none"
                raise CloudInvalidError(
                    f"{'several networks are' if match else 'no network is'} the external network {wanted[:60]!r}",
                    field="external_network",
                    remedy=f"use the id or name of one of: {names[:300]}",
                )
            self._external = match[0]
        return self._external


def _router_name(network_id: str) -> str:
    return f"mcisd-{network_id}"


def _network_of(group: Json) -> str:
    return naming.from_tags(group.get("tags") or []).get(GROUP_NETWORK, "")


def _check_cidrs(*cidrs: str) -> None:
    for cidr in cidrs:
        try:
            ipaddress.ip_network(cidr)
        except ValueError:
            raise CloudInvalidError(f"{cidr[:60]!r} is no network address", field="cidr") from None
