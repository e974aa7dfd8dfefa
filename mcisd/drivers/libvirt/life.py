"""What is done to VMs that are made. In: ids. Out: nothing, or an error. Blocks.

A terminated VM leaves a card for some hours, so that a late second try of its creation does not bring it back.
"""

import time

from mcisd.drivers.libvirt import cards, disks, groups, leases, machine, memory, states
from mcisd.drivers.libvirt.book import Entry
from mcisd.drivers.libvirt.cards import Card
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.drivers.libvirt.objects import Domain
from mcisd.model.errors import CloudConflictError, CloudNotFoundError

REMEMBERED = 6 * 3600.0
"""Seconds for which a terminated VM is remembered."""


def suspend(hv: Hypervisor, ground: Ground, vm_id: str) -> None:
    """Ask the guest to switch itself off; one that does not is switched off by a later look at it."""
    with ground.lock(vm_id):
        domain, state = _living(hv, ground, vm_id)
        if state in (states.Domain.RUNNING, states.Domain.BLOCKED) and vm_id not in ground.stopping:
            domain.shutdown()
            ground.stopping[vm_id] = time.monotonic() + ground.settings.stop_seconds


def hibernate(hv: Hypervisor, ground: Ground, vm_id: str) -> None:
    """Write the memory to the host's disk; takes as long as that takes."""
    with ground.lock(vm_id):
        domain, state = _living(hv, ground, vm_id)
        if state in (states.Domain.RUNNING, states.Domain.BLOCKED):
            domain.save()


def resume(hv: Hypervisor, ground: Ground, vm_id: str) -> None:
    with ground.lock(vm_id):
        domain, state = _living(hv, ground, vm_id)
        if state == states.Domain.PAUSED:
            domain.unpause()
        elif state == states.Domain.SLEEPING:
            domain.wake()
        elif state not in states.ACTIVE:
            if tombstone(hv, ground, vm_id) is not None:
                raise CloudConflictError(f"VM {vm_id} is terminated")
            ground.stopping.pop(vm_id, None)
            with memory.room(hv, ground, vm_id, domain.memory_mib()):
                domain.start()
        elif vm_id in ground.stopping:
            raise CloudConflictError(f"VM {vm_id} is stopping")


def reboot(hv: Hypervisor, ground: Ground, vm_id: str) -> None:
    with ground.lock(vm_id):
        domain, state = _living(hv, ground, vm_id)
        if state not in (states.Domain.RUNNING, states.Domain.BLOCKED) or vm_id in ground.stopping:
            raise CloudConflictError(f"VM {vm_id} is not running")
        domain.reboot()


def terminate(hv: Hypervisor, ground: Ground, vm_id: str) -> None:
    """Remove it with all its parts, also what somebody left who removed the domain by hand."""
    if not cards.is_id(vm_id):
        return
    with ground.lock(vm_id):
        known, ended = ground.book.domain(hv, cards.VM, vm_id), tombstone(hv, ground, vm_id)
        if known is None:
            if ended is None:
                remove_parts(hv, ground, vm_id, None)
            return
        if ended is None:
            _bury(hv, ground, vm_id, known[1])
        remove_parts(hv, ground, vm_id, known[1])


def remove_parts(hv: Hypervisor, ground: Ground, vm_id: str, card: Card | None) -> None:
    """Everything of one VM; the domain goes last, so that an interrupted removal is seen and done again."""
    domain = hv.domain(vm_id)
    if domain is not None and domain.state()[0] in states.ACTIVE:
        _destroy(domain)
    disks.remove(hv, ground, vm_id)
    network = ground.book.network(hv, card.text("network_id")) if card is not None else None
    if network is not None:
        leases.release(network[0], machine.mac_of(vm_id))
    if groups.filtered(hv, ground):
        hv.remove_filter(cards.part_name(ground.installation, vm_id))
    if domain is not None:
        domain.undefine(ground.settings.test)
    ground.stopping.pop(vm_id, None)


def tombstone(hv: Hypervisor, ground: Ground, vm_id: str) -> Card | None:
    """The card of a terminated VM; None if it is not terminated."""
    if not cards.is_id(vm_id):
        return None
    known = ground.book.domain(hv, cards.ENDED, _grave(ground, vm_id))
    return known[1] if known is not None else None


def forget_old(hv: Hypervisor, ground: Ground) -> None:
    """Remove the cards of those that were terminated long ago."""
    for entry in ground.book.domains(hv, cards.ENDED):
        if time.time() - entry.card.number("ended_at") > REMEMBERED:
            entry.row.domain.undefine(ground.settings.test)


def power_off_overdue(ground: Ground, entry: Entry) -> None:
    """Switch off a guest that was asked to do so itself and has not in time."""
    due = ground.stopping.get(entry.id)
    if due is not None and time.monotonic() > due and entry.row.state in states.ACTIVE:
        _destroy(entry.row.domain)


def _bury(hv: Hypervisor, ground: Ground, vm_id: str, card: Card) -> None:
    kept = cards.Card(cards.ENDED, card.name, card.tags, {**card.facts, "vm": vm_id, "ended_at": time.time()})
    hv.define_domain(machine.card_definition(ground.settings, _grave(ground, vm_id), kept))


def _grave(ground: Ground, vm_id: str) -> str:
    return cards.object_id(ground.installation, cards.ENDED, vm_id)


def _destroy(domain: Domain) -> None:
    try:
        domain.destroy()
    except (CloudConflictError, CloudNotFoundError):
        return  # it went off by itself in this moment


def _living(hv: Hypervisor, ground: Ground, vm_id: str) -> tuple[Domain, int]:
    """The domain and its state; an error if it is unknown or terminated."""
    known = ground.book.domain(hv, cards.VM, vm_id)
    if known is None:
        raise CloudNotFoundError(f"VM {vm_id[:60]!r} does not exist")
    return known[0], known[0].state()[0]
