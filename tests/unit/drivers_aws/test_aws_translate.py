"""Between EC2's documents and our nouns. In: documents and rules. Out: assertions."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.drivers.aws import translate
from mcisd.model.cloud import CloudVmState, FirewallRule

PORTS = st.integers(0, 65535)
CIDRS = st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "192.0.2.7/32", "::/0", "2001:db8::/32"])
RULES = st.builds(
    lambda direction, protocol, ports, cidr: FirewallRule(direction, protocol, min(ports), max(ports), cidr),
    st.sampled_from(["inbound", "outbound"]),
    st.sampled_from(["tcp", "udp"]),
    st.tuples(PORTS, PORTS),
    CIDRS,
)
INSTANCE: dict[str, Any] = {
    "InstanceId": "i-0a", "ImageId": "ami-1", "InstanceType": "t3.micro", "VpcId": "vpc-1",
    "State": {"Code": 16, "Name": "running"}, "Placement": {"AvailabilityZone": "ap-northeast-2a"},
    "PublicIpAddress": "192.0.2.1", "PrivateIpAddress": "10.0.0.4", "LaunchTime": datetime(2026, 11, 21, tzinfo=UTC),
    "Tags": [
        {"Key": "Name", "Value": "web-1"}, {"Key": "mcisd-token", "Value": "tok"},
        {"Key": "mcisd-installation", "Value": "inst"}, {"Key": "mcisd-guest-user", "Value": "cb"},
        {"Key": "purpose", "Value": "test"},
    ],
}  # fmt: skip


@given(st.lists(RULES, max_size=8))
def test_rules_come_back_as_they_went(rules: list[FirewallRule]) -> None:
    group = {
        "IpPermissions": translate.permissions(rules, "inbound"),
        "IpPermissionsEgress": translate.permissions(rules, "outbound"),
    }
    assert sorted(map(repr, translate.rules(group))) == sorted(map(repr, rules))


def test_icmp_and_all_have_no_ports() -> None:
    rules = (FirewallRule("inbound", "icmp", 0, 0, "0.0.0.0/0"), FirewallRule("inbound", "all", 1, 2, "10.0.0.0/8"))
    sent = translate.permissions(rules, "inbound")
    assert [item["IpProtocol"] for item in sent] == ["icmp", "-1"]
    assert (sent[0]["FromPort"], sent[0]["ToPort"], "FromPort" in sent[1]) == (-1, -1, False)
    back = translate.rules({"IpPermissions": sent})
    assert [(rule.protocol, rule.from_port, rule.to_port) for rule in back] == [("icmp", 0, 65535), ("all", 0, 65535)]


def test_ec2s_own_outbound_rule_is_not_shown() -> None:
    anywhere = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": []}
    assert translate.rules({"IpPermissionsEgress": [anywhere]}) == ()


def test_ranges_that_ec2_has_joined_come_apart() -> None:
    joined = {
        "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
        "IpRanges": [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "192.0.2.0/24"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
    }  # fmt: skip
    assert [rule.cidr for rule in translate.rules({"IpPermissions": [joined]})] == [
        "10.0.0.0/8",
        "192.0.2.0/24",
        "::/0",
    ]


def test_vm() -> None:
    vm = translate.vm_info(INSTANCE, "ap-northeast-2")
    assert (vm.id, vm.name, vm.token, vm.guest_user) == ("i-0a", "web-1", "tok", "cb")
    assert (vm.public_address, vm.private_address, vm.network_id) == ("192.0.2.1", "10.0.0.4", "vpc-1")
    assert vm.tags == {"purpose": "test", "mcisd-installation": "inst"}
    assert vm.started_at == datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    assert translate.vm_status(INSTANCE).state is CloudVmState.RUNNING


def test_vm_that_is_gone_has_little_left() -> None:
    vm = translate.vm_info({"InstanceId": "i-0a", "State": {"Name": "terminated"}, "VpcId": None}, "us-east-1")
    assert (vm.state, vm.network_id, vm.public_address, vm.started_at) == (CloudVmState.TERMINATED, "", "", None)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown", ""),
        ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown", ""),
        ("Server.InternalError", "Internal error on launch", "Internal error on launch"),
        ("Client.VolumeLimitExceeded", "Volume limit exceeded", "Volume limit exceeded"),
        ("", "pending", ""),
    ],
)  # fmt: skip
def test_reason_is_told_unless_somebody_asked_for_it(code: str, message: str, expected: str) -> None:
    assert translate.reason({"StateReason": {"Code": code, "Message": message}}) == expected


def test_states() -> None:
    assert {translate.vm_state({"State": {"Name": name}}) for name in translate.STATES} == set(CloudVmState) - {
        CloudVmState.FAILED
    }
    assert translate.vm_state({"State": {"Name": "frozen"}}) is CloudVmState.FAILED


def test_subnets_stand_in_the_order_of_their_addresses() -> None:
    subnets = [{"SubnetId": f"subnet-{n}", "CidrBlock": f"10.0.{n}.0/24"} for n in (10, 9, 100)]
    info = translate.network({"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}, subnets)
    assert info.subnet_ids == ("subnet-9", "subnet-10", "subnet-100")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("25 Gigabit", 25.0), ("Up to 12.5 Gigabit", 12.5), ("4x 100 Gigabit", 400.0), ("Up to 100 Megabit", 0.1),
     ("Moderate", None), ("Low to Moderate", None), ("", None)],
)  # fmt: skip
def test_network_speed(text: str, expected: float | None) -> None:
    assert translate.gbps(text) == expected


def test_specs() -> None:
    document = {
        "InstanceType": "g4dn.xlarge", "VCpuInfo": {"DefaultVCpus": 4}, "MemoryInfo": {"SizeInMiB": 16384},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]}, "InstanceStorageInfo": {"TotalSizeInGB": 125},
        "GpuInfo": {"Gpus": [{"Name": "T4", "Count": 1}]}, "NetworkInfo": {"NetworkPerformance": "Up to 25 Gigabit"},
    }  # fmt: skip
    spec = translate.spec(document)
    assert spec is not None
    assert (spec.vcpus, spec.memory_mib, spec.disk_gib, spec.gpus, spec.network_gbps) == (4, 16384, 125, 1, 25.0)
    old = {**document, "ProcessorInfo": {"SupportedArchitectures": ["i386", "x86_64"]}}
    assert getattr(translate.spec(old), "architecture", None) == "x86_64"
    assert translate.spec({**document, "ProcessorInfo": {"SupportedArchitectures": ["x86_64_mac"]}}) is None
