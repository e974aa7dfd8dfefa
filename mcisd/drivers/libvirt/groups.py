"""Security groups: a card, and a packet filter where the hypervisor has them. In: requests. Out: our nouns. Blocks."""

from dataclasses import asdict

from mcisd.drivers.libvirt import cards, filters, machine
from mcisd.drivers.libvirt.book import fact_rows
from mcisd.drivers.libvirt.cards import Card
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.model.cloud import FirewallRule, SecurityGroupInfo, SecurityGroupRequest
from mcisd.model.errors import CloudConflictError, CloudNotFoundError


def create(hv: Hypervisor, ground: Ground, request: SecurityGroupRequest) -> SecurityGroupInfo:
    item_id = cards.object_id(ground.installation, cards.GROUP, request.token)
    rules = filters.checked(request.rules)
    with ground.lock(item_id):
        known = ground.book.domain(hv, cards.GROUP, item_id)
        if known is not None:
            return _info(item_id, known[1])
        if ground.book.network(hv, request.network_id) is None:
            raise CloudNotFoundError(f"network {request.network_id[:60]!r} does not exist", field="network_id")
        if filtered(hv, ground):
            name = cards.part_name(ground.installation, item_id)
            hv.define_filter(filters.group_filter(name, item_id, rules))
        facts: dict[str, object] = {"network_id": request.network_id, "rules": [asdict(rule) for rule in rules]}
        card = cards.new_card(cards.GROUP, request.name, request.tags, ground.installation, request.token, facts)
        hv.define_domain(machine.card_definition(ground.settings, item_id, card))
        return _info(item_id, card)


def listing(hv: Hypervisor, ground: Ground) -> list[SecurityGroupInfo]:
    return [_info(entry.id, entry.card) for entry in ground.book.domains(hv, cards.GROUP)]


def delete(hv: Hypervisor, ground: Ground, group_id: str) -> None:
    with ground.lock(group_id):
        if not cards.is_id(group_id):
            return
        users = [entry for entry in ground.book.domains(hv, cards.VM) if group_id in entry.card.texts("groups")]
        if users:
            raise CloudConflictError(f"security group {group_id} is in use by VM {users[0].card.name}")
        if filtered(hv, ground):
            hv.remove_filter(cards.part_name(ground.installation, group_id))
        known = ground.book.domain(hv, cards.GROUP, group_id)
        if known is not None:
            known[0].undefine(ground.settings.test)


def filtered(hv: Hypervisor, ground: Ground) -> bool:
    """Whether this hypervisor filters packets and shall do so; asked once per connection."""
    if ground.filters is None:
        ground.filters = ground.settings.firewall and hv.filters() is not None
    return ground.filters


def _info(item_id: str, card: Card) -> SecurityGroupInfo:
    rules = tuple(
        FirewallRule(
            str(row["direction"]), str(row["protocol"]), int(row["from_port"]), int(row["to_port"]), str(row["cidr"])
        )
        for row in fact_rows(card, "rules")
    )
    return SecurityGroupInfo(item_id, card.name, card.text("network_id"), rules, card.shown_tags)
