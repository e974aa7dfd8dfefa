"""Firewall rules in Google's form and ours. Pure. In: our rules. Out: bodies of firewalls, and our rules read back.

A security group is several firewalls with one target tag, the group's id. Rules of one direction and range share a
firewall. The first firewall bears the group's name: it refuses all other outbound traffic, and is switched off unless
the group has outbound rules, as Google lets everything out otherwise.
"""

from collections.abc import Iterable

from mcisd.drivers.gcp.api import Json
from mcisd.model.cloud import FirewallRule

ANY = "0.0.0.0/0"
LAST = 65534
USUAL = 1000
_ICMP6 = "58"


def bodies(group: str, network_link: str, text: str, rules: tuple[FirewallRule, ...]) -> list[Json]:
    """The firewalls of a group, the first one first; ``text`` is their description."""
    common: Json = {"network": network_link, "targetTags": [group], "description": text}
    merged: dict[tuple[str, str], list[FirewallRule]] = {}
    for rule in rules:
        merged.setdefault((rule.direction, rule.cidr), []).append(rule)
    outbound = any(rule.direction == "outbound" for rule in rules)
    first = {
        "name": group,
        "direction": "EGRESS",
        "priority": LAST,
        "denied": [{"IPProtocol": "all"}],
        "destinationRanges": [ANY],
        "disabled": not outbound,
        **common,
    }
    rest = [
        {
            "name": f"{group}-{number}",
            "direction": "INGRESS" if direction == "inbound" else "EGRESS",
            "priority": USUAL,
            "allowed": [_allowed(rule) for rule in some],
            "sourceRanges" if direction == "inbound" else "destinationRanges": [cidr],
            **common,
        }
        for number, ((direction, cidr), some) in enumerate(merged.items())
    ]
    return [first, *rest]


def _allowed(rule: FirewallRule) -> Json:
    if rule.protocol in ("tcp", "udp"):
        if rule.from_port < 0:
            return {"IPProtocol": rule.protocol}
        one = rule.from_port == rule.to_port
        return {
            "IPProtocol": rule.protocol,
            "ports": [str(rule.from_port) if one else f"{rule.from_port}-{rule.to_port}"],
        }
    return {"IPProtocol": _ICMP6 if rule.protocol == "icmp" and ":" in rule.cidr else rule.protocol}


def read(firewalls: Iterable[Json]) -> tuple[FirewallRule, ...]:
    """The rules of a group, in the order in which they were asked for, as far as firewalls keep it."""
    return tuple(
        FirewallRule("inbound" if item["direction"] == "INGRESS" else "outbound", protocol, low, high, cidr)
        for item in sorted(firewalls, key=lambda item: _number(item["name"]))
        for cidr in item.get("sourceRanges") or item.get("destinationRanges") or ()
        for allowed in item.get("allowed", ())
        for protocol in ("icmp" if allowed["IPProtocol"] == _ICMP6 else str(allowed["IPProtocol"]),)
        for low, high in _ranges(allowed)
    )


def _ranges(allowed: Json) -> list[tuple[int, int]]:
    ports = [str(port).partition("-") for port in allowed.get("ports", ())]
    return [(int(low), int(high or low)) for low, _, high in ports] or [(-1, -1)]


def _number(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1
