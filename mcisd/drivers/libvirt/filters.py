"""Security groups as libvirt's packet filters. Pure. In: rules. Out: XML of nwfilters.

Each group is a filter that accepts; each VM has one of its own that refers to its groups and drops all else.
Connections are tracked: the answer to what was let through passes.
"""

import ipaddress
import xml.etree.ElementTree as ET

from mcisd.drivers.libvirt import xml
from mcisd.model.cloud import FirewallRule
from mcisd.model.errors import CloudInvalidError

_DIRECTIONS = {"inbound": "in", "outbound": "out"}
_PROTOCOLS = ("tcp", "udp", "icmp", "all")
_PORTS = range(1, 65_536)


def checked(rules: tuple[FirewallRule, ...]) -> tuple[FirewallRule, ...]:
    """The same rules; CloudInvalidError for what no filter can say."""
    for rule in rules:
        if rule.direction not in _DIRECTIONS or rule.protocol not in _PROTOCOLS:
            raise CloudInvalidError(
                f"rule {rule.direction[:20]} {rule.protocol[:20]} is unknown", field="rules",
                remedy="use inbound or outbound, and tcp, udp, icmp or all",
            )  # fmt: skip
        try:
            ipaddress.IPv4Network(rule.cidr, strict=False)
        except ValueError:
            raise CloudInvalidError("cidr is no IPv4 range", field="cidr", remedy="use one such as 0.0.0.0/0") from None
    return rules


def group_filter(name: str, item_id: str, rules: tuple[FirewallRule, ...]) -> str:
    """What a group lets through."""
    return xml.text_of(xml.node("filter", xml.node("uuid", item_id), *map(_rule, rules), name=name, chain="root"))


def vm_filter(name: str, item_id: str, groups: list[str]) -> str:
    """What a VM's groups let through, and its call for an address; nothing else."""
    dhcp = xml.node(
        "rule", xml.node("udp", srcportstart="68", dstportstart="67"), action="accept", direction="out", priority="100"
    )
    drops = [
        xml.node("rule", xml.node(what), action="drop", direction="inout", priority="1000")
        for what in ("all", "all-ipv6")
    ]
    refers = [xml.node("filterref", filter=group) for group in groups]
    return xml.text_of(xml.node("filter", xml.node("uuid", item_id), dhcp, *refers, *drops, name=name, chain="root"))


def _rule(rule: FirewallRule) -> ET.Element:
    inbound, match = rule.direction == "inbound", dict[str, str]()
    network = ipaddress.IPv4Network(rule.cidr, strict=False)
    if network.prefixlen:
        side = "src" if inbound else "dst"
        match = {f"{side}ipaddr": str(network.network_address), f"{side}ipmask": str(network.prefixlen)}
    if rule.protocol in ("tcp", "udp") and rule.from_port in _PORTS:
        match |= {"dstportstart": str(rule.from_port), "dstportend": str(max(rule.from_port, rule.to_port))}
    inner = xml.node(rule.protocol, **match)
    return xml.node("rule", inner, action="accept", direction=_DIRECTIONS[rule.direction], priority="500")
