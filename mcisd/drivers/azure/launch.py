"""Making and ending VMs. In: requests and ids. Out: a public address, a network card and a VM, or their end.

The names of all three come from the token, so a second try finds what the first one made and goes on from there. A VM
that we terminate leaves a marker: an empty application security group, which is free and holds nothing but its name
and our tags. It tells a late second try that this token's VM has been and gone.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime

from mcisd.drivers.azure import requests
from mcisd.drivers.azure.errors import ResourceGroupMissingError, VmExistsError
from mcisd.drivers.azure.images import AzureImages
from mcisd.drivers.azure.names import GONE, GROUP, IP, NETWORK, NIC, VM, is_name, known, name_of, sibling, subnet_of
from mcisd.drivers.azure.resources import AzureKeys
from mcisd.drivers.azure.session import WAIT, Json
from mcisd.drivers.azure.translate import ENDED, USER, vm_of
from mcisd.drivers.azure.translate import NETWORK as NETWORK_TAG
from mcisd.model.cloud import CloudVmState, VmInfo, VmRequest
from mcisd.model.errors import CloudError, CloudInvalidError, CloudNotFoundError, CloudQuotaError

log = logging.getLogger(__name__)
CARD, ADDRESS = "Microsoft.Network/networkInterfaces", "Microsoft.Network/publicIPAddresses"
NETWORKS, GROUPS = "Microsoft.Network/virtualNetworks", "Microsoft.Network/networkSecurityGroups"


class AzureLaunch(AzureImages, AzureKeys):
    _tokens: dict[str, str]
    """Name → token of the VMs that were met; the list of states may leave the tags out."""

    async def start_vm(self, request: VmRequest) -> VmInfo:
        name = name_of(VM, request.token)
        self._tokens[name] = request.token
        async with self._alone(name):
            try:
                return await self._known_vm(name, request)
            except CloudNotFoundError:
                return await self._make_vm(name, await self._complete(request))

    async def _known_vm(self, name: str, request: VmRequest) -> VmInfo:
        """The VM of this token, also if it is gone; CloudNotFoundError if it was never made."""
        try:
            body = await self._session.get(self._session.compute.virtual_machines.get, self._group, name)
            return vm_of(body, self._settings.region)
        except ResourceGroupMissingError:
            raise
        except CloudNotFoundError:
            get = self._session.network.application_security_groups.get
            await self._session.get(get, self._group, sibling(name, GONE))
            return VmInfo(name, request.name, request.token, CloudVmState.TERMINATED, self._settings.region)

    async def _complete(self, request: VmRequest) -> VmRequest:
        """The request with its image by id and its key's line; refuses what cannot be, before anything is made."""
        known(NETWORK, request.network_id, "network_id")
        subnet_of(request.network_id, request.subnet_id)
        known_key = known("key", request.key_pair_id, "key_pair_id")
        requests.zones_of(request.zone)
        if len(request.security_group_ids) > 1:
            raise CloudInvalidError(
                "a network card of Azure takes one security group",
                field="security_group_ids",
                remedy="put all rules into one",
            )
        for group in request.security_group_ids:
            known(GROUP, group, "security_group_ids")
        line = request.public_key or await self._public_key(known_key)
        image = await self._image_id(request.image_id)
        requests.image_reference(image)
        return replace(request, public_key=line, image_id=image)

    async def _make_vm(self, name: str, request: VmRequest) -> VmInfo:
        try:
            await self._make_address(name, request)
            await self._make_card(name, request)
            return await self._put_vm(name, request)
        except VmExistsError:
            return await self._known_vm(name, request)
        except CloudError as error:
            if not error.retriable:
                await self._take_back(name)
            raise

    async def _make_address(self, name: str, request: VmRequest) -> None:
        body: Json = self._base(request.tags, request.token, request.name)
        body |= {"sku": {"name": "Standard"}, "properties": requests.ip_properties()}
        begin = self._session.network.public_ip_addresses.begin_create_or_update
        await self._session.change(begin, self._group, sibling(name, IP), body, wait=WAIT)

    async def _make_card(self, name: str, request: VmRequest) -> None:
        subnet = subnet_of(request.network_id, request.subnet_id)
        group = self._id(GROUPS, request.security_group_ids[0]) if request.security_group_ids else None
        facts = requests.card_properties(
            f"{self._id(NETWORKS, request.network_id)}/subnets/{subnet}", self._id(ADDRESS, sibling(name, IP)), group
        )
        body = self._base(request.tags, request.token, request.name) | {"properties": facts}
        begin = self._session.network.network_interfaces.begin_create_or_update
        await self._session.change(begin, self._group, sibling(name, NIC), body, wait=WAIT)

    async def _put_vm(self, name: str, request: VmRequest) -> VmInfo:
        """Ask for the VM unless there is one of this name, and do not wait."""
        private = {NETWORK_TAG: request.network_id, USER: request.guest_user}
        facts = requests.vm_properties(
            request,
            name,
            self._id(CARD, sibling(name, NIC)),
            requests.image_reference(request.image_id),
            disk_type=self._settings.disk_type,
            hibernation=self._settings.hibernation,
        )
        body = self._base(request.tags, request.token, request.name, **private)
        body |= {"properties": facts, **requests.zones_of(request.zone)}
        begin = self._session.compute.virtual_machines.begin_create_or_update
        made = await self._session.change(begin, self._group, name, body, headers={"If-None-Match": "*"})
        return vm_of(made, self._settings.region)

    async def _take_back(self, name: str) -> None:
        """Remove card and address of a VM that was refused; what stays is found by the inventory."""
        network = self._session.network
        parts = ((network.network_interfaces, NIC), (network.public_ip_addresses, IP))
        for part, kind in parts:
            try:
                await self._session.change(part.begin_delete, self._group, sibling(name, kind), wait=WAIT)
            except CloudNotFoundError:
                continue
            except CloudError as error:
                log.warning("a part of a refused VM stays at Azure: %s (%s)", sibling(name, kind), error.code)
                return

    async def terminate_vm(self, vm_id: str) -> None:
        """Mark the token as used up, then delete; disk, card and address go with the VM."""
        if not is_name(VM, vm_id):
            return
        try:
            await self._leave_marker(vm_id)
            begin = self._session.compute.virtual_machines.begin_delete
            await self._session.change(begin, self._group, vm_id)
        except CloudNotFoundError:
            return

    async def _leave_marker(self, vm_id: str) -> None:
        """A full quota of markers must not keep a VM alive: without one, only a late second try could go wrong."""
        body = self._base({}, "", vm_id, **{ENDED: datetime.now(UTC).isoformat(timespec="seconds")})
        begin = self._session.network.application_security_groups.begin_create_or_update
        try:
            await self._session.change(begin, self._group, sibling(vm_id, GONE), body)
        except CloudQuotaError:
            log.warning("no marker for the terminated VM %s: the quota of application security groups is full", vm_id)
