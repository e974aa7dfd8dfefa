"""The account and the region as a whole: is the key good, where may it go, how much may it have. Out: nouns."""

from mcisd.drivers.aws.part import Part
from mcisd.drivers.aws.regions import place, plausible
from mcisd.model.cloud import CloudRegion, QuotaInfo
from mcisd.model.errors import CloudAuthError, CloudInvalidError

QUOTAS: dict[str, tuple[str, str]] = {
    "vcpus": ("ec2", "L-1216C47A"),
    "vcpus of G and VT instances": ("ec2", "L-DB2E81BA"),
    "vcpus of P instances": ("ec2", "L-417A185B"),
    "networks": ("vpc", "L-F678F1CE"),
    "security_groups": ("vpc", "L-E79EC296"),
}
"""Our name → AWS's service and code. "vcpus" are those of the usual types (A, C, D, H, I, M, R, T, Z)."""
TRIED = "10.0.0.0/24"


class AwsAccount(Part):
    """check, RegionHandler and QuotaHandler."""

    async def check(self) -> None:
        """Who are we, is the region there for us, and may we make things: a creation that AWS only rehearses."""
        await self._link.ask("sts", "GetCallerIdentity", {})
        region = self._spec.region
        found = await self._ec2_unless(
            ["InvalidParameterValue"], "DescribeRegions", RegionNames=[region], AllRegions=True
        )
        listed = (found or {}).get("Regions", [])
        if not listed:
            raise unknown_region(region)
        if listed[0].get("OptInStatus") == "not-opted-in":
            raise CloudAuthError(
                f"region {region} is not enabled for this AWS account",
                field="region",
                remedy="enable it in the AWS console (Account, AWS Regions), or use another",
            )
        await self._ec2_unless(["DryRunOperation"], "CreateVpc", CidrBlock=TRIED, DryRun=True)

    async def list_regions(self) -> list[CloudRegion]:
        """Those enabled for this account; the zones of this connection's region only, as others are not asked."""
        regions = (await self._ec2("DescribeRegions")).get("Regions", [])
        zones = (await self._ec2("DescribeAvailabilityZones")).get("AvailabilityZones", [])
        here = tuple(sorted(str(zone["ZoneName"]) for zone in zones if zone.get("State") == "available"))
        names = sorted(str(region["RegionName"]) for region in regions)
        return [CloudRegion(name, place(name), here if name == self._spec.region else ()) for name in names]

    async def list_quotas(self) -> list[QuotaInfo]:
        """What Service Quotas tells; a quota that this region does not have is left out."""
        quotas: list[QuotaInfo] = []
        for name, (service, code) in QUOTAS.items():
            answer = await self._link.ask(
                "service-quotas", "GetServiceQuota", {"ServiceCode": service, "QuotaCode": code},
                ["NoSuchResourceException"],
            )  # fmt: skip
            if answer is not None:
                quotas.append(QuotaInfo(name, int(answer["Quota"]["Value"])))
        return quotas


def unknown_region(region: str) -> CloudInvalidError:
    return CloudInvalidError(
        f"AWS has no region {region[:40]!r}", field="region", remedy="use a name as in: ap-northeast-2, us-east-1"
    )


def judge_region(region: str, has_endpoint: bool) -> None:
    """CloudInvalidError for what cannot be a region, before its name is looked up on the network."""
    if not has_endpoint and not plausible(region):
        raise unknown_region(region)
