"""Security groups: firewalls that share a target tag. In: requests of the core. Out: SecurityGroupInfo.

Google knows no groups, and lets a firewall go at any time: that no VM uses the group any more is looked at here.
"""

import re

from mcisd.drivers.gcp import rules
from mcisd.drivers.gcp.api import Json, together
from mcisd.drivers.gcp.core import Core, named
from mcisd.drivers.gcp.names import Marks, description, description_filter, is_name, label_filter, tail
from mcisd.model.cloud import SecurityGroupInfo, SecurityGroupRequest
from mcisd.model.errors import CloudConflictError, CloudNotFoundError


class Groups(Core):
    """The handlers for security groups."""

    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        network = named(request.network_id, "network")
        name = self._name(request.name, request.token)
        marks = self._marks(request.token, request.name, request.tags, group=name)
        firewalls = rules.bodies(name, self._network_link(network), description(marks), request.rules)
        made = await together(*(self._make_firewall(body) for body in firewalls))
        self._known.add(name)
        return _info(name, made, marks)

    async def _make_firewall(self, body: Json) -> Json:
        name = str(body["name"])
        found = await self._api.make(
            "firewalls.insert", f"firewall {name}", lambda: self._find_firewall(name), firewallResource=body
        )
        return found or body

    async def list_security_groups(self) -> list[SecurityGroupInfo]:
        return [_info(name, firewalls, marks) for name, firewalls, marks in await self._own_groups()]

    async def _own_groups(self) -> list[tuple[str, list[Json], Marks]]:
        """Name, firewalls and marks of each group."""
        found: dict[str, tuple[list[Json], Marks]] = {}
        listed = await self._api.items("firewalls.list", filter=description_filter(self._scope.installation))
        for item in listed:
            marks = self._ours(item)
            if marks is not None and "group" in marks.more:
                found.setdefault(marks.more["group"], ([], marks))[0].append(item)
        return [(name, firewalls, marks) for name, (firewalls, marks) in found.items()]

    async def delete_security_group(self, group_id: str) -> None:
        if not is_name(group_id):
            return
        search = f'name eq "{re.escape(group_id)}(-[0-9]+)?"'.replace("\\-", "-")
        listed = [item for item in await self._api.items("firewalls.list", filter=search) if self._ours(item)]
        if not listed:
            return
        await self._refuse_if_worn(group_id)
        self._known.discard(group_id)
        rest = [item["name"] for item in listed if item["name"] != group_id]
        await together(*(self._api.remove("firewalls.delete", firewall=name) for name in rest))
        if any(item["name"] == group_id for item in listed):  # last, so that what is left of a group is found by it
            await self._api.remove("firewalls.delete", firewall=group_id)

    async def _refuse_if_worn(self, group_id: str) -> None:
        search = label_filter(self._scope.installation, self._scope.region)
        vms = await self._api.scoped("instances.aggregatedList", "instances", self._scope.region, filter=search)
        if any(group_id in vm.get("tags", {}).get("items", ()) for vm in vms):
            raise CloudConflictError(f"security group {group_id} is used by a VM", remedy="terminate that first")

    async def _need_groups(self, group_ids: tuple[str, ...]) -> None:
        """CloudNotFoundError if one of them is not there: Google would take the VM, and leave it closed."""
        async with self._learning:
            for group_id in group_ids:
                if group_id not in self._known:
                    if await self._find_firewall(named(group_id, "security group")) is None:
                        raise CloudNotFoundError(f"there is no security group {group_id!r}", field="security_group_ids")
                    self._known.add(group_id)

    async def _find_firewall(self, name: str) -> Json | None:
        try:
            return await self._api.call("firewalls.get", firewall=name)
        except CloudNotFoundError:
            return None


def _info(name: str, firewalls: list[Json], marks: Marks) -> SecurityGroupInfo:
    return SecurityGroupInfo(name, marks.name, tail(str(firewalls[0]["network"])), rules.read(firewalls), marks.shown())
