"""Room for a VM in the host's memory, given away once. In: MiB. Out: a reservation, or an error. Blocks."""

from collections.abc import Iterator
from contextlib import contextmanager

from mcisd.drivers.libvirt import states
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import DomainRow, Hypervisor
from mcisd.model.errors import CloudCapacityError


@contextmanager
def room(hv: Hypervisor, ground: Ground, item_id: str, wanted: int) -> Iterator[None]:
    """Hold ``wanted`` MiB for a VM that is about to start; CloudCapacityError if the host has not so much left."""
    with ground.reserving:
        used = {**ground.reserved, **in_use(hv)}
        used.pop(item_id, None)
        left = size(hv, ground) - sum(used.values())
        if wanted > left:
            raise CloudCapacityError(
                f"the host has {max(0, left)} MiB of memory left, the VM needs {wanted}",
                remedy="terminate VMs, or use a smaller spec",
            )
        ground.reserved[item_id] = wanted
    try:
        yield
    finally:
        with ground.reserving:
            ground.reserved.pop(item_id, None)


def size(hv: Hypervisor, ground: Ground) -> int:
    """MiB that VMs may have in all."""
    return int(hv.node().memory_mib * ground.settings.overcommit)


def in_use(hv: Hypervisor) -> dict[str, int]:
    """Id → MiB of every domain that runs, ours or not."""
    return {row.id: _memory(row) for row in hv.domains(memory=True) if row.state in states.ACTIVE}


def _memory(row: DomainRow) -> int:
    return row.memory_mib if row.memory_mib is not None else row.domain.memory_mib()
