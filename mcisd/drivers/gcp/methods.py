"""Every method of Google's API that this driver calls: which client has it, and which permissions it needs.

In: a method's name as Google's documents write it ("instances.insert"). Out: how to call it. The role in
docs/clouds/gcp.md is the sum of the permissions here; a test holds the two together.
"""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Method:
    """``client`` and ``call`` are names in google.cloud.compute_v1, ``request`` is the class of its request."""

    client: str
    call: str
    request: str
    permissions: tuple[str, ...]


def _method(client: str, call: str, request: str, *permissions: str) -> Method:
    return Method(f"{client}Client", call, f"{request}Request", tuple(f"compute.{name}" for name in permissions))


METHODS: dict[str, Method] = {
    "disks.aggregatedList": _method("Disks", "aggregated_list", "AggregatedListDisks", "disks.list"),
    "disks.delete": _method("Disks", "delete_unary", "DeleteDisk", "disks.delete"),
    "firewalls.delete": _method(
        "Firewalls", "delete_unary", "DeleteFirewall", "firewalls.delete", "networks.updatePolicy"
    ),
    "firewalls.get": _method("Firewalls", "get", "GetFirewall", "firewalls.get"),
    "firewalls.insert": _method(
        "Firewalls", "insert_unary", "InsertFirewall", "firewalls.create", "networks.updatePolicy"
    ),
    "firewalls.list": _method("Firewalls", "list", "ListFirewalls", "firewalls.list"),
    "globalOperations.wait": _method("GlobalOperations", "wait", "WaitGlobalOperation", "globalOperations.get"),
    "images.get": _method("Images", "get", "GetImage", "images.get"),
    "images.getFromFamily": _method("Images", "get_from_family", "GetFromFamilyImage", "images.getFromFamily"),
    "images.list": _method("Images", "list", "ListImages", "images.list"),
    "instances.aggregatedList": _method("Instances", "aggregated_list", "AggregatedListInstances", "instances.list"),
    "instances.delete": _method("Instances", "delete_unary", "DeleteInstance", "instances.delete", "disks.delete"),
    "instances.get": _method("Instances", "get", "GetInstance", "instances.get"),
    "instances.getSerialPortOutput": _method(
        "Instances", "get_serial_port_output", "GetSerialPortOutputInstance", "instances.getSerialPortOutput"
    ),
    "instances.insert": _method(
        "Instances",
        "insert_unary",
        "InsertInstance",
        "instances.create",
        "instances.setLabels",
        "instances.setMetadata",
        "instances.setTags",
        "disks.create",
        "disks.setLabels",
        "images.useReadOnly",
        "networks.use",
        "networks.useExternalIp",
        "subnetworks.use",
        "subnetworks.useExternalIp",
    ),
    "instances.reset": _method("Instances", "reset_unary", "ResetInstance", "instances.reset"),
    "instances.resume": _method("Instances", "resume_unary", "ResumeInstance", "instances.resume"),
    "instances.start": _method("Instances", "start_unary", "StartInstance", "instances.start"),
    "instances.stop": _method("Instances", "stop_unary", "StopInstance", "instances.stop"),
    "instances.suspend": _method("Instances", "suspend_unary", "SuspendInstance", "instances.suspend"),
    "machineTypes.get": _method("MachineTypes", "get", "GetMachineType", "machineTypes.get"),
    "machineTypes.list": _method("MachineTypes", "list", "ListMachineTypes", "machineTypes.list"),
    "networks.delete": _method("Networks", "delete_unary", "DeleteNetwork", "networks.delete"),
    "networks.get": _method("Networks", "get", "GetNetwork", "networks.get"),
    "networks.insert": _method("Networks", "insert_unary", "InsertNetwork", "networks.create"),
    "networks.list": _method("Networks", "list", "ListNetworks", "networks.list"),
    "projects.get": _method("Projects", "get", "GetProject", "projects.get"),
    "projects.setCommonInstanceMetadata": _method(
        "Projects",
        "set_common_instance_metadata_unary",
        "SetCommonInstanceMetadataProject",
        "projects.setCommonInstanceMetadata",
    ),
    "regionOperations.wait": _method("RegionOperations", "wait", "WaitRegionOperation", "regionOperations.get"),
    "regions.get": _method("Regions", "get", "GetRegion", "regions.get"),
    "regions.list": _method("Regions", "list", "ListRegions", "regions.list"),
    "subnetworks.delete": _method(
        "Subnetworks", "delete_unary", "DeleteSubnetwork", "subnetworks.delete", "networks.updatePolicy"
    ),
    "subnetworks.get": _method("Subnetworks", "get", "GetSubnetwork", "subnetworks.get"),
    "subnetworks.insert": _method(
        "Subnetworks", "insert_unary", "InsertSubnetwork", "subnetworks.create", "networks.updatePolicy"
    ),
    "subnetworks.list": _method("Subnetworks", "list", "ListSubnetworks", "subnetworks.list"),
    "zoneOperations.get": _method("ZoneOperations", "get", "GetZoneOperation", "zoneOperations.get"),
    "zoneOperations.wait": _method("ZoneOperations", "wait", "WaitZoneOperation", "zoneOperations.get"),
}


def permissions() -> list[str]:
    """All permissions that a role for mcisd needs, sorted."""
    return sorted({name for method in METHODS.values() for name in method.permissions})


def role() -> str:
    """A custom role with them, as ``gcloud iam roles create --file`` reads it."""
    lines = ["title: mcisd", "description: What mcisd needs to run VMs", "stage: GA", "includedPermissions:"]
    return "\n".join([*lines, *(f"- {name}" for name in permissions())]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(role())
