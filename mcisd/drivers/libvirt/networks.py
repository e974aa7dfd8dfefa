"""Networks: libvirt networks with a bridge and a DHCP server of their own. In: requests. Out: our nouns. Blocks.

All networks of a host share its routing table. Where the subnet asked for is taken by another network, the next free
one of the same size inside the network's range is used.
"""

import ipaddress
from collections.abc import Iterator
from itertools import islice

from mcisd.drivers.libvirt import cards, xml
from mcisd.drivers.libvirt.cards import Card
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.drivers.libvirt.settings import Settings
from mcisd.model.cloud import NetworkInfo, NetworkRequest
from mcisd.model.errors import CloudConflictError, CloudInvalidError, CloudUnsupportedError

USUAL_PREFIX = 24
"""Length of the subnet where the request names none."""
MOST_ADDRESSES = 4096
"""Handed out by one DHCP server."""
TRIES = 16
"""Subnets that are tried when the host itself has the first ones in use."""


def create(hv: Hypervisor, ground: Ground, request: NetworkRequest) -> NetworkInfo:
    """The network of this token, running."""
    item_id = cards.object_id(ground.installation, cards.NETWORK, request.token)
    with ground.lock(item_id):
        known = ground.book.network(hv, item_id)
        if known is None:
            card = _define(hv, ground, request, item_id)
        else:
            network, card = known
            if not network.active():
                network.start()
        return _info(item_id, card)


def listing(hv: Hypervisor, ground: Ground) -> list[NetworkInfo]:
    return [_info(item_id, card) for item_id, card in ground.book.networks(hv)]


def delete(hv: Hypervisor, ground: Ground, network_id: str) -> None:
    with ground.lock(network_id):
        known = ground.book.network(hv, network_id)
        if known is None:
            return
        users = [e for e in ground.book.domains(hv, cards.VM, cards.GROUP) if e.card.text("network_id") == network_id]
        if users:
            raise CloudConflictError(f"network {known[1].name} is in use by {users[0].card.kind} {users[0].card.name}")
        network = known[0]
        if network.active():
            network.destroy()
        network.undefine()


def _define(hv: Hypervisor, ground: Ground, request: NetworkRequest, item_id: str) -> Card:
    subnet = wanted_subnet(request)
    facts: dict[str, object] = {"cidr": request.cidr}
    card = cards.new_card(cards.NETWORK, request.name, request.tags, ground.installation, request.token, facts)
    if ground.settings.network_mode == "bridge":
        hv.define_network(definition(ground.settings, item_id, card, None)).start()
        return card
    taken = [found for network in hv.networks().values() for found in subnets_in(network.xml())]
    for free in islice(free_subnets(subnet, request.cidr, taken), TRIES):
        network = hv.define_network(definition(ground.settings, item_id, card, free))
        try:
            network.start()
        except CloudConflictError:  # an interface of the host itself has it
            network.undefine()
            continue
        return card
    raise CloudConflictError(
        f"no subnet of {request.cidr} is free on this host", field="cidr", remedy="use another address range"
    )


def wanted_subnet(request: NetworkRequest) -> ipaddress.IPv4Network:
    """The one subnet of a network; CloudInvalidError for what is no range of IPv4 with room for a VM."""
    if len(request.subnets) > 1:
        raise CloudUnsupportedError("a libvirt network has one subnet", remedy="make one network for each subnet")
    try:
        whole = ipaddress.IPv4Network(request.cidr)
        subnet = ipaddress.IPv4Network(request.subnets[0]) if request.subnets else None
    except ValueError:
        raise CloudInvalidError("cidr is no IPv4 range", field="cidr", remedy="give one such as 10.0.0.0/16") from None
    if subnet is None:
        subnet = next(whole.subnets(new_prefix=max(USUAL_PREFIX, whole.prefixlen)))
    if subnet.prefixlen > 29 or not subnet.subnet_of(whole):
        raise CloudInvalidError(
            f"subnet {subnet} has no room, or is not in {whole}", field="subnets", remedy="use a /24 of it"
        )
    return subnet


def free_subnets(
    first: ipaddress.IPv4Network, cidr: str, taken: list[ipaddress.IPv4Network]
) -> Iterator[ipaddress.IPv4Network]:
    """``first`` and those after it inside ``cidr``, then those before it, without what overlaps ``taken``."""
    whole = ipaddress.IPv4Network(cidr)
    count, size = 2 ** (first.prefixlen - whole.prefixlen), first.num_addresses
    start = (int(first.network_address) - int(whole.network_address)) // size
    for step in range(count):
        base = int(whole.network_address) + (start + step) % count * size
        subnet = ipaddress.IPv4Network((base, first.prefixlen))
        if not any(subnet.overlaps(other) for other in taken):
            yield subnet


def subnets_in(definition_text: str) -> list[ipaddress.IPv4Network]:
    """The IPv4 ranges of a libvirt network."""
    found = []
    for ip in xml.parsed(definition_text).findall("ip"):
        size = ip.get("prefix") or ip.get("netmask")
        if ip.get("family", "ipv4") == "ipv4" and ip.get("address") and size:
            found.append(ipaddress.IPv4Network(f"{ip.get('address')}/{size}", strict=False))
    return found


def definition(settings: Settings, item_id: str, card: Card, subnet: ipaddress.IPv4Network | None) -> str:
    """libvirt's XML. Without ``subnet`` it is a name for a bridge that the host has."""
    parts = [xml.node("name", cards.domain_name(card.name, item_id)), xml.node("uuid", item_id)]
    parts.append(xml.node("metadata", cards.element(card)))
    if subnet is None:
        parts += [xml.node("forward", mode="bridge"), xml.node("bridge", name=settings.bridge)]
        return xml.text_of(xml.node("network", *parts))
    if settings.network_mode == "nat":
        parts.append(xml.node("forward", mode="nat"))
    parts.append(xml.node("bridge", name=f"mc{item_id.replace('-', '')[:10]}", stp="on", delay="0"))
    last = min(int(subnet.broadcast_address) - 1, int(subnet.network_address) + MOST_ADDRESSES)
    pool = xml.node("range", start=str(subnet[2]), end=str(ipaddress.IPv4Address(last)))
    ip = xml.node("ip", xml.node("dhcp", pool), address=str(subnet[1]), prefix=str(subnet.prefixlen))
    return xml.text_of(xml.node("network", *parts, ip))


def _info(item_id: str, card: Card) -> NetworkInfo:
    return NetworkInfo(item_id, card.name, card.text("cidr"), (item_id,), card.shown_tags)
