"""All that bears our mark, and what the host has room for. In: a hypervisor. Out: our nouns. Blocks."""

from mcisd.drivers.libvirt import building, cards, disks, groups, keys, life, memory, networks
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.model.cloud import OwnedInfo, QuotaInfo
from mcisd.model.errors import CloudConflictError

DISK, FILTER = "disk", "filter"
_KINDS = {cards.VM: "vm", cards.KEY: "key", cards.GROUP: "security-group"}
_UUID = 36


def owned(hv: Hypervisor, ground: Ground) -> list[OwnedInfo]:
    """VMs, keys, groups, networks, volumes, packet filters: a request per kind. Memories of the terminated are none."""
    found = [
        OwnedInfo(_KINDS[entry.card.kind], entry.id, entry.card.name, entry.card.token, entry.card.shown_tags)
        for entry in ground.book.domains(hv, *_KINDS)
    ]
    for item_id, card in ground.book.networks(hv):
        found.append(OwnedInfo("network", item_id, card.name, card.token, card.shown_tags))
    found += [OwnedInfo(DISK, name, name) for name in disks.owned(hv, ground)]
    if groups.filtered(hv, ground):
        mark = cards.part_name(ground.installation, "")
        found += [OwnedInfo(FILTER, name, name) for name in hv.filters() or [] if name.startswith(mark)]
    return found


def remove(hv: Hypervisor, ground: Ground, item: OwnedInfo) -> None:
    """One of them; CloudConflictError while something needs it."""
    match item.kind:
        case "vm":
            life.terminate(hv, ground, item.id)
        case "key":
            keys.delete(hv, ground, item.id)
        case "security-group":
            groups.delete(hv, ground, item.id)
        case "network":
            networks.delete(hv, ground, item.id)
        case _:
            _remove_part(hv, ground, item)


def _remove_part(hv: Hypervisor, ground: Ground, item: OwnedInfo) -> None:
    """A volume or filter whose VM or group is no more."""
    owner = _owner(ground, item.id)
    if not owner:
        return
    if hv.domain(owner) is not None:
        raise CloudConflictError(f"{item.kind} {item.id} belongs to what still exists")
    if item.kind == FILTER:
        hv.remove_filter(item.id)
    else:
        found = disks.owned(hv, ground).get(item.id)
        if found is not None:
            found.delete()


def _owner(ground: Ground, name: str) -> str:
    """Id of the VM or group that a part's name tells; "" for a name that is none of ours."""
    mark = cards.part_name(ground.installation, "")
    owner = name.removeprefix(mark)[:_UUID] if name.startswith(mark) else ""
    return owner if cards.is_id(owner) else ""


def quotas(hv: Hypervisor, ground: Ground) -> list[QuotaInfo]:
    """The host's own bounds: processors are shared as often as you like."""
    return [
        QuotaInfo("vms", None, len(ground.book.domains(hv, cards.VM))),
        QuotaInfo("memory_mib", memory.size(hv, ground), sum(memory.in_use(hv).values())),
    ]


def check(hv: Hypervisor, ground: Ground) -> None:
    """Ask for what every VM needs: the host, the storage, the packet filter."""
    hv.node()
    pool = disks.place(hv, ground.settings.pool, "pool")
    if not ground.settings.test:
        disks.folder(pool)
        building.best_type(hv.capabilities(), "x86_64" if hv.node().arch != "aarch64" else "arm64")
    if ground.settings.images:
        disks.place(hv, ground.settings.images, "images")
