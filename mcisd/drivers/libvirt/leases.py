"""Addresses of VMs. In: a network, a VM's card. Out: an address that stays the VM's own. Blocks.

In a network of ours the address is reserved at the network's DHCP server before the VM is defined: it is known at once,
and the same after a long stop. On a bridge of the host's somebody else gives addresses, and the hypervisor is asked.
"""

import ipaddress
import uuid
from itertools import islice

from mcisd.drivers.libvirt import xml
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.objects import Domain, Network
from mcisd.model.errors import CloudCapacityError, CloudConflictError, CloudError

TRIES = 64
"""Addresses tried when others take them at the same moment."""
_SOURCES = ("LEASE", "AGENT", "ARP")


def reserve(network: Network, item_id: str, mac: str) -> str:
    """An address of this network for this card; the same one if it was reserved before. "" on a bridge of the host."""
    taken, span = reserved_in(network.xml())
    if span is None:
        return ""
    if mac in taken:
        return taken[mac]
    used, (first, last) = set(taken.values()), span
    count = last - first + 1
    start = uuid.UUID(item_id).int % count
    texts = (str(ipaddress.IPv4Address(first + (start + step) % count)) for step in range(count))
    for address in islice((text for text in texts if text not in used), TRIES):
        try:
            network.reserve(mac, address)
        except CloudConflictError:
            continue
        return address
    raise CloudCapacityError("the network has no free address", field="network_id", remedy="use a larger network")


def release(network: Network, mac: str) -> None:
    """Give the address back; succeeds if it was given back already."""
    taken, _ = reserved_in(network.xml())
    if mac in taken:
        try:
            network.release(mac, taken[mac])
        except CloudConflictError:
            return


def reserved_in(definition: str) -> tuple[dict[str, str], tuple[int, int] | None]:
    """Card → reserved address, and first and last address of the DHCP server (None if it has none)."""
    root = xml.parsed(definition)
    taken = {host.get("mac", ""): host.get("ip", "") for host in root.findall("ip/dhcp/host")}
    span = root.find("ip/dhcp/range")
    if span is None:
        return taken, None
    return taken, (int(ipaddress.IPv4Address(span.get("start", ""))), int(ipaddress.IPv4Address(span.get("end", ""))))


def found(ground: Ground, domain: Domain) -> str:
    """The address of a running VM on a bridge of the host's; "" until one of libvirt's sources knows it."""
    known = ground.addresses.get(domain.id, "")
    if not known:
        for source in _SOURCES:
            known = _first(domain, source)
            if known:
                ground.addresses[domain.id] = known
                break
    return known


def _first(domain: Domain, source: str) -> str:
    try:
        return next(iter(domain.addresses(source)), "")
    except CloudError:  # the guest has no agent, or this source is not there
        return ""
