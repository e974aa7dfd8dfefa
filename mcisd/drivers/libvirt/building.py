"""The parts of a VM, checked and made one after the other. In: a request. Out: a domain that is defined. Blocks."""

import time
from dataclasses import dataclass

from mcisd.drivers.libvirt import cards, catalogue, disks, filters, groups, leases, machine, seed
from mcisd.drivers.libvirt.cards import Card
from mcisd.drivers.libvirt.catalogue import Image
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.drivers.libvirt.objects import Domain, Network
from mcisd.drivers.libvirt.storage import Pool
from mcisd.drivers.libvirt.xml import parsed
from mcisd.model.cloud import SpecInfo, VmRequest
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError

FILTER = "filter"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a request refers to, all of it there."""

    image: Image
    spec: SpecInfo
    network: Network
    card: Card


def parts(hv: Hypervisor, ground: Ground, request: VmRequest) -> Parts:
    """CloudNotFoundError or CloudInvalidError names what is not there or does not fit."""
    image = catalogue.image(hv, ground, request.image_id)
    spec = catalogue.spec(hv, ground, request.spec_id)
    if image.info.architecture != spec.architecture and not ground.settings.test:
        raise CloudInvalidError(
            f"image {image.info.name} is for {image.info.architecture}, this host is {spec.architecture}",
            field="image_id",
        )
    network = ground.book.network(hv, request.network_id)
    if network is None:
        raise _missing("network_id", request.network_id)
    if request.subnet_id not in ("", request.network_id):
        raise _missing("subnet_id", request.subnet_id)
    if request.key_pair_id and ground.book.domain(hv, cards.KEY, request.key_pair_id) is None:
        raise _missing("key_pair_id", request.key_pair_id)
    for group in request.security_group_ids:
        if ground.book.domain(hv, cards.GROUP, group) is None:
            raise _missing("security_group_ids", group)
    return Parts(image, spec, network[0], _card(ground, request))


def define(hv: Hypervisor, ground: Ground, request: VmRequest, found: Parts, item_id: str) -> tuple[Domain, Card]:
    """Address, disks, filter and domain; what an earlier try made is taken as it is."""
    settings, mac = ground.settings, machine.mac_of(item_id)
    if not found.network.active():
        found.network.start()
    card = found.card.with_facts(address=leases.reserve(found.network, item_id, mac))
    pool = disks.place(hv, settings.pool, "pool")
    name, image = cards.part_name(ground.installation, item_id), found.image
    capacity = max(image.capacity, found.spec.disk_gib * disks.GIB)
    disk = disks.overlay(pool, f"{name}.qcow2", image.path, capacity)
    content = seed.seed_disk(image.seed, request, item_id)
    seed_disk = disks.seed(pool, f"{name}-seed.img", content, settings.test)
    kind = settings.domain_type or best_type(hv.capabilities(), found.spec.architecture)
    plan = machine.Plan(
        item_id, cards.domain_name(request.name, item_id), found.spec, disk.path(), seed_disk.path(), "vdb",
        found.network.name, mac, image.boot, kind,
        _filter(hv, ground, request, item_id), _console(ground, pool, item_id), settings.disk_cache,
    )  # fmt: skip
    return hv.define_domain(machine.vm_definition(plan, card)), card


def best_type(capabilities: str, architecture: str) -> str:
    """kvm where the hypervisor has found it usable for this architecture, else qemu."""
    wanted = machine.ARCHITECTURES[architecture]
    types = {
        kind.get("type")
        for guest in parsed(capabilities).findall("guest/arch")
        if guest.get("name") == wanted
        for kind in guest.findall("domain")
    }
    if not types:
        raise CloudInvalidError(f"this hypervisor has no emulator for {wanted}", field="image_id")
    return "kvm" if "kvm" in types else "qemu"


def filter_id(ground: Ground, item_id: str) -> str:
    """UUID of a VM's own packet filter."""
    return cards.object_id(ground.installation, FILTER, item_id)


def _filter(hv: Hypervisor, ground: Ground, request: VmRequest, item_id: str) -> str:
    if not groups.filtered(hv, ground):
        return ""
    name = cards.part_name(ground.installation, item_id)
    refers = [cards.part_name(ground.installation, group) for group in request.security_group_ids]
    hv.define_filter(filters.vm_filter(name, filter_id(ground, item_id), refers))
    return name


def _console(ground: Ground, pool: Pool, item_id: str) -> str:
    if ground.settings.test:
        return ""
    return f"{disks.folder(pool)}/{disks.console_name(ground.installation, item_id)}"


def _card(ground: Ground, request: VmRequest) -> Card:
    facts: dict[str, object] = {
        "image_id": request.image_id, "spec_id": request.spec_id, "network_id": request.network_id,
        "groups": list(request.security_group_ids), "guest_user": request.guest_user, "asked_at": time.time(),
    }  # fmt: skip
    return cards.new_card(cards.VM, request.name, request.tags, ground.installation, request.token, facts)


def _missing(field: str, item_id: str) -> CloudNotFoundError:
    return CloudNotFoundError(f"{field} {item_id[:60]!r} does not exist", field=field)
