"""Which permissions the driver needs. Pure. Out: what each of its methods asks of AWS, and the IAM policy made of that.

``python -m mcisd.drivers.aws.policy`` prints the policy. A unit test holds the table against the code, and the document
in docs/clouds/aws.md against the table.
"""

import json

from mcisd.drivers.marks import INSTALLATION

OPERATIONS: dict[str, tuple[str, ...]] = {
    "check": ("sts:GetCallerIdentity", "ec2:DescribeRegions", "ec2:CreateVpc"),
    "list_regions": ("ec2:DescribeRegions", "ec2:DescribeAvailabilityZones"),
    "list_images": ("ec2:DescribeImages",),
    "get_image": ("ec2:DescribeImages",),
    "list_specs": ("ec2:DescribeInstanceTypes", "pricing:GetProducts"),
    "get_spec": ("ec2:DescribeInstanceTypes", "pricing:GetProducts"),
    "create_network": (
        "ec2:DescribeVpcs", "ec2:CreateVpc", "ec2:DescribeInternetGateways", "ec2:CreateInternetGateway",
        "ec2:AttachInternetGateway", "ec2:DescribeRouteTables", "ec2:CreateRoute", "ec2:DescribeSubnets",
        "ec2:CreateSubnet",
    ),
    "list_networks": ("ec2:DescribeVpcs", "ec2:DescribeSubnets"),
    "delete_network": (
        "ec2:DescribeVpcs", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
        "ec2:DeleteSubnet", "ec2:DescribeInternetGateways", "ec2:DetachInternetGateway", "ec2:DeleteInternetGateway",
        "ec2:DeleteVpc",
    ),
    "create_security_group": (
        "ec2:CreateSecurityGroup", "ec2:DescribeSecurityGroups", "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress",
    ),
    "list_security_groups": ("ec2:DescribeSecurityGroups",),
    "delete_security_group": ("ec2:DeleteSecurityGroup",),
    "create_key_pair": ("ec2:ImportKeyPair", "ec2:DescribeKeyPairs"),
    "list_key_pairs": ("ec2:DescribeKeyPairs",),
    "delete_key_pair": ("ec2:DeleteKeyPair",),
    "start_vm": (
        "ec2:DescribeSubnets", "ec2:DescribeImages", "ec2:DescribeInstanceTypes", "pricing:GetProducts",
        "ec2:RunInstances", "ec2:DescribeInstances",
    ),
    "suspend_vm": ("ec2:StopInstances",),
    "hibernate_vm": ("ec2:StopInstances",),
    "resume_vm": ("ec2:StartInstances",),
    "reboot_vm": ("ec2:RebootInstances",),
    "terminate_vm": ("ec2:TerminateInstances",),
    "list_vm_status": ("ec2:DescribeInstances",),
    "list_vms": ("ec2:DescribeInstances",),
    "get_vm": ("ec2:DescribeInstances",),
    "console_output": ("ec2:GetConsoleOutput",),
    "list_quotas": ("servicequotas:GetServiceQuota",),
    "list_owned": (
        "ec2:DescribeTags", "ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeInternetGateways", "ec2:DescribeVpcs",
        "ec2:DescribeKeyPairs",
    ),
    "remove_owned": (
        "ec2:TerminateInstances", "ec2:DeleteVolume", "ec2:DeleteNetworkInterface", "ec2:DeleteSecurityGroup",
        "ec2:DeleteSubnet", "ec2:DescribeInternetGateways", "ec2:DetachInternetGateway", "ec2:DeleteInternetGateway",
        "ec2:DescribeVpcs", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
        "ec2:DeleteVpc", "ec2:DeleteKeyPair",
    ),
}  # fmt: skip
"""Method → the permissions its requests need; of a method's requests some are sent only when they are needed."""
MAKES = frozenset({
    "ec2:CreateVpc", "ec2:CreateSubnet", "ec2:CreateInternetGateway", "ec2:CreateSecurityGroup", "ec2:ImportKeyPair",
    "ec2:RunInstances",
})  # fmt: skip
"""These make objects and write our tags on them in the same request."""
UNTAGGED = frozenset({"ec2:CreateRoute"})
"""This one changes what AWS makes for us without a tag: a network's main route table."""
FREE = frozenset({"sts:GetCallerIdentity"})
"""Nobody needs a permission for these."""


def actions() -> set[str]:
    """All that the driver may ever ask."""
    return {action for listed in OPERATIONS.values() for action in listed}


def document() -> dict[str, object]:
    """The least that a user or role needs, as an IAM policy."""
    known = actions() - FREE
    looks = {action for action in known if action.split(":")[1].startswith(("Describe", "Get"))}
    made = sorted(action.split(":")[1] for action in MAKES)
    return {
        "Version": "2012-10-17",
        "Statement": [
            _statement("Look", looks),
            _statement("Make", MAKES | UNTAGGED),
            _statement("Mark", {"ec2:CreateTags"}, {"StringEquals": {"ec2:CreateAction": made}}),
            _statement(
                "ChangeOurs",
                known - looks - MAKES - UNTAGGED,
                {"Null": {f"aws:ResourceTag/{INSTALLATION}": "false"}},
            ),
        ],
    }


def _statement(name: str, allowed: set[str] | frozenset[str], condition: object = None) -> dict[str, object]:
    statement: dict[str, object] = {"Sid": name, "Effect": "Allow", "Action": sorted(allowed), "Resource": "*"}
    return statement if condition is None else {**statement, "Condition": condition}


def text() -> str:
    """The policy as it stands in the documentation."""
    return json.dumps(document(), indent=2)


if __name__ == "__main__":
    print(text())
