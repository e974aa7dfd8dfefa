"""Microsoft.Network. In: what a client PUTs or deletes. Out: the resource as Azure keeps it, or its refusal."""

import ipaddress
from collections.abc import Callable

from tests.clouds.azure.arm import Arm, ArmError, Item, Json, copied, guid

NETWORKS = "Microsoft.Network/virtualNetworks"
GROUPS = "Microsoft.Network/networkSecurityGroups"
CARDS = "Microsoft.Network/networkInterfaces"
ADDRESSES = "Microsoft.Network/publicIPAddresses"
MARKERS = "Microsoft.Network/applicationSecurityGroups"
MACHINES = "Microsoft.Compute/virtualMachines"


def put(arm: Arm, kind: str, name: str, group: str, body: Json) -> Item:
    """Make or replace a resource. The answer may be on its way yet: ``provisioningState`` says so."""
    arm.group(group)
    if kind not in (NETWORKS, GROUPS, CARDS, ADDRESSES, MARKERS):
        raise ArmError(404, "InvalidResourceType", f"The resource type {kind} could not be found.")
    known = arm.find(arm.id_of(group, kind, name))
    etag = f'W/"{guid()}"'
    made: Json = {
        "name": name,
        "id": arm.id_of(group, kind, name),
        "etag": etag,
        "type": kind,
        "location": body["location"],
        "properties": {
            "provisioningState": "Updating",
            "resourceGuid": known.facts["resourceGuid"] if known else guid(),
        },
    }
    if body.get("tags"):
        made["tags"] = copied(body["tags"])
    for extra in ("sku", "zones"):
        if extra in body:
            made[extra] = copied(body[extra])
    makers: dict[str, Callable[[Arm, Json, Json, Item | None], None]] = {
        NETWORKS: _network,
        GROUPS: _group,
        CARDS: _card,
        ADDRESSES: _address,
        MARKERS: _marker,
    }
    makers[kind](arm, made, body.get("properties") or {}, known)
    item = Item(made)
    if known is not None:
        item.made = known.made
    return arm.add(item)


def ready(item: Item) -> None:
    """What the operation does at its end."""
    item.facts["provisioningState"] = "Succeeded"
    for part in (*item.facts.get("subnets", ()), *item.facts.get("securityRules", ())):
        part["properties"]["provisioningState"] = "Succeeded"


def check_delete(arm: Arm, item: Item) -> None:
    """Azure refuses what is in use, at once."""
    if item.kind == NETWORKS.lower():
        for subnet in item.facts["subnets"]:
            users = arm.using(subnet["id"], CARDS)
            if users:
                raise ArmError(
                    400,
                    "InUseSubnetCannotBeDeleted",
                    f"Subnet {subnet['name']} is in use by {users[0].id} and cannot be deleted.",
                )
    if item.kind == GROUPS.lower() and (users := arm.using(item.id, CARDS)):
        raise ArmError(
            400,
            "InUseNetworkSecurityGroupCannotBeDeleted",
            f"Network security group {item.id} cannot be deleted because it is in use by {users[0].id}.",
        )
    if item.kind == ADDRESSES.lower() and (users := arm.using(item.id, CARDS)):
        raise ArmError(
            400,
            "PublicIPAddressCannotBeDeleted",
            f"Public IP address {item.id} can not be deleted: in use by {users[0].id}.",
        )
    if item.kind == CARDS.lower() and (users := arm.using(item.id, MACHINES)):
        raise ArmError(400, "NicInUse", f"Network Interface {item.id} is used by existing resource {users[0].id}.")


def _network(arm: Arm, made: Json, facts: Json, known: Item | None) -> None:
    try:
        space = [ipaddress.IPv4Network(text) for text in facts["addressSpace"]["addressPrefixes"]]
    except ValueError as error:
        raise ArmError(400, "InvalidAddressPrefixFormat", f"{error}") from error
    subnets = []
    for subnet in facts.get("subnets") or []:
        prefix = ipaddress.IPv4Network(subnet["properties"]["addressPrefix"])
        if not any(prefix.subnet_of(whole) for whole in space):
            raise ArmError(400, "NetcfgInvalidSubnet", f"Subnet '{subnet['name']}' is not valid in virtual network.")
        subnets.append(
            {
                "name": subnet["name"],
                "id": f"{made['id']}/subnets/{subnet['name']}",
                "etag": made["etag"],
                "properties": {
                    "provisioningState": "Updating",
                    "addressPrefix": str(prefix),
                    "delegations": [],
                    "privateEndpointNetworkPolicies": "Enabled",
                    "privateLinkServiceNetworkPolicies": "Enabled",
                },
                "type": f"{NETWORKS}/subnets",
            }
        )
    made["properties"] |= {
        "addressSpace": copied(facts["addressSpace"]),
        "subnets": subnets,
        "virtualNetworkPeerings": [],
        "enableDdosProtection": bool(facts.get("enableDdosProtection", False)),
        "enableVmProtection": bool(facts.get("enableVmProtection", False)),
    }


def _group(arm: Arm, made: Json, facts: Json, known: Item | None) -> None:
    rules = []
    for rule in facts.get("securityRules") or []:
        settings = rule["properties"]
        try:
            for side in ("sourceAddressPrefix", "destinationAddressPrefix"):
                if settings[side] != "*":
                    ipaddress.ip_network(settings[side])
        except ValueError as error:
            raise ArmError(
                400, "SecurityRuleInvalidAddressPrefix", f"Security rule has an invalid prefix: {error}"
            ) from error
        rules.append(
            {
                "name": rule["name"],
                "id": f"{made['id']}/securityRules/{rule['name']}",
                "etag": made["etag"],
                "type": f"{GROUPS}/securityRules",
                "properties": {"provisioningState": "Updating", **copied(settings)},
            }
        )
    made["properties"] |= {"securityRules": rules, "defaultSecurityRules": []}


def _card(arm: Arm, made: Json, facts: Json, known: Item | None) -> None:
    entries = []
    for entry in facts["ipConfigurations"]:
        settings = entry["properties"]
        network = _subnet_owner(arm, settings["subnet"]["id"])
        address = known.facts["ipConfigurations"][0]["properties"]["privateIPAddress"] if known else None
        kept: Json = {
            "provisioningState": "Succeeded",
            "privateIPAddress": address or _free(arm, network, settings["subnet"]["id"]),
            "privateIPAllocationMethod": settings.get("privateIPAllocationMethod", "Dynamic"),
            "subnet": {"id": settings["subnet"]["id"]},
            "primary": True,
            "privateIPAddressVersion": "IPv4",
        }
        if "publicIPAddress" in settings:
            kept["publicIPAddress"] = _public(arm, settings["publicIPAddress"])
        entries.append(
            {
                "name": entry["name"],
                "id": f"{made['id']}/ipConfigurations/{entry['name']}",
                "etag": made["etag"],
                "type": f"{CARDS}/ipConfigurations",
                "properties": kept,
            }
        )
    made["properties"] |= {
        "provisioningState": "Succeeded",  # as recorded: a card is done with the first answer
        "ipConfigurations": entries,
        "dnsSettings": {
            "dnsServers": [],
            "appliedDnsServers": [],
            "internalDomainNameSuffix": "x.internal.cloudapp.net",
        },
        "enableAcceleratedNetworking": False,
        "enableIPForwarding": False,
        "hostedWorkloads": [],
        "tapConfigurations": [],
    }
    if "networkSecurityGroup" in facts:
        wanted = facts["networkSecurityGroup"]["id"]
        _existing(arm, wanted)
        made["properties"]["networkSecurityGroup"] = {"id": wanted}


def _subnet_owner(arm: Arm, subnet: str) -> Item:
    network = _existing(arm, subnet.rpartition("/subnets/")[0], subnet)
    if subnet.lower() not in {part["id"].lower() for part in network.facts["subnets"]}:
        raise ArmError(400, "InvalidResourceReference", f"Resource {subnet} referenced by resource was not found.")
    return network


def _existing(arm: Arm, resource_id: str, shown: str = "") -> Item:
    """A resource that another one refers to; it must be there, and done."""
    found = arm.find(resource_id)
    if found is None:
        raise ArmError(
            400, "InvalidResourceReference", f"Resource {shown or resource_id} referenced by resource was not found."
        )
    if found.facts["provisioningState"] != "Succeeded":
        raise ArmError(
            409,
            "ReferencedResourceNotProvisioned",
            f"Cannot proceed with operation because resource {resource_id} is not in Succeeded state.",
        )
    return found


def _public(arm: Arm, wanted: Json) -> Json:
    _existing(arm, wanted["id"])
    kept: Json = {"id": wanted["id"]}
    if wanted.get("properties"):
        kept["properties"] = copied(wanted["properties"])
    return kept


def _free(arm: Arm, network: Item, subnet: str) -> str:
    """The next address of a subnet: Azure keeps the first four for itself."""
    part = next(part for part in network.facts["subnets"] if part["id"].lower() == subnet.lower())
    used = {
        entry["properties"]["privateIPAddress"]
        for card in arm.items.values()
        if card.kind == CARDS.lower()
        for entry in card.facts["ipConfigurations"]
        if entry["properties"]["subnet"]["id"].lower() == subnet.lower()
    }
    hosts = list(ipaddress.ip_network(part["properties"]["addressPrefix"]).hosts())[3:]
    for host in hosts:
        if str(host) not in used:
            return str(host)
    raise ArmError(400, "SubnetIsFull", f"Subnet {part['name']} does not have enough capacity.")


def _address(arm: Arm, made: Json, facts: Json, known: Item | None) -> None:
    count = sum(1 for item in arm.items.values() if item.kind == ADDRESSES.lower())
    address = known.facts["ipAddress"] if known else f"203.0.113.{count % 250 + 1}"
    made["properties"] |= {
        "ipAddress": address,
        "publicIPAddressVersion": facts.get("publicIPAddressVersion", "IPv4"),
        "publicIPAllocationMethod": facts.get("publicIPAllocationMethod", "Dynamic"),
        "deleteOption": facts.get("deleteOption", "Detach"),
        "idleTimeoutInMinutes": 4,
        "ipTags": [],
    }


def _marker(arm: Arm, made: Json, facts: Json, known: Item | None) -> None:
    """It has no settings."""
