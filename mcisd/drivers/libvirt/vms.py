"""Making VMs and telling about them. In: requests. Out: our nouns. Blocks.

A creation is: address, disks, filter, domain, start, note on the card that it is made. Each step finds what an earlier
try has made; what is refused leaves nothing behind.
"""

import contextlib

from mcisd.drivers.libvirt import building, cards, disks, leases, life, states
from mcisd.drivers.libvirt.book import MADE, Entry
from mcisd.drivers.libvirt.cards import Card
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import DomainRow, Hypervisor
from mcisd.drivers.libvirt.memory import room
from mcisd.drivers.libvirt.objects import Domain
from mcisd.drivers.libvirt.settings import checked_zone
from mcisd.model.cloud import CloudVmState, VmInfo, VmRequest, VmStatus
from mcisd.model.errors import CloudConflictError, CloudError, CloudNotFoundError


def start(hv: Hypervisor, ground: Ground, request: VmRequest) -> VmInfo:
    """The VM of this token; a terminated one stays terminated."""
    checked_zone(request.zone)
    item_id = cards.object_id(ground.installation, cards.VM, request.token)
    with ground.lock(item_id):
        ended = life.tombstone(hv, ground, item_id)
        if ended is not None:
            return _info(ground, item_id, ended, CloudVmState.TERMINATED, "")
        known = ground.book.domain(hv, cards.VM, item_id)
        if known is None or not known[1].facts.get(MADE):
            known = _make(hv, ground, request, item_id)
        domain, card = known
        return _told(ground, Entry(DomainRow(domain, *domain.state()), card))


def status(hv: Hypervisor, ground: Ground) -> list[VmStatus]:
    return [VmStatus(vm.id, vm.token, vm.state, vm.reason) for vm in listing(hv, ground)]


def listing(hv: Hypervisor, ground: Ground) -> list[VmInfo]:
    """Our VMs; terminated ones are not among them."""
    entries = ground.book.domains(hv, cards.VM, cards.ENDED)
    ended = {entry.card.text("vm") for entry in entries if entry.card.kind == cards.ENDED}
    found = []
    for entry in entries:
        if entry.card.kind == cards.VM:
            life.power_off_overdue(ground, entry)
            found.append(_told(ground, entry, entry.id in ended))
    return found


def get(hv: Hypervisor, ground: Ground, vm_id: str) -> VmInfo:
    """CloudNotFoundError for one that never was, or was terminated long ago."""
    known, ended = ground.book.domain(hv, cards.VM, vm_id), life.tombstone(hv, ground, vm_id)
    if known is None:
        if ended is None:
            raise CloudNotFoundError(f"VM {vm_id[:60]!r} does not exist")
        return _info(ground, vm_id, ended, CloudVmState.TERMINATED, "")
    domain, card = known
    entry = Entry(DomainRow(domain, *domain.state()), card)
    life.power_off_overdue(ground, entry)
    return _told(ground, entry, ended is not None)


def console(hv: Hypervisor, ground: Ground, vm_id: str) -> str:
    """The newest text of its serial console; CloudNotFoundError if there is no such VM."""
    if ground.book.domain(hv, cards.VM, vm_id) is None:
        raise CloudNotFoundError(f"VM {vm_id[:60]!r} does not exist")
    return disks.console(hv, ground, vm_id)


def _make(hv: Hypervisor, ground: Ground, request: VmRequest, item_id: str) -> tuple[Domain, Card]:
    life.forget_old(hv, ground)
    parts = building.parts(hv, ground, request)
    with room(hv, ground, item_id, parts.spec.memory_mib):
        try:
            domain, card = building.define(hv, ground, request, parts, item_id)
            _switch_on(domain)
        except CloudError as error:
            if not error.retriable:
                _undo(hv, ground, item_id, parts.card)
            raise
    card = card.with_facts(**{MADE: True})
    domain.write_card(cards.text(card), running=True)
    ground.book.keep(item_id, card)
    return domain, card


def _switch_on(domain: Domain) -> None:
    if domain.state()[0] in states.ACTIVE:
        return
    try:
        domain.start()
    except CloudConflictError:
        if domain.state()[0] not in states.ACTIVE:
            raise


def _undo(hv: Hypervisor, ground: Ground, item_id: str, card: Card) -> None:
    """Take away what a refused creation has made; what is left then, the inventory shows."""
    with contextlib.suppress(CloudError):  # the caller gets the error that counts
        life.remove_parts(hv, ground, item_id, card)


def _told(ground: Ground, entry: Entry, ending: bool = False) -> VmInfo:
    """A VM as its domain is now; ``ending`` if it was terminated and is not yet gone."""
    row, card = entry.row, entry.card
    address, active = card.text("address"), row.state in states.ACTIVE
    if active:
        address = address or leases.found(ground, row.domain)
    else:
        ground.addresses.pop(entry.id, None)
        ground.stopping.pop(entry.id, None)
    made, stopping = bool(card.facts.get(MADE)), entry.id in ground.stopping
    state, reason = states.vm_state(row.state, row.reason, made=made, stopping=stopping, addressed=bool(address))
    if ending:
        state, reason = CloudVmState.TERMINATING, ""
    return _info(ground, entry.id, card, state, reason, address)


def _info(ground: Ground, item_id: str, card: Card, state: CloudVmState, reason: str, address: str = "") -> VmInfo:
    return VmInfo(
        id=item_id, name=card.name, token=card.token, state=state, region=ground.settings.region,
        zone=ground.settings.zone, public_address=address, private_address=address, guest_user=card.text("guest_user"),
        image_id=card.text("image_id"), spec_id=card.text("spec_id"), network_id=card.text("network_id"),
        started_at=card.number("asked_at") or None, tags=card.shown_tags, reason=reason,
    )  # fmt: skip
