"""Networks: a VPC with subnets, an internet gateway and the route to it. In: requests. Out: EC2's objects as one noun.

EC2 has no idempotency token for a VPC: the token stands in its tag and is looked for first. Each part carries it too,
so that a creation that stopped halfway goes on, and a deletion finds the parts that were never joined.
"""

import re

from mcisd.drivers import marks
from mcisd.drivers.aws import translate
from mcisd.drivers.aws.link import Document
from mcisd.drivers.aws.part import Memory, Part, where
from mcisd.model.cloud import NetworkInfo, NetworkRequest
from mcisd.model.errors import CloudConflictError

EVERYWHERE = "0.0.0.0/0"
VPC_ID = re.compile(r"vpc-[0-9a-z]{1,40}")


class AwsNetworks(Part):
    """NetworkHandler."""

    _made_vpcs: Memory
    """Token → id of the VPC that this connection made for it, for as long as lists do not show it."""
    _subnet_vpcs: Memory
    """Subnet → its VPC, which never changes."""

    async def create_network(self, request: NetworkRequest) -> NetworkInfo:
        async with self._turns.of("network", request.token):
            with self._young.forgiven():
                vpc, fresh = await self._vpc(request)
                await self._way_out(vpc["VpcId"], request, fresh)
                subnets = await self._subnets(vpc["VpcId"], request, fresh)
        return translate.network(vpc, subnets)

    async def list_networks(self) -> list[NetworkInfo]:
        vpcs = await self._ec2_pages("DescribeVpcs", "Vpcs", Filters=self._mine())
        if not vpcs:
            return []
        subnets: dict[str, list[Document]] = {}
        for subnet in await self._ec2_pages("DescribeSubnets", "Subnets", Filters=self._mine()):
            subnets.setdefault(subnet["VpcId"], []).append(subnet)
        return [translate.network(vpc, subnets.get(vpc["VpcId"], [])) for vpc in vpcs]

    async def delete_network(self, network_id: str) -> None:
        if not VPC_ID.fullmatch(network_id):
            return
        found = await self._ec2_pages("DescribeVpcs", "Vpcs", Filters=self._mine(vpc_id=network_id))
        if not found:
            return
        await self._refuse_in_use(network_id)
        for subnet in await self._ec2_pages("DescribeSubnets", "Subnets", Filters=where(vpc_id=network_id)):
            await self._away("DeleteSubnet", SubnetId=subnet["SubnetId"])
        for gateway in await self._gateways(translate.tags_of(found[0]).get(marks.TOKEN, "")):
            await self._remove_gateway(gateway)
        await self._away("DeleteVpc", VpcId=network_id)

    async def _network_of(self, subnet_id: str) -> str:
        """The VPC a subnet is in; CloudNotFoundError if there is no such subnet."""
        if subnet_id not in self._subnet_vpcs:
            answer = await self._ec2("DescribeSubnets", SubnetIds=[subnet_id])
            self._subnet_vpcs[subnet_id] = answer["Subnets"][0]["VpcId"]
        return self._subnet_vpcs[subnet_id]

    async def _vpc(self, request: NetworkRequest) -> tuple[Document, bool]:
        """The VPC of this token, and whether it was made just now."""
        mine = self._mine(**{f"tag:{marks.TOKEN}": request.token})
        found = await self._ec2_pages("DescribeVpcs", "Vpcs", Filters=mine)
        if found:
            return min(found, key=lambda vpc: str(vpc["VpcId"])), False
        if request.token in self._made_vpcs:
            answer = await self._ec2("DescribeVpcs", VpcIds=[self._made_vpcs[request.token]])
            return answer["Vpcs"][0], False
        made = await self._ec2("CreateVpc", CidrBlock=request.cidr, TagSpecifications=[self._tags("vpc", request)])
        vpc: Document = made["Vpc"]
        self._made_vpcs[request.token] = vpc["VpcId"]
        self._young.add(vpc["VpcId"])
        return vpc, True

    async def _way_out(self, vpc_id: str, request: NetworkRequest, fresh: bool) -> None:
        """The gateway, joined to the VPC, and the route to it in the VPC's main table."""
        found = [] if fresh else await self._gateways(request.token)
        gateway = found[0] if found else await self._make_gateway(request)
        gateway_id = gateway["InternetGatewayId"]
        if not gateway.get("Attachments"):
            await self._ec2_unless(
                ["Resource.AlreadyAssociated"], "AttachInternetGateway", InternetGatewayId=gateway_id, VpcId=vpc_id
            )
        tables = await self._ec2_pages(
            "DescribeRouteTables", "RouteTables", Filters=where(vpc_id=vpc_id, **{"association.main": "true"})
        )
        routed = any(route.get("DestinationCidrBlock") == EVERYWHERE for table in tables for route in table["Routes"])
        if tables and not routed:
            await self._ec2_unless(
                ["RouteAlreadyExists"], "CreateRoute", RouteTableId=tables[0]["RouteTableId"],
                DestinationCidrBlock=EVERYWHERE, GatewayId=gateway_id,
            )  # fmt: skip

    async def _make_gateway(self, request: NetworkRequest) -> Document:
        made = await self._ec2("CreateInternetGateway", TagSpecifications=[self._tags("internet-gateway", request)])
        gateway: Document = made["InternetGateway"]
        self._young.add(gateway["InternetGatewayId"])
        return gateway

    async def _subnets(self, vpc_id: str, request: NetworkRequest, fresh: bool) -> list[Document]:
        """One subnet for each that was asked for, or a single one of the whole network."""
        known = [] if fresh else await self._ec2_pages("DescribeSubnets", "Subnets", Filters=self._mine(vpc_id=vpc_id))
        there = {subnet["CidrBlock"]: subnet for subnet in known}
        zone = {"AvailabilityZone": self._spec.zone} if self._spec.zone else {}
        for cidr in request.subnets or (request.cidr,):
            if cidr not in there:
                made = await self._ec2(
                    "CreateSubnet", VpcId=vpc_id, CidrBlock=cidr, TagSpecifications=[self._tags("subnet", request)],
                    **zone,
                )  # fmt: skip
                there[cidr] = made["Subnet"]
                self._young.add(made["Subnet"]["SubnetId"])
            self._subnet_vpcs[there[cidr]["SubnetId"]] = vpc_id
        return list(there.values())

    async def _refuse_in_use(self, vpc_id: str) -> None:
        """EC2 would refuse only the last step, when the network has lost its subnets and its gateway already."""
        inside = where(vpc_id=vpc_id)
        cards = await self._ec2_pages("DescribeNetworkInterfaces", "NetworkInterfaces", Filters=inside)
        if cards:
            raise CloudConflictError(f"network {vpc_id} is in use by {len(cards)} network card(s)")
        groups = await self._ec2_pages("DescribeSecurityGroups", "SecurityGroups", Filters=inside)
        others = [str(group["GroupId"]) for group in groups if group.get("GroupName") != "default"]
        if others:
            raise CloudConflictError(f"network {vpc_id} still has security group {others[0]}")

    async def _gateways(self, token: str) -> list[Document]:
        """The gateways made for this token, joined to a VPC or not."""
        mine = self._mine(**{f"tag:{marks.TOKEN}": token})
        return await self._ec2_pages("DescribeInternetGateways", "InternetGateways", Filters=mine)

    async def _remove_gateway(self, gateway: Document) -> None:
        gateway_id = gateway["InternetGatewayId"]
        for attachment in gateway.get("Attachments") or ():
            await self._away("DetachInternetGateway", InternetGatewayId=gateway_id, VpcId=attachment["VpcId"])
        await self._away("DeleteInternetGateway", InternetGatewayId=gateway_id)

    def _tags(self, kind: str, request: NetworkRequest) -> Document:
        return self._tagged(kind, request.name, request.tags, request.token)
