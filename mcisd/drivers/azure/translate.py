"""Between Azure's JSON and our nouns. Pure. In: bodies of answers. Out: nouns of mcisd.model.cloud."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mcisd.drivers.azure.names import VM, is_name, sibling
from mcisd.drivers.marks import TOKEN, shown
from mcisd.model.cloud import (
    CloudRegion,
    CloudVmState,
    FirewallRule,
    KeyPairInfo,
    Location,
    NetworkInfo,
    OwnedInfo,
    QuotaInfo,
    SecurityGroupInfo,
    VmInfo,
)

Json = Mapping[str, Any]
NAME, USER, NETWORK, ENDED = "mcisd-name", "mcisd-user", "mcisd-network", "mcisd-ended"
"""Tags of this driver alone: the name and the user that were asked for, a group's network, when a VM was terminated."""
_PRIVATE = (NAME, USER, NETWORK, ENDED)
State = CloudVmState
_POWER = {
    "starting": State.PENDING,
    "creating": State.PENDING,
    "running": State.RUNNING,
    "stopping": State.STOPPING,
    "deallocating": State.STOPPING,
    "stopped": State.STOPPED,
    "deallocated": State.STOPPED,
}
_KINDS = {
    "microsoft.compute/virtualmachines": "vm",
    "microsoft.compute/disks": "disk",
    "microsoft.compute/sshpublickeys": "key",
    "microsoft.network/networkinterfaces": "nic",
    "microsoft.network/publicipaddresses": "public-ip",
    "microsoft.network/virtualnetworks": "network",
    "microsoft.network/networksecuritygroups": "security-group",
    "microsoft.network/applicationsecuritygroups": "marker",
}
"""Azure's type → OwnedInfo.kind. A marker costs nothing and tells that a token's VM was terminated."""


def tags_of(body: Json) -> dict[str, str]:
    """All tags of an object, ours included."""
    return {str(name): str(value) for name, value in (body.get("tags") or {}).items()}


def public_tags(body: Json) -> dict[str, str]:
    """The tags as the core sees them."""
    return {name: value for name, value in shown(tags_of(body)).items() if name not in _PRIVATE}


def properties(body: Json) -> dict[str, Any]:
    found = body.get("properties")
    return dict(found) if isinstance(found, Mapping) else {}


def last(resource_id: str) -> str:
    """The name at the end of a resource's id, in small letters: Azure's answers differ in case."""
    return resource_id.rstrip("/").rpartition("/")[2].lower()


def region_of(body: Json) -> CloudRegion | None:
    """None for what is no place: logical regions, and such without coordinates."""
    meta = body.get("metadata") or {}
    try:
        latitude, longitude = float(meta["latitude"]), float(meta["longitude"])
    except (KeyError, TypeError, ValueError):
        return None
    if meta.get("regionType", "Physical") != "Physical":
        return None
    zones = tuple(sorted(str(zone["logicalZone"]) for zone in body.get("availabilityZoneMappings") or ()))
    place = Location(latitude, longitude, str(meta.get("physicalLocation") or body.get("displayName", "")))
    return CloudRegion(str(body["name"]), place, zones)


def network_of(body: Json) -> NetworkInfo:
    facts, tags = properties(body), tags_of(body)
    name = str(body["name"]).lower()
    subnets = sorted(f"{name}/{subnet['name']}" for subnet in facts.get("subnets") or ())
    prefixes = (facts.get("addressSpace") or {}).get("addressPrefixes") or [""]
    return NetworkInfo(name, tags.get(NAME, name), str(prefixes[0]), tuple(subnets), public_tags(body))


_PROTOCOLS = {"tcp": "Tcp", "udp": "Udp", "icmp": "Icmp", "all": "*"}


def rule_body(rule: FirewallRule, number: int) -> dict[str, Any]:
    """One security rule of a group; ``number`` counts from 0 and gives its priority."""
    inbound = rule.direction == "inbound"
    whole = rule.protocol in ("icmp", "all") or (rule.from_port, rule.to_port) in ((0, 65535), (-1, -1))
    ports = "*" if whole else str(rule.from_port)
    if not whole and rule.to_port != rule.from_port:
        ports = f"{rule.from_port}-{rule.to_port}"
    return {
        "name": f"rule-{number}",
        "properties": {
            "priority": 100 + number,
            "direction": "Inbound" if inbound else "Outbound",
            "access": "Allow",
            "protocol": _PROTOCOLS[rule.protocol],
            "sourcePortRange": "*",
            "destinationPortRange": ports,
            "sourceAddressPrefix": rule.cidr if inbound else "*",
            "destinationAddressPrefix": "*" if inbound else rule.cidr,
        },
    }


def rule_of(body: Json) -> FirewallRule:
    facts = properties(body)
    inbound = facts.get("direction") == "Inbound"
    protocol = next((ours for ours, word in _PROTOCOLS.items() if word == facts.get("protocol")), "all")
    first, _, end = str(facts.get("destinationPortRange") or "*").partition("-")
    ports = (0, 65535) if first == "*" else (int(first), int(end or first))
    cidr = facts.get("sourceAddressPrefix") if inbound else facts.get("destinationAddressPrefix")
    return FirewallRule("inbound" if inbound else "outbound", protocol, *ports, str(cidr or ""))


def group_of(body: Json) -> SecurityGroupInfo:
    name, tags = str(body["name"]).lower(), tags_of(body)
    ordered = sorted(properties(body).get("securityRules") or (), key=lambda r: properties(r).get("priority", 0))
    rules = tuple(rule_of(rule) for rule in ordered)
    return SecurityGroupInfo(name, tags.get(NAME, name), tags.get(NETWORK, ""), rules, public_tags(body))


def key_of(body: Json, fingerprint: str) -> KeyPairInfo:
    name = str(body["name"]).lower()
    return KeyPairInfo(name, tags_of(body).get(NAME, name), fingerprint, public_tags(body))


def statuses(body: Json) -> list[tuple[str, str]]:
    """Code and message of each status of a VM's instance view; [] where the answer has none."""
    view = properties(body).get("instanceView") or (body if "statuses" in body else {})
    return [
        (str(s.get("code", "")), str(s.get("message") or s.get("displayStatus") or ""))
        for s in view.get("statuses") or ()
    ]


def state_of(body: Json) -> tuple[State, str]:
    """State and reason of a VM.

    A VM that Azure could not make is failed; one whose last change failed stays what its power state says, with the
    reason: it can be started again.
    """
    provisioning = str(properties(body).get("provisioningState") or "").lower()
    power, reason = "", ""
    for code, message in statuses(body):
        head, _, rest = code.partition("/")
        if head == "PowerState":
            power = rest.lower()
        elif head == "ProvisioningState":
            provisioning = rest.partition("/")[0].lower()
            if provisioning == "failed":
                reason = f"{rest.partition('/')[2]}: {message}".strip(": ") or "failed"
    if provisioning == "deleting":
        return State.TERMINATING, ""
    if provisioning == "failed" and power not in ("running", "stopped", "deallocated"):
        return State.FAILED, reason or "Azure could not make the VM"
    if power in _POWER:
        return _POWER[power], reason
    return State.PENDING, reason


def image_of(reference: Json) -> str:
    """The id of a VM's image as list_images gives it."""
    if reference.get("id"):
        return str(reference["id"])
    version = reference.get("exactVersion") or reference.get("version")
    return ":".join(
        str(part) for part in (reference.get("publisher"), reference.get("offer"), reference.get("sku"), version)
    )


def vm_of(body: Json, region: str, public: str = "", private: str = "") -> VmInfo:
    """A VM with the addresses that its card and public IP have."""
    facts, tags, name = properties(body), tags_of(body), str(body["name"]).lower()
    state, reason = state_of(body)
    profile = facts.get("osProfile") or {}
    return VmInfo(
        id=name,
        name=tags.get(NAME) or str(profile.get("computerName") or name),
        token=tags.get(TOKEN, ""),
        state=state,
        region=region,
        zone=str((body.get("zones") or [""])[0]),
        public_address=public,
        private_address=private,
        guest_user=tags.get(USER) or str(profile.get("adminUsername") or "root"),
        image_id=image_of((facts.get("storageProfile") or {}).get("imageReference") or {}),
        spec_id=str((facts.get("hardwareProfile") or {}).get("vmSize") or ""),
        network_id=tags.get(NETWORK, ""),
        started_at=seconds_of(facts.get("timeCreated")),
        tags=public_tags(body),
        reason=reason,
    )


def seconds_of(text: object) -> float | None:
    """Seconds since the epoch of an ISO time with any number of decimals."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00"))).timestamp()
    except ValueError:
        return None


def private_address(card: Json) -> str:
    for entry in properties(card).get("ipConfigurations") or ():
        address = properties(entry).get("privateIPAddress")
        if address:
            return str(address)
    return ""


def public_address(address: Json) -> str:
    return str(properties(address).get("ipAddress") or "")


def addresses(cards: Iterable[Json], publics: Iterable[Json]) -> dict[str, tuple[str, str]]:
    """VM name → its public and private address."""
    private = {str(card["name"]).lower(): private_address(card) for card in cards}
    found = {str(ip["name"]).lower(): public_address(ip) for ip in publics}
    return {
        sibling(card, VM): (found.get(sibling(card, "ip"), ""), address)
        for card, address in private.items()
        if is_name("nic", card)
    }


def owned_of(body: Json) -> OwnedInfo:
    name = str(body["name"]).lower()
    kind = str(body.get("type", "")).lower()
    tags = tags_of(body)
    return OwnedInfo(_KINDS.get(kind, kind), name, tags.get(NAME, name), tags.get(TOKEN, ""), public_tags(body))


_QUOTAS = {
    "cores": "vcpus",
    "virtualmachines": "vms",
    "virtualnetworks": "networks",
    "networksecuritygroups": "security_groups",
    "publicipaddresses": "public_addresses",
}


def quota_of(body: Json) -> QuotaInfo:
    """One line of a usage list; a limit below zero means none."""
    name, limit = str((body.get("name") or {}).get("value", "")), int(body.get("limit", 0))
    return QuotaInfo(_QUOTAS.get(name.lower(), name), limit if limit >= 0 else None, int(body.get("currentValue", 0)))
