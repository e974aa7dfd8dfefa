"""Volumes of VMs: an overlay on the base image, the seed, the console's text. In: a pool, names. Out: paths. Blocks."""

import xml.etree.ElementTree as ET

from mcisd.drivers.libvirt import cards, xml
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.drivers.libvirt.storage import Pool, Volume
from mcisd.model.errors import CloudConflictError, CloudInvalidError, CloudTransientError

GIB = 1 << 30
CONSOLE_BYTES = 64 * 1024
_FILES = ("dir", "fs", "netfs")
"""Kinds of pools whose volumes are files, which overlays need."""


def place(hv: Hypervisor, name: str, key: str) -> Pool:
    """The active pool of this name, or over this directory of the host; CloudInvalidError if there is none.

    For a directory that is no pool yet, one is started that the host forgets when it is stopped.
    """
    pool = _over(hv, name) if name.startswith("/") else hv.pool(name)
    if pool is None:
        raise CloudInvalidError(
            f"{key} {name} does not exist on this host", field=key,
            remedy=f"make it: virsh pool-define-as {name} dir --target /var/lib/libvirt/images",
        )  # fmt: skip
    if not pool.active():
        pool.start()
    return pool


def _over(hv: Hypervisor, path: str) -> Pool:
    wanted = path.rstrip("/") or "/"
    name = f"mcisd-{cards.owner_mark(wanted)}"
    made = hv.pool(name)
    if made is not None:
        return made
    for pool in hv.pools():
        if _target(pool) == wanted:
            return pool
    target = xml.node("target", xml.node("path", wanted))
    try:
        return hv.create_pool(xml.text_of(xml.node("pool", xml.node("name", name), target, type_="dir")))
    except CloudConflictError:  # somebody else was faster
        known = hv.pool(name)
        if known is None:
            raise
        return known


def _target(pool: Pool) -> str:
    return (xml.parsed(pool.xml()).findtext("target/path") or "").rstrip("/")


def folder(pool: Pool) -> str:
    """The directory of a pool's files; CloudInvalidError for a pool of another kind."""
    found = xml.parsed(pool.xml())
    if found.get("type") not in _FILES:
        raise CloudInvalidError(
            f"pool {pool.name} is of type {found.get('type')}", field="pool", remedy="use one of type dir, fs or netfs"
        )
    return (found.findtext("target/path") or "").rstrip("/")


def overlay(pool: Pool, name: str, base: str, capacity: int) -> Volume:
    """A disk that holds only what differs from ``base`` (path of a qcow2 file); made once per name."""
    backing = xml.node("backingStore", xml.node("path", base), xml.node("format", type_="qcow2")) if base else None
    return _made(pool, name, "qcow2", capacity, backing)


def seed(pool: Pool, name: str, data: bytes, test: bool) -> Volume:
    """The seed's disk with its content; the test hypervisor has no disks, only their names."""
    volume = _made(pool, name, "raw", len(data), None)
    if not test:
        volume.write(data)
    return volume


def _made(pool: Pool, name: str, form: str, capacity: int, backing: ET.Element | None) -> Volume:
    parts = [xml.node("name", name), xml.node("allocation", "0"), xml.node("capacity", str(capacity), unit="bytes")]
    parts.append(xml.node("target", xml.node("format", type_=form)))
    definition = xml.node("volume", *parts, backing)
    try:
        return pool.create(xml.text_of(definition))
    except CloudConflictError:
        known = pool.volume(name)
        if known is None:
            raise CloudTransientError(f"volume {name} went away while it was made") from None
        return known


def remove(hv: Hypervisor, ground: Ground, vm_id: str) -> None:
    """All volumes of a VM, whatever their number; succeeds if they are gone."""
    pool = place(hv, ground.settings.pool, "pool")
    pool.refresh()
    prefix = cards.part_name(ground.installation, vm_id)
    for name, volume in pool.volumes().items():
        if name.startswith(prefix):
            volume.delete()


def owned(hv: Hypervisor, ground: Ground) -> dict[str, Volume]:
    """Name → every volume that bears our installation's mark."""
    pool = place(hv, ground.settings.pool, "pool")
    pool.refresh()
    prefix = f"{cards.PREFIX}-{cards.owner_mark(ground.installation)}-"
    return {name: volume for name, volume in pool.volumes().items() if name.startswith(prefix)}


def console(hv: Hypervisor, ground: Ground, vm_id: str) -> str:
    """The newest part of what a VM wrote to its serial console; "" before there is any."""
    pool = place(hv, ground.settings.pool, "pool")
    pool.refresh()
    volume = pool.volume(console_name(ground.installation, vm_id))
    if volume is None:
        return ""
    size = volume.capacity()
    if size == 0:
        return ""
    return volume.read(max(0, size - CONSOLE_BYTES), min(size, CONSOLE_BYTES)).decode(errors="replace")


def console_name(installation: str, vm_id: str) -> str:
    return f"{cards.part_name(installation, vm_id)}-console.log"
