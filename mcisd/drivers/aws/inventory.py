"""All that carries our mark, and its removal. In: EC2's lists by tag. Out: OwnedInfo.

One request tells which kinds there are; each of those is then listed itself, as tags outlive what they were on.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mcisd.drivers import marks
from mcisd.drivers.aws import translate
from mcisd.drivers.aws.groups import AwsGroups, AwsKeys
from mcisd.drivers.aws.link import Document
from mcisd.drivers.aws.part import where
from mcisd.drivers.aws.vms import AwsVms
from mcisd.model.cloud import OwnedInfo
from mcisd.model.errors import CloudUnsupportedError


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind is listed: its name in our words, the request, the list in the answer, the id in an item."""

    name: str
    operation: str
    key: str
    item_id: str
    there: Callable[[Document], bool] = lambda item: True


KINDS: dict[str, Kind] = {
    "volume": Kind(
        "disk", "DescribeVolumes", "Volumes", "VolumeId", lambda item: item.get("State") not in ("deleting", "deleted")
    ),
    "network-interface": Kind("nic", "DescribeNetworkInterfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    "security-group": Kind("security-group", "DescribeSecurityGroups", "SecurityGroups", "GroupId"),
    "subnet": Kind("subnet", "DescribeSubnets", "Subnets", "SubnetId"),
    "internet-gateway": Kind("gateway", "DescribeInternetGateways", "InternetGateways", "InternetGatewayId"),
    "vpc": Kind("network", "DescribeVpcs", "Vpcs", "VpcId"),
    "key-pair": Kind("key", "DescribeKeyPairs", "KeyPairs", "KeyName"),
}
"""EC2's word for a kind in its tags → how to list it; VMs are listed by AwsVms."""


class AwsInventory(AwsVms, AwsGroups, AwsKeys):
    """InventoryHandler."""

    async def list_owned(self) -> list[OwnedInfo]:
        filters = where(key=marks.INSTALLATION, value=self._installation)
        tags = await self._ec2_pages("DescribeTags", "Tags", Filters=filters, MaxResults=1000)
        kinds = {str(tag["ResourceType"]) for tag in tags}
        owned = []
        if "instance" in kinds:
            owned += [item for instance in await self._instances() if (item := _vm(instance))]
        for kind in (known for word, known in KINDS.items() if word in kinds):
            items = await self._ec2_pages(kind.operation, kind.key, Filters=self._mine())
            owned += [_owned(kind.name, str(item[kind.item_id]), item) for item in items if kind.there(item)]
        strange = [tag for tag in tags if tag["ResourceType"] not in (*KINDS, "instance")]
        return owned + [OwnedInfo(str(tag["ResourceType"]), str(tag["ResourceId"])) for tag in strange]

    async def remove_owned(self, item: OwnedInfo) -> None:
        match item.kind:
            case "vm":
                await self.terminate_vm(item.id)
            case "disk":
                await self._away("DeleteVolume", VolumeId=item.id)
            case "nic":
                await self._away("DeleteNetworkInterface", NetworkInterfaceId=item.id)
            case "security-group":
                await self.delete_security_group(item.id)
            case "subnet":
                await self._away("DeleteSubnet", SubnetId=item.id)
            case "gateway":
                found = where(**{"internet-gateway-id": item.id})
                for gateway in await self._ec2_pages("DescribeInternetGateways", "InternetGateways", Filters=found):
                    await self._remove_gateway(gateway)
            case "network":
                await self.delete_network(item.id)
            case "key":
                await self.delete_key_pair(item.id)
            case _:
                raise CloudUnsupportedError(
                    f"mcisd does not know how to remove a {item.kind} at AWS", remedy=f"remove {item.id} by hand"
                )


def _vm(instance: Document) -> OwnedInfo | None:
    """A VM that is not merely still shown."""
    if instance.get("State", {}).get("Name") == "terminated":
        return None
    return _owned("vm", str(instance["InstanceId"]), instance)


def _owned(kind: str, item_id: str, item: Document) -> OwnedInfo:
    tags = {**translate.tags_of(item), **translate.tags_of({"Tags": item.get("TagSet")})}
    return OwnedInfo(kind, item_id, tags.get("Name", ""), tags.get(marks.TOKEN, ""), translate.shown(tags))
