"""Domains and networks of a hypervisor. In: plain values. Out: plain values and our errors. Every method blocks."""

from typing import Any

from mcisd.drivers.libvirt.cards import NAMESPACE, PREFIX
from mcisd.drivers.libvirt.edge import Edge
from mcisd.model.errors import CloudNotFoundError

_KEPT = ("MANAGED_SAVE", "SNAPSHOTS_METADATA", "CHECKPOINTS_METADATA", "NVRAM")


class Domain:
    """One domain: a VM, or a card."""

    def __init__(self, edge: Edge, handle: Any) -> None:
        self._edge, self._handle = edge, handle
        self.id, self.name = str(handle.UUIDString()), str(handle.name())

    def state(self) -> tuple[int, int]:
        state, reason = self._edge.call("virDomainGetState", self._handle.state, 0)
        return int(state), int(reason)

    def memory_mib(self) -> int:
        """What it may use at most, and uses as long as it runs."""
        return int(self._edge.call("virDomainGetMaxMemory", self._handle.maxMemory)) // 1024

    def card(self) -> str:
        """What we wrote on it; CloudNotFoundError if nothing, or if the domain is gone."""
        kind = self._edge.number("DOMAIN_METADATA_ELEMENT")
        return str(self._edge.call("virDomainGetMetadata", self._handle.metadata, kind, NAMESPACE, 0))

    def write_card(self, xml: str, running: bool) -> None:
        kind, where = self._edge.number("DOMAIN_METADATA_ELEMENT"), self._edge.number("DOMAIN_AFFECT_CONFIG")
        if running:
            where |= self._edge.number("DOMAIN_AFFECT_LIVE")
        self._edge.call("virDomainSetMetadata", self._handle.setMetadata, kind, xml, PREFIX, NAMESPACE, where)

    def start(self) -> None:
        """Switch it on, or bring it back from where it hibernates."""
        self._edge.call("virDomainCreate", self._handle.create)

    def unpause(self) -> None:
        self._edge.call("virDomainResume", self._handle.resume)

    def wake(self) -> None:
        self._edge.call("virDomainPMWakeup", self._handle.pMWakeup, 0)

    def shutdown(self) -> None:
        self._edge.call("virDomainShutdown", self._handle.shutdown)

    def destroy(self) -> None:
        self._edge.call("virDomainDestroy", self._handle.destroy)

    def reboot(self) -> None:
        self._edge.call("virDomainReboot", self._handle.reboot, 0)

    def save(self) -> None:
        self._edge.call("virDomainManagedSave", self._handle.managedSave, 0)

    def undefine(self, plain: bool = False) -> None:
        """With all that libvirt keeps of it: saved memory, records, and unless ``plain`` firmware variables."""
        names = ("MANAGED_SAVE", "SNAPSHOTS_METADATA") if plain else _KEPT
        flags = sum(self._edge.number(f"DOMAIN_UNDEFINE_{name}") for name in names)
        try:
            self._edge.call("virDomainUndefineFlags", self._handle.undefineFlags, flags)
        except CloudNotFoundError:
            return

    def addresses(self, source: str) -> list[str]:
        """IPv4 addresses as ``source`` (LEASE, AGENT or ARP) knows them."""
        number = self._edge.number(f"DOMAIN_INTERFACE_ADDRESSES_SRC_{source}")
        found = self._edge.call("virDomainInterfaceAddresses", self._handle.interfaceAddresses, number, 0)
        rows = [row for card in (found or {}).values() for row in card.get("addrs") or []]
        texts = [str(row["addr"]) for row in rows if row.get("type") == self._edge.number("IP_ADDR_TYPE_IPV4")]
        return [text for text in texts if not text.startswith("127.")]


class Network:
    def __init__(self, edge: Edge, handle: Any) -> None:
        self._edge, self._handle = edge, handle
        self.id, self.name = str(handle.UUIDString()), str(handle.name())

    def xml(self) -> str:
        return str(self._edge.call("virNetworkGetXMLDesc", self._handle.XMLDesc, 0))

    def active(self) -> bool:
        return bool(self._edge.call("virNetworkIsActive", self._handle.isActive))

    def start(self) -> None:
        """Make its bridge and start its DHCP server, now and whenever the host starts."""
        self._edge.call("virNetworkCreate", self._handle.create)
        self._edge.call("virNetworkSetAutostart", self._handle.setAutostart, 1)

    def destroy(self) -> None:
        self._edge.call("virNetworkDestroy", self._handle.destroy)

    def undefine(self) -> None:
        self._edge.call("virNetworkUndefine", self._handle.undefine)

    def reserve(self, mac: str, address: str) -> None:
        """Let its DHCP server give this address to that card and to no other; CloudConflictError if either is taken."""
        self._update("ADD_LAST", f"<host mac='{mac}' ip='{address}'/>")

    def release(self, mac: str, address: str) -> None:
        """Take that back; CloudConflictError if it was not so."""
        self._update("DELETE", f"<host mac='{mac}' ip='{address}'/>")

    def _update(self, command: str, xml: str) -> None:
        number, section = (
            self._edge.number(f"NETWORK_UPDATE_COMMAND_{command}"),
            self._edge.number("NETWORK_SECTION_IP_DHCP_HOST"),
        )
        where = self._edge.number("NETWORK_UPDATE_AFFECT_CONFIG") | self._edge.number("NETWORK_UPDATE_AFFECT_LIVE")
        self._edge.call("virNetworkUpdate", self._handle.update, number, section, -1, xml, where)
