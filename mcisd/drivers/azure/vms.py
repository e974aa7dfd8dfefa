"""VMs that are there: their actions, their states, their consoles. In: ids. Out: actions taken, and what Azure shows.

Power states come from one paged call for the whole subscription, the only list of Azure's that tells them.
"""

from collections.abc import Callable
from typing import Any

from mcisd.drivers.azure.launch import AzureLaunch
from mcisd.drivers.azure.names import IP, NIC, VM, is_name, known, sibling
from mcisd.drivers.azure.session import Json
from mcisd.drivers.azure.translate import (
    addresses,
    last,
    private_address,
    public_address,
    state_of,
    tags_of,
    vm_of,
)
from mcisd.drivers.marks import TOKEN
from mcisd.model.cloud import CloudVmState, VmInfo, VmStatus
from mcisd.model.errors import CloudConflictError, CloudNotFoundError

CONSOLE = 64 * 1024
"""Bytes of a console that are given back at most."""


class AzureVms(AzureLaunch):
    async def suspend_vm(self, vm_id: str) -> None:
        """Deallocate: a VM that is merely powered off is charged for as before."""
        await self._act(vm_id, self._session.compute.virtual_machines.begin_deallocate)

    async def hibernate_vm(self, vm_id: str) -> None:
        await self._act(vm_id, self._session.compute.virtual_machines.begin_deallocate, hibernate=True)

    async def resume_vm(self, vm_id: str) -> None:
        await self._act(vm_id, self._session.compute.virtual_machines.begin_start)

    async def reboot_vm(self, vm_id: str) -> None:
        view = await self._session.get(
            self._session.compute.virtual_machines.instance_view, self._group, known(VM, vm_id, "vm_id")
        )
        state, _ = state_of(view)
        if state is not CloudVmState.RUNNING:
            raise CloudConflictError(f"a VM that is {state} cannot be rebooted", remedy="resume it first")
        await self._act(vm_id, self._session.compute.virtual_machines.begin_restart)

    async def _act(self, vm_id: str, begin: Callable[..., Any], **options: Any) -> None:
        await self._session.change(begin, self._group, known(VM, vm_id, "vm_id"), **options)

    async def get_vm(self, vm_id: str) -> VmInfo:
        get = self._session.compute.virtual_machines.get
        body = await self._session.get(get, self._group, known(VM, vm_id, "vm_id"), expand="instanceView")
        network = self._session.network
        card = await self._part(network.network_interfaces.get, sibling(vm_id, NIC))
        address = await self._part(network.public_ip_addresses.get, sibling(vm_id, IP))
        return vm_of(body, self._settings.region, public_address(address), private_address(card))

    async def _part(self, get: Callable[..., Any], name: str) -> Json:
        """A part of a VM; {} if it is gone, as while the VM is being removed."""
        try:
            return await self._session.get(get, self._group, name)
        except CloudNotFoundError:
            return {}

    async def list_vms(self) -> list[VmInfo]:
        network = self._session.network
        bodies = await self._listed(self._session.compute.virtual_machines.list)
        if not bodies:
            return []
        states = {last(str(row["name"])): row for row in await self._status_rows()}
        cards = await self._listed(network.network_interfaces.list)
        found = addresses(cards, await self._listed(network.public_ip_addresses.list))
        made = []
        for body in bodies:
            name = str(body["name"]).lower()
            row = states.get(name)
            body["properties"] = {**body.get("properties", {}), **((row or {}).get("properties") or {})}
            made.append(vm_of(body, self._settings.region, *found.get(name, ("", ""))))
        return made

    async def list_vm_status(self) -> list[VmStatus]:
        rows = await self._status_rows()
        names = {str(row["name"]).lower(): row for row in rows}
        for name, row in names.items():
            if TOKEN in tags_of(row):
                self._tokens[name] = tags_of(row)[TOKEN]
        if names.keys() - self._tokens.keys():
            for body in await self._listed(self._session.compute.virtual_machines.list):
                self._tokens[str(body["name"]).lower()] = tags_of(body).get(TOKEN, "")
        self._tokens = {name: token for name, token in self._tokens.items() if name in names}
        return [VmStatus(name, self._tokens.get(name, ""), *state_of(row)) for name, row in names.items()]

    async def _status_rows(self) -> list[Json]:
        """Our VMs, each with the statuses of its instance view."""
        rows = await self._session.pages(self._session.compute.virtual_machines.list_all, status_only="true")
        mark = f"/resourcegroups/{self._group}/".lower()
        return [row for row in rows if mark in str(row["id"]).lower() and is_name(VM, last(str(row["name"])))]

    async def console_output(self, vm_id: str) -> str:
        """The serial log that boot diagnostics keep, fetched from the signed address that Azure gives for it."""
        where = await self._session.get(
            self._session.compute.virtual_machines.retrieve_boot_diagnostics_data,
            self._group,
            known(VM, vm_id, "vm_id"),
        )
        address = where.get("serialConsoleLogBlobUri")
        return (await self._session.tail(address, CONSOLE)) if isinstance(address, str) and address else ""
