"""The life of VMs after their start. In: ids. Out: what nova is asked to do, and how they are."""

from mcisd.drivers.marks import TOKEN
from mcisd.drivers.openstack import naming
from mcisd.drivers.openstack.client import Json
from mcisd.drivers.openstack.part import Part, age, made_at
from mcisd.drivers.openstack.translate import FLOATING, NETWORK, PORT, State, owned, vm_info, vm_state, vm_status
from mcisd.model.cloud import VmInfo, VmStatus
from mcisd.model.errors import CloudConflictError, CloudNotFoundError

DAY = 24
"""Hours for which the end of a VM is remembered on its network."""
CONSOLE = 64 * 1024
ORPHANED = 900.0
"""Seconds after which a port of ours without a server can belong to no creation that is still going on."""


class Vms(Part):
    """Most of the VmHandler of a connection, with hibernation and console; launch.py has the start."""

    async def suspend_vm(self, vm_id: str) -> None:
        await self._act(vm_id, {"os-stop": None}, State.STOPPED, State.STOPPING)

    async def hibernate_vm(self, vm_id: str) -> None:
        await self._act(vm_id, {"suspend": None}, State.STOPPED, State.STOPPING)

    async def resume_vm(self, vm_id: str) -> None:
        """``os-start`` serves a stopped server; a suspended, paused or shelved one has another word for it."""
        try:
            await self._act(vm_id, {"os-start": None}, State.RUNNING, State.PENDING)
        except CloudConflictError:
            word = {"SUSPENDED": "resume", "PAUSED": "unpause", "SHELVED": "unshelve", "SHELVED_OFFLOADED": "unshelve"}
            action = word.get(str((await self._server(vm_id))["status"]))
            if action is None:
                raise
            await self._act(vm_id, {action: None}, State.RUNNING, State.PENDING)

    async def reboot_vm(self, vm_id: str) -> None:
        await self._act(vm_id, {"reboot": {"type": "SOFT"}})

    async def terminate_vm(self, vm_id: str) -> None:
        """The end is noted on the network first, so that it is known whatever comes between; then all parts go."""
        if not naming.is_id(vm_id):
            return
        try:
            server = await self._server(vm_id)
        except CloudNotFoundError:
            await self._remains(vm_id)
            return
        if not owned(server, self._installation):
            return
        marks: dict[str, str] = server["metadata"]
        await self._note_end(marks.get(NETWORK, ""), marks[TOKEN], vm_id)
        await self._delete("nova", "servers/{id}", vm_id)
        if marks.get(FLOATING):
            await self._delete("neutron", "floatingips/{id}", marks[FLOATING])
        if marks.get(PORT):
            await self._delete("neutron", "ports/{id}", marks[PORT])

    async def list_vm_status(self) -> list[VmStatus]:
        return [vm_status(server) for server in await self._servers()]

    async def list_vms(self) -> list[VmInfo]:
        return [vm_info(server, self._settings.region) for server in await self._servers()]

    async def get_vm(self, vm_id: str) -> VmInfo:
        return vm_info(await self._server(vm_id), self._settings.region)

    async def console_output(self, vm_id: str) -> str:
        body = {"os-getConsoleOutput": {"length": 1000}}
        try:
            told = await self._client.post("nova", "servers/{id}/action", self._id(vm_id), body=body)
        except CloudConflictError:  # not there yet, or not running
            return ""
        return str(told.get("output") or "")[-CONSOLE:]

    async def _server(self, vm_id: str) -> Json:
        server: Json = (await self._client.get("nova", "servers/{id}", self._id(vm_id)))["server"]
        return server

    def _id(self, vm_id: str) -> str:
        if not naming.is_id(vm_id):
            raise CloudNotFoundError(f"there is no VM {vm_id[:60]!r}", field="vm_id")
        return vm_id

    async def _servers(self, token: str = "") -> list[Json]:
        """Our servers; with ``token`` those made with it, oldest first, one that failed behind one that did not."""
        params: dict[str, str] = {}
        if self._settings.tagged:
            tags = (
                naming.server_tags(self._installation, token)
                if token
                else [naming.installation_tag(self._installation)]
            )
            params = {"tags": ",".join(tags)}
        found = await self._client.pages("nova", "servers/detail", "servers", params)
        found = [item for item in found if owned(item, self._installation)]
        if token:
            found = [item for item in found if item["metadata"].get(TOKEN) == token]
        return sorted(found, key=lambda item: (item["status"] == "ERROR", *age(item)))

    async def _act(self, vm_id: str, action: Json, *already: State) -> None:
        """Ask for an action; nothing is wrong if the VM is in one of the states ``already``."""
        try:
            await self._client.call("nova", "POST", "servers/{id}/action", self._id(vm_id), body=action)
        except CloudConflictError:
            if vm_state(await self._server(vm_id))[0] not in already:
                raise

    async def _note_end(self, network_id: str, token: str, vm_id: str) -> None:
        if not network_id or len(vm_id.replace("-", "")) != 32:
            return
        hour = int(self._client.clock.now() // 3600)
        tag = naming.Ended(hour, naming.mac(self._installation, token), vm_id).tag()
        async with self._memory.lock("tags", network_id):  # neutron fails when many tag one network at a time
            try:
                await self._client.call("neutron", "PUT", "networks/{id}/tags/{tag}", network_id, tag)
            except CloudNotFoundError:
                return  # without its network this VM cannot be made again

    async def _remains(self, vm_id: str) -> None:
        """Remove what is left of a server that is gone: its termination was interrupted, or it was removed by hand.

        Its port is known by what this process remembers, else by the note on the network. A port that is neither, but
        old, unused and without a server, goes, too.
        """
        token = self._memory.token(self._installation, vm_id)
        macs = {naming.mac(self._installation, token)} if token else set()
        for network in await self._owned("networks"):
            macs |= {note.mac for note in naming.ended(network.get("tags") or []) if note.vm_id == vm_id}
        living = {server["metadata"].get(TOKEN) for server in await self._servers()}
        for port in await self._owned("ports"):
            _, mark = naming.owner(port["description"]) or ("", "")
            if mark in living or port["device_id"]:
                continue
            if port["mac_address"] in macs or self._client.clock.now() - made_at(port) > ORPHANED:
                await self._drop_port(str(port["network_id"]), str(port["mac_address"]))

    async def _drop_port(self, network_id: str, mac: str) -> None:
        """Remove the port with this hardware address, its public address first."""
        query = {"network_id": network_id, "mac_address": mac}
        for port in await self._client.pages("neutron", "ports", "ports", query):
            port_id = str(port["id"])
            for item in await self._client.pages("neutron", "floatingips", "floatingips", {"port_id": port_id}):
                await self._delete("neutron", "floatingips/{id}", str(item["id"]))
            await self._delete("neutron", "ports/{id}", port_id)
