"""Between EC2's documents and our nouns. Pure. In: documents as the library gives them. Out: infos, or documents."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mcisd.drivers import marks
from mcisd.model.cloud import (
    CloudVmState,
    FirewallRule,
    KeyPairInfo,
    NetworkInfo,
    SecurityGroupInfo,
    SpecInfo,
    VmInfo,
    VmStatus,
)

Document = Mapping[str, Any]
GUEST = "mcisd-guest-user"
"""Tag that keeps the name of a VM's user, which EC2 does not know."""
STATES: dict[str, CloudVmState] = {
    "pending": CloudVmState.PENDING,
    "running": CloudVmState.RUNNING,
    "stopping": CloudVmState.STOPPING,
    "stopped": CloudVmState.STOPPED,
    "shutting-down": CloudVmState.TERMINATING,
    "terminated": CloudVmState.TERMINATED,
}
EVERY_PORT = (0, 65535)


def tags_of(document: Document) -> dict[str, str]:
    """All tags of an object, ours and AWS's."""
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in document.get("Tags") or ()}


def shown(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags as the core sees them: without those that have a field of their own."""
    return {name: value for name, value in marks.shown(tags).items() if name not in ("Name", GUEST)}


def network(vpc: Document, subnets: Iterable[Document]) -> NetworkInfo:
    """A VPC with its subnets, in the order of their addresses."""
    tags = tags_of(vpc)
    ordered = sorted(subnets, key=lambda subnet: ipaddress.ip_network(subnet["CidrBlock"]))
    ids = tuple(str(subnet["SubnetId"]) for subnet in ordered)
    return NetworkInfo(str(vpc["VpcId"]), tags.get("Name", ""), str(vpc["CidrBlock"]), ids, shown(tags))


def permissions(rules: Iterable[FirewallRule], direction: str) -> list[dict[str, Any]]:
    """Our rules of one direction as EC2 takes them."""
    return [_permission(rule) for rule in rules if rule.direction == direction]


def _permission(rule: FirewallRule) -> dict[str, Any]:
    ranges: dict[str, Any] = (
        {"Ipv6Ranges": [{"CidrIpv6": rule.cidr}]} if ":" in rule.cidr else {"IpRanges": [{"CidrIp": rule.cidr}]}
    )
    match rule.protocol:
        case "all":
            return {"IpProtocol": "-1", **ranges}
        case "icmp":
            protocol = "icmpv6" if ":" in rule.cidr else "icmp"
            return {"IpProtocol": protocol, "FromPort": -1, "ToPort": -1, **ranges}
        case _:
            return {"IpProtocol": rule.protocol, "FromPort": rule.from_port, "ToPort": rule.to_port, **ranges}


def rules(group: Document) -> tuple[FirewallRule, ...]:
    """A group's rules; EC2's own "all may leave" is not shown, as no rule of ours means just that."""
    outbound = group.get("IpPermissionsEgress") or []
    if len(outbound) == 1 and outbound[0].get("IpProtocol") == "-1" and _cidrs(outbound[0]) == ["0.0.0.0/0"]:
        outbound = []
    sides = (("inbound", group.get("IpPermissions") or []), ("outbound", outbound))
    return tuple(
        FirewallRule(direction, *_reach(permission), cidr)
        for direction, listed in sides
        for permission in listed
        for cidr in _cidrs(permission)
    )


def _reach(permission: Document) -> tuple[str, int, int]:
    """Protocol and ports in our words; of all protocols and of ICMP the ports mean nothing."""
    protocol = str(permission.get("IpProtocol", "-1"))
    if protocol == "-1":
        return ("all", *EVERY_PORT)
    if protocol in ("icmp", "icmpv6"):
        return ("icmp", *EVERY_PORT)
    return protocol, int(permission.get("FromPort", EVERY_PORT[0])), int(permission.get("ToPort", EVERY_PORT[1]))


def _cidrs(permission: Document) -> list[str]:
    wide = [str(item["CidrIp"]) for item in permission.get("IpRanges") or ()]
    return wide + [str(item["CidrIpv6"]) for item in permission.get("Ipv6Ranges") or ()]


def group_info(group: Document) -> SecurityGroupInfo:
    tags = tags_of(group)
    return SecurityGroupInfo(
        str(group["GroupId"]), tags.get("Name", ""), str(group.get("VpcId", "")), rules(group), shown(tags)
    )


def key_info(key: Document) -> KeyPairInfo:
    tags = tags_of(key)
    return KeyPairInfo(str(key["KeyName"]), tags.get("Name", ""), str(key.get("KeyFingerprint", "")), shown(tags))


def vm_state(instance: Document) -> CloudVmState:
    """FAILED for a state that EC2 may have one day and we do not know."""
    return STATES.get(str(instance.get("State", {}).get("Name", "")), CloudVmState.FAILED)


def reason(instance: Document) -> str:
    """Why a VM is as it is; "" where somebody asked for it."""
    told = instance.get("StateReason") or {}
    by_wish = str(told.get("Code", "")).startswith(("Client.User", "Client.InstanceInitiated"))
    return "" if by_wish or not told.get("Code") else str(told.get("Message", ""))[:300]


def vm_status(instance: Document) -> VmStatus:
    token = tags_of(instance).get(marks.TOKEN, "")
    return VmStatus(str(instance["InstanceId"]), token, vm_state(instance), reason(instance))


def vm_info(instance: Document, region: str) -> VmInfo:
    tags, started = tags_of(instance), instance.get("LaunchTime")
    return VmInfo(
        id=str(instance["InstanceId"]),
        name=tags.get("Name", ""),
        token=tags.get(marks.TOKEN, ""),
        state=vm_state(instance),
        region=region,
        zone=str((instance.get("Placement") or {}).get("AvailabilityZone", "")),
        public_address=str(instance.get("PublicIpAddress") or ""),
        private_address=str(instance.get("PrivateIpAddress") or ""),
        guest_user=tags.get(GUEST, "root"),
        image_id=str(instance.get("ImageId", "")),
        spec_id=str(instance.get("InstanceType", "")),
        network_id=str(instance.get("VpcId") or ""),
        started_at=started.timestamp() if isinstance(started, datetime) else None,
        tags=shown(tags),
        reason=reason(instance),
    )


def spec(document: Document) -> SpecInfo | None:
    """An instance type; None for those that no image of ours runs on (32 bits, Mac)."""
    known = document.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    architecture = next((name for name in ("x86_64", "arm64") if name in known), None)
    if architecture is None:
        return None
    name = str(document["InstanceType"])
    return SpecInfo(
        id=name,
        name=name,
        vcpus=int(document["VCpuInfo"]["DefaultVCpus"]),
        memory_mib=int(document["MemoryInfo"]["SizeInMiB"]),
        disk_gib=int(document.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0)),
        architecture=architecture,
        gpus=sum(int(gpu.get("Count", 0)) for gpu in document.get("GpuInfo", {}).get("Gpus", [])),
        network_gbps=gbps(str(document.get("NetworkInfo", {}).get("NetworkPerformance", ""))),
    )


def gbps(text: str) -> float | None:
    """EC2's network speed in Gbit/s: "Up to 12.5 Gigabit", "4x 100 Gigabit"; None for "Low" and "Moderate"."""
    found = re.fullmatch(r"(?:Up to )?(?:(\d+)x )?(\d+(?:\.\d+)?) (Gigabit|Megabit)", text)
    if found is None:
        return None
    return int(found[1] or 1) * float(found[2]) / (1.0 if found[3] == "Gigabit" else 1000.0)
