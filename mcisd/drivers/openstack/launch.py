"""The start of a VM: port, public address, server. In: a VmRequest. Out: one server per token, whoever asks.

Nova takes no idempotency token. What decides is the port: its hardware address follows from the token, and neutron
gives each address once in a network. Who gets the port makes the server; a second controller that finds it taken looks
for the server, and takes over only when the port is old and no server came of it.
"""

import base64

from mcisd.drivers.firstboot import cloud_config
from mcisd.drivers.marks import marked
from mcisd.drivers.openstack import naming, translate
from mcisd.drivers.openstack.client import Json
from mcisd.drivers.openstack.faults import no_capacity, server_time
from mcisd.drivers.openstack.networks import Networks
from mcisd.drivers.openstack.part import made_at
from mcisd.drivers.openstack.vms import DAY, Vms
from mcisd.model.cloud import CloudVmState, VmInfo, VmRequest
from mcisd.model.errors import (
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudNotFoundError,
    CloudTransientError,
)

TAKE_OVER = 120.0
"""Seconds after which a port without a server is taken for what a dead controller has left."""
LOOKS = (0.5, 1.0, 2.0, 4.0)
"""Pauses between looks whether the scheduler has found a host; a VM that fails later says so by its state."""
PURGES = 4
"""Old notes of ended VMs that one start removes from its network."""


class Launch(Vms, Networks):
    """``start_vm``."""

    async def start_vm(self, request: VmRequest) -> VmInfo:
        naming.description(self._installation, request.token)
        lock = self._memory.lock(self._installation, "vm", request.token)
        return await self._works.run(lock, lambda: self._start(request))

    async def _start(self, request: VmRequest) -> VmInfo:
        known = await self._known(request)
        if known is not None:
            return known
        port = await self._claim(request)
        try:
            server_id = await self._make(request, port)
        except CloudError as error:
            if error.retriable:
                raise  # the server may be there: the next try finds it, or this port
            await self._drop_port(request.network_id, str(port["mac_address"]))
            raise
        self._memory.keep(self._installation, request.token, server_id)
        return translate.vm_info(await self._scheduled(request, server_id), self._settings.region)

    async def _known(self, request: VmRequest) -> VmInfo | None:
        """What became of this token so far; on the way the network is proved to be there."""
        vm_id = self._memory.vm(self._installation, request.token)
        if vm_id is not None:
            try:
                return await self.get_vm(vm_id)
            except CloudNotFoundError:
                self._memory.drop(self._installation, request.token)
        servers = await self._servers(request.token)
        for double in servers[1:]:
            await self._delete("nova", "servers/{id}", str(double["id"]))
        if servers:
            self._memory.keep(self._installation, request.token, str(servers[0]["id"]))
            return translate.vm_info(servers[0], self._settings.region)
        network = await self._network(request.network_id)
        if network is None:
            raise CloudNotFoundError(f"there is no network {request.network_id[:60]!r}", field="network_id")
        return await self._ended(request, network)

    async def _ended(self, request: VmRequest, network: Json) -> VmInfo | None:
        """The VM of this token if it was terminated; old notes of others go."""
        notes = naming.ended(network.get("tags") or [])
        mac = naming.mac(self._installation, request.token)
        found = next((note for note in notes if note.mac == mac), None)
        yesterday = int(self._client.clock.now() // 3600) - DAY
        for note in [note for note in notes if note.hour < yesterday and note is not found][:PURGES]:
            await self._delete("neutron", "networks/{id}/tags/{tag}", request.network_id, note.tag())
        if found is None:
            return None
        return VmInfo(
            found.vm_id, request.name, request.token, CloudVmState.TERMINATED, self._settings.region,
            tags=naming.visible(marked(request.tags, self._installation, request.token)),
        )  # fmt: skip

    async def _claim(self, request: VmRequest) -> Json:
        """The port of this token, ours alone."""
        mac = naming.mac(self._installation, request.token)
        body = {
            "port": {
                "network_id": request.network_id, "mac_address": mac, "name": self._memory.claimant,
                "description": naming.description(self._installation, request.token),
                "fixed_ips": [{"subnet_id": request.subnet_id}] if request.subnet_id else [],
                "security_groups": list(request.security_group_ids),
            }
        }  # fmt: skip
        if not request.subnet_id:
            del body["port"]["fixed_ips"]
        try:
            return await self._port(body)
        except CloudConflictError:
            if not await self._abandoned(request.network_id, mac):
                raise CloudTransientError("another controller is making this VM; the next try finds it") from None
        await self._drop_port(request.network_id, mac)
        if await self._servers(request.token):
            raise CloudTransientError("another controller has made this VM; the next try finds it")
        try:
            return await self._port(body)
        except CloudConflictError as error:
            raise CloudTransientError(f"the port of this VM is being removed: {error.message}") from error

    async def _port(self, body: Json) -> Json:
        port: Json = (await self._client.post("neutron", "ports", body=body))["port"]
        return port

    async def _abandoned(self, network_id: str, mac: str) -> bool:
        """Whether the port with this address has no server and nobody who will make one.

        Within this process one start at a time has the token, so a port of ours is left over from an earlier try.
        """
        answer = await self._client.call(
            "neutron", "GET", "ports", params={"network_id": network_id, "mac_address": mac}
        )
        ports: list[Json] = answer.body["ports"]
        if any(port["device_id"] for port in ports):
            return False
        now = server_time(answer.headers) or self._client.clock.now()
        return all(port["name"] == self._memory.claimant or now - made_at(port) > TAKE_OVER for port in ports)

    async def _make(self, request: VmRequest, port: Json) -> str:
        """Ask nova for the server, with a public address on its port where the connection wants one."""
        marks = {
            **marked(request.tags, self._installation, request.token),
            translate.USER: request.guest_user,
            translate.NETWORK: request.network_id,
            translate.SPEC: request.spec_id,
            translate.PORT: str(port["id"]),
            translate.PRIVATE: str(port["fixed_ips"][0]["ip_address"]) if port["fixed_ips"] else "",
        }
        if self._settings.floating_ip:
            body = {
                "floatingip": {
                    "floating_network_id": await self._external_id(), "port_id": port["id"],
                    "description": naming.description(self._installation, request.token),
                }
            }  # fmt: skip
            made = (await self._client.post("neutron", "floatingips", body=body))["floatingip"]
            marks |= {translate.PUBLIC: str(made["floating_ip_address"]), translate.FLOATING: str(made["id"])}
        server: Json = {
            "name": request.name,
            "imageRef": request.image_id,
            "flavorRef": request.spec_id,
            "networks": [{"port": port["id"]}],
            "key_name": request.key_pair_id,
            "user_data": base64.b64encode(cloud_config(request).encode()).decode(),
            "config_drive": True,
            "metadata": marks,
        }
        if request.zone or self._settings.zone:
            server["availability_zone"] = request.zone or self._settings.zone
        if self._settings.tagged:
            server["tags"] = naming.server_tags(self._installation, request.token)
        made = await self._client.post("nova", "servers", body={"server": server})
        return str(made["server"]["id"])

    async def _scheduled(self, request: VmRequest, server_id: str) -> Json:
        """The server once it has a host, or as it is after some seconds; CloudCapacityError if there is none for it."""
        server = await self._server(server_id)
        for pause in LOOKS:
            if not (server["status"] == "BUILD" and server.get("OS-EXT-STS:task_state") in (None, "scheduling")):
                break
            await self._client.clock.sleep(pause)
            server = await self._server(server_id)
        state, reason = translate.vm_state(server)
        if state is CloudVmState.FAILED and no_capacity(reason):
            self._memory.drop(self._installation, request.token)
            await self._delete("nova", "servers/{id}", server_id)
            await self._drop_port(request.network_id, naming.mac(self._installation, request.token))
            raise CloudCapacityError(
                f"nova found no host for {request.spec_id}: {reason}", remedy="try another zone or spec, or later"
            )
        return server
