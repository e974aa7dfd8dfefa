"""Security groups and key pairs. In: requests. Out: EC2's objects as our nouns.

EC2 keeps the names of both unique, so a name made of the token is what makes their creation idempotent.
"""

import re

from mcisd.drivers.aws import translate
from mcisd.drivers.aws.link import Document
from mcisd.drivers.aws.part import Part, where
from mcisd.model.cloud import KeyPairInfo, KeyPairRequest, SecurityGroupInfo, SecurityGroupRequest
from mcisd.model.errors import CloudConflictError, CloudTransientError

GROUP_ID = re.compile(r"sg-[0-9a-z]{1,40}")
KEY_NAME = re.compile(r"mcisd-[0-9a-f]{40}")
ANY_OUT: Document = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
"""The rule that EC2 gives each new group."""


class AwsGroups(Part):
    """SecurityGroupHandler."""

    async def create_security_group(self, request: SecurityGroupRequest) -> SecurityGroupInfo:
        async with self._turns.of("group", request.token):
            tags = self._tagged("security-group", request.name, request.tags, request.token)
            name = f"mcisd-{self._unique(request.token)[:40]}"
            with self._young.forgiven():
                made = await self._ec2_unless(
                    ["InvalidGroup.Duplicate"], "CreateSecurityGroup", GroupName=name, VpcId=request.network_id,
                    Description="made by mcisd", TagSpecifications=[tags],
                )  # fmt: skip
                group_id = made["GroupId"] if made else await self._group_named(name, request.network_id)
                self._young.add(group_id)
                await self._let_in(group_id, request)
        return SecurityGroupInfo(
            group_id, request.name, request.network_id, request.rules,
            translate.shown({tag["Key"]: tag["Value"] for tag in tags["Tags"]}),
        )  # fmt: skip

    async def list_security_groups(self) -> list[SecurityGroupInfo]:
        groups = await self._ec2_pages("DescribeSecurityGroups", "SecurityGroups", Filters=self._mine())
        return [translate.group_info(group) for group in groups]

    async def delete_security_group(self, group_id: str) -> None:
        if GROUP_ID.fullmatch(group_id):
            await self._away("DeleteSecurityGroup", GroupId=group_id)

    async def _group_named(self, name: str, network_id: str) -> str:
        filters = self._mine(vpc_id=network_id, group_name=name)
        found = await self._ec2_pages("DescribeSecurityGroups", "SecurityGroups", Filters=filters)
        if not found:
            raise CloudTransientError(f"security group {name} is not listed yet")
        return str(found[0]["GroupId"])

    async def _let_in(self, group_id: str, request: SecurityGroupRequest) -> None:
        """Lay down the rules; those that are there already are left."""
        known = ["InvalidPermission.Duplicate"]
        wanted = tuple(dict.fromkeys(request.rules))
        inbound, outbound = translate.permissions(wanted, "inbound"), translate.permissions(wanted, "outbound")
        narrowed = [permission for permission in outbound if permission != ANY_OUT]
        if inbound:
            await self._ec2_unless(known, "AuthorizeSecurityGroupIngress", GroupId=group_id, IpPermissions=inbound)
        if narrowed:
            await self._ec2_unless(known, "AuthorizeSecurityGroupEgress", GroupId=group_id, IpPermissions=narrowed)
        if outbound and narrowed == outbound:
            await self._ec2_unless(
                ["InvalidPermission.NotFound"], "RevokeSecurityGroupEgress", GroupId=group_id, IpPermissions=[ANY_OUT]
            )


class AwsKeys(Part):
    """KeyPairHandler. A key's id is its name at EC2, by which RunInstances takes it."""

    async def create_key_pair(self, request: KeyPairRequest) -> KeyPairInfo:
        async with self._turns.of("key", request.token):
            tags = self._tagged("key-pair", request.name, request.tags, request.token)
            name = f"mcisd-{self._unique(request.token)[:40]}"
            made = await self._ec2_unless(
                ["InvalidKeyPair.Duplicate"], "ImportKeyPair", KeyName=name,
                PublicKeyMaterial=request.public_key.encode(), TagSpecifications=[tags],
            )  # fmt: skip
            self._young.add(name)
            if made is None:
                return await self._key_named(name)
        return translate.key_info({**made, "Tags": tags["Tags"]})

    async def list_key_pairs(self) -> list[KeyPairInfo]:
        answer = await self._ec2("DescribeKeyPairs", Filters=self._mine())
        return [translate.key_info(key) for key in answer.get("KeyPairs", [])]

    async def delete_key_pair(self, key_id: str) -> None:
        if KEY_NAME.fullmatch(key_id):
            await self._away("DeleteKeyPair", KeyName=key_id)

    async def _key_named(self, name: str) -> KeyPairInfo:
        answer = await self._ec2("DescribeKeyPairs", Filters=where(key_name=name))
        found = answer.get("KeyPairs", [])
        if not found:
            raise CloudTransientError(f"key pair {name} is not listed yet")
        if not any(tag["Value"] == self._installation for tag in found[0].get("Tags", [])):
            raise CloudConflictError(f"another program has made a key pair of our name {name}")
        return translate.key_info(found[0])
