"""All that is ours at a hypervisor, read in few requests. Every method blocks.

What a card says never changes once a VM is made, so it is read once: from then on the states of all VMs are one
request.
"""

from dataclasses import dataclass
from typing import Any

from mcisd.drivers.libvirt import cards
from mcisd.drivers.libvirt.cards import Card
from mcisd.drivers.libvirt.hypervisor import DomainRow, Hypervisor
from mcisd.drivers.libvirt.objects import Domain, Network
from mcisd.model.errors import CloudNotFoundError

SPARE = 100
"""Cards of what is no more that may be remembered."""
MADE = "made"
"""Fact of a VM whose creation went through to its end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One domain of ours: a VM, or a card."""

    row: DomainRow
    card: Card

    @property
    def id(self) -> str:
        return self.row.id


class Book:
    """What one connection remembers; as large as the hypervisor's lists."""

    def __init__(self, installation: str) -> None:
        self._installation = installation
        self._domains: dict[str, Card | None] = {}
        self._networks: dict[str, Card | None] = {}

    def domains(self, hv: Hypervisor, *kinds: str) -> list[Entry]:
        """Our domains of these kinds of card."""
        rows = [row for row in self._seen(hv.domains()) if cards.kind_of_name(row.name) in kinds]
        found = [(row, self._card(row.domain)) for row in rows]
        return [
            Entry(row, card)
            for row, card in found
            if card is not None and card.kind in kinds and card.belongs(self._installation)
        ]

    def networks(self, hv: Hypervisor) -> list[tuple[str, Card]]:
        """Our networks: UUID and card."""
        found = hv.networks()
        known = {item_id: self._networks[item_id] for item_id in found if item_id in self._networks}
        for item_id, network in found.items():
            if item_id not in known:
                known[item_id] = network_card(network)
        self._networks = known
        return [(item_id, card) for item_id, card in known.items() if card and card.belongs(self._installation)]

    def domain(self, hv: Hypervisor, kind: str, item_id: str) -> tuple[Domain, Card] | None:
        """One domain of ours with its card; None if there is none of this kind."""
        domain = hv.domain(item_id) if cards.is_id(item_id) else None
        card = self._card(domain) if domain is not None else None
        if domain is None or card is None or card.kind != kind or not card.belongs(self._installation):
            return None
        return domain, card

    def keep(self, item_id: str, card: Card | None) -> None:
        """Remember a card that stays right as long as its domain is there."""
        if _lasting(card):
            self._domains[item_id] = card

    def _card(self, domain: Domain) -> Card | None:
        if domain.id not in self._domains:
            card = read(domain)
            if card is not None or cards.foreign(domain.name, domain.id):
                self.keep(domain.id, card)
            return card
        return self._domains[domain.id]

    def _seen(self, rows: list[DomainRow]) -> list[DomainRow]:
        """The same rows. What is no more is forgotten, but not what other threads have just made."""
        if len(self._domains) > 2 * len(rows) + SPARE:
            there = {row.id for row in rows}
            for gone in self._domains.keys() - there:
                self._domains.pop(gone, None)
        return rows

    def network(self, hv: Hypervisor, item_id: str) -> tuple[Network, Card] | None:
        """One network of ours with its card; None if there is none."""
        network = hv.network(item_id) if cards.is_id(item_id) else None
        card = network_card(network) if network is not None else None
        if network is None or card is None or not card.belongs(self._installation):
            return None
        return network, card


def read(domain: Domain) -> Card | None:
    """Our card on a domain; None if it is none of ours, or went in this moment."""
    try:
        return cards.parse(domain.card())
    except CloudNotFoundError:
        return None


def network_card(network: Network) -> Card | None:
    """Our card on a network; None if somebody removed it meanwhile, or it is none of ours."""
    try:
        return cards.card_in(network.xml())
    except CloudNotFoundError:
        return None


def _lasting(card: Card | None) -> bool:
    """Whether this answer stays right: a VM's card is complete when it is made, one without a card never gets one."""
    return card is None or card.kind != cards.VM or bool(card.facts.get(MADE))


def fact_rows(card: Card, name: str) -> list[dict[str, Any]]:
    """A fact that is a list of objects."""
    value = card.facts.get(name, [])
    return [dict(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []
