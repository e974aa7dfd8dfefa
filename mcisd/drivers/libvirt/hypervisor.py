"""One open hypervisor. In: UUIDs, names, definitions as XML. Out: its objects. Every method blocks."""

from dataclasses import dataclass
from typing import Any

from mcisd.drivers.libvirt.edge import Edge
from mcisd.drivers.libvirt.objects import Domain, Network
from mcisd.drivers.libvirt.storage import Pool
from mcisd.model.errors import CloudNotFoundError, CloudUnsupportedError


@dataclass(frozen=True, slots=True)
class DomainRow:
    """One domain of the hypervisor, ours or not; ``state`` and ``reason`` are libvirt's numbers.

    ``memory_mib`` is what it may use, None where it was not asked for.
    """

    domain: Domain
    state: int
    reason: int
    memory_mib: int | None = None

    @property
    def id(self) -> str:
        return self.domain.id

    @property
    def name(self) -> str:
        return self.domain.name


@dataclass(frozen=True, slots=True)
class Node:
    """The host: architecture in libvirt's words, MiB of memory, threads of its processors."""

    arch: str
    memory_mib: int
    cpus: int


class Hypervisor(Edge):
    """What the handlers ask of it."""

    def alive(self) -> bool:
        try:
            return bool(self._handle.isAlive())
        except self._lib.libvirtError:
            return False

    def close(self) -> None:
        """Give it back; that it was broken already is no news."""
        try:
            self._handle.close()
        except self._lib.libvirtError:
            return

    def node(self) -> Node:
        info = self.call("virNodeGetInfo", self._handle.getInfo)
        return Node(str(info[0]), int(info[1]), int(info[2]))

    def capabilities(self) -> str:
        return str(self.call("virConnectGetCapabilities", self._handle.getCapabilities))

    def domains(self, memory: bool = False) -> list[DomainRow]:
        """Every domain with its state, in one request."""
        kinds = self.number("DOMAIN_STATS_STATE") | (self.number("DOMAIN_STATS_BALLOON") if memory else 0)
        flags = self.number("CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT") if memory else 0
        rows = self.call("virConnectGetAllDomainStats", self._handle.getAllDomainStats, kinds, flags)
        return [self._row(handle, stats) for handle, stats in rows]

    def domain(self, item_id: str) -> Domain | None:
        """The domain of this UUID; None if there is none."""
        try:
            found = self.call("virDomainLookupByUUIDString", self._handle.lookupByUUIDString, item_id)
        except CloudNotFoundError:
            return None
        return Domain(self, found)

    def define_domain(self, xml: str) -> Domain:
        """Define it, or put this definition in the place of the one with the same UUID and name."""
        return Domain(self, self.call("virDomainDefineXML", self._handle.defineXML, xml))

    def networks(self) -> dict[str, Network]:
        """UUID → every network, ours or not."""
        found = self.call("virConnectListAllNetworks", self._handle.listAllNetworks, 0)
        return {network.UUIDString(): Network(self, network) for network in found}

    def network(self, item_id: str) -> Network | None:
        try:
            found = self.call("virNetworkLookupByUUIDString", self._handle.networkLookupByUUIDString, item_id)
        except CloudNotFoundError:
            return None
        return Network(self, found)

    def define_network(self, xml: str) -> Network:
        return Network(self, self.call("virNetworkDefineXML", self._handle.networkDefineXML, xml))

    def filters(self) -> list[str] | None:
        """Names of the packet filters; None if this hypervisor has no packet filter."""
        try:
            found = self.call("virConnectListAllNWFilters", self._handle.listAllNWFilters, 0)
        except CloudUnsupportedError:
            return None
        return [row.name() for row in found]

    def define_filter(self, xml: str) -> None:
        self.call("virNWFilterDefineXML", self._handle.nwfilterDefineXML, xml)

    def remove_filter(self, name: str) -> None:
        """Succeeds if it is gone."""
        try:
            found = self.call("virNWFilterLookupByName", self._handle.nwfilterLookupByName, name)
            self.call("virNWFilterUndefine", found.undefine)
        except CloudNotFoundError:
            return

    def pools(self) -> list[Pool]:
        return [
            Pool(self, row) for row in self.call("virConnectListAllStoragePools", self._handle.listAllStoragePools, 0)
        ]

    def pool(self, name: str) -> Pool | None:
        try:
            return Pool(self, self.call("virStoragePoolLookupByName", self._handle.storagePoolLookupByName, name))
        except CloudNotFoundError:
            return None

    def create_pool(self, xml: str) -> Pool:
        """Start a pool that is not kept in the hypervisor's configuration."""
        return Pool(self, self.call("virStoragePoolCreateXML", self._handle.storagePoolCreateXML, xml, 0))

    def _row(self, handle: Any, stats: dict[str, int]) -> DomainRow:
        kib = stats.get("balloon.maximum")
        state, reason = int(stats.get("state.state", 0)), int(stats.get("state.reason", 0))
        return DomainRow(Domain(self, handle), state, reason, None if kib is None else int(kib) // 1024)
