"""Security groups. Neutron's belong to no network; ours remember theirs. In: requests. Out: neutron's groups."""

import time

from mcisd.drivers.openstack import naming
from mcisd.drivers.openstack.client import Json
from mcisd.drivers.openstack.networks import GROUP_NETWORK, Networks
from mcisd.drivers.openstack.part import half_made
from mcisd.drivers.openstack.translate import group_info, rule_body, rule_of
from mcisd.model.cloud import FirewallRule, SecurityGroupInfo, SecurityGroupRequest
from mcisd.model.errors import CloudConflictError, CloudNotFoundError, CloudTransientError


class Groups(Networks):
    """The SecurityGroupHandler of a connection."""

    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        lock = self._memory.lock(self._installation, "group", request.token)
        return await self._works.run(lock, lambda: self._create_group(request))

    async def list_security_groups(self) -> list[SecurityGroupInfo]:
        return [group_info(item, self._installation) for item in await self._owned("security-groups")]

    async def delete_security_group(self, group_id: str) -> None:
        if naming.is_id(group_id):
            await self._delete("neutron", "security-groups/{id}", group_id)

    async def _create_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        if await self._network(request.network_id) is None:
            raise CloudNotFoundError(f"there is no network {request.network_id[:60]!r}", field="network_id")
        known = await self._marked("security-groups", request.token)
        begun = time.monotonic()
        if known:
            group = known[0]
        else:
            mark = naming.description(self._installation, request.token)
            body = {"security_group": {"name": request.name, "description": mark}}
            group = (await self._client.post("neutron", "security-groups", body=body))["security_group"]
        slow = 2 * (time.monotonic() - begun)
        group = await self._ruled(group, request.rules)
        group = await self._retag("security-groups", group, {**request.tags, GROUP_NETWORK: request.network_id})
        if not known or len(known) > 1:
            oldest = await self._settled("security-groups", request.token, group, slow)
            if oldest["id"] != group["id"]:
                await self.delete_security_group(str(group["id"]))
                raise CloudTransientError("another controller has made this group first; the next try finds it")
        return group_info(group, self._installation)

    async def _ruled(self, group: Json, rules: tuple[FirewallRule, ...]) -> Json:
        """The group with its rules; those that are missing are made, in one request.

        A new group lets everything out. Where the request says what may go out, that default goes.
        """
        there: list[Json] = group.get("security_group_rules") or []
        ours = {rule: item for item in there if (rule := rule_of(item)) is not None}
        if any(rule.direction == "outbound" for rule in rules):
            for item in [item for item in there if rule_of(item) is None and item["direction"] == "egress"]:
                await self._delete("neutron", "security-group-rules/{id}", str(item["id"]))
        missing = [rule for rule in dict.fromkeys(rules) if rule not in ours]
        made: list[Json] = []
        if missing:
            body = {"security_group_rules": [rule_body(rule, str(group["id"])) for rule in missing]}
            try:
                made = (await self._client.post("neutron", "security-group-rules", body=body))["security_group_rules"]
            except CloudConflictError as error:
                query = {"id": str(group["id"])}
                seen = await self._client.pages("neutron", "security-groups", "security_groups", query)
                now = {rule_of(item) for found in seen for item in found.get("security_group_rules") or []}
                if not now & set(missing):
                    raise  # nobody else is at work here
                raise half_made("group", error) from error
        return {**group, "security_group_rules": [*ours.values(), *made]}
