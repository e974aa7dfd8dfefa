"""Definitions of domains: VMs, and cards that are never started. Pure. In: what a VM is made of. Out: libvirt's XML."""

import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from mcisd.drivers.libvirt import cards
from mcisd.drivers.libvirt.cards import Card
from mcisd.drivers.libvirt.settings import Settings
from mcisd.drivers.libvirt.xml import node, text_of
from mcisd.model.cloud import SpecInfo

ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Our word → libvirt's."""
_MACHINES = {"arm64": "virt"}


@dataclass(frozen=True, slots=True)
class Boot:
    """Kernel and initial file system on the host and the kernel's arguments; empty where the disk boots itself."""

    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Paths are the hypervisor's. ``filter_name`` and ``console`` are "" where there are none."""

    item_id: str
    name: str
    spec: SpecInfo
    disk: str
    seed: str
    seed_device: str
    network: str
    mac: str
    boot: Boot
    domain_type: str
    filter_name: str = ""
    console: str = ""
    disk_cache: str = ""


def mac_of(item_id: str) -> str:
    """The network card's address: the same for one VM each time it is defined."""
    tail = uuid.UUID(item_id).bytes[-3:]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def card_definition(settings: Settings, item_id: str, card: Card) -> str:
    """A domain that only carries a card: no disk, no network card, never started."""
    return text_of(
        node(
            "domain",
            node("name", cards.card_name(card.kind, item_id)),
            node("uuid", item_id),
            node("title", _title(f"{card.kind} {card.name}")),
            node("metadata", cards.element(card)),
            node("memory", "1", unit="MiB"),
            node("os", node("type", "hvm")),
            type_=settings.domain_type or "qemu",
        )
    )


def vm_definition(plan: Plan, card: Card) -> str:
    """The domain of a VM."""
    emulated = plan.domain_type == "qemu"
    return text_of(
        node(
            "domain",
            node("name", plan.name),
            node("uuid", plan.item_id),
            node("title", _title(card.name)),
            node("metadata", cards.element(card)),
            node("memory", str(plan.spec.memory_mib), unit="MiB"),
            node("vcpu", str(plan.spec.vcpus)),
            _os(plan),
            _features(plan.spec.architecture, emulated),
            None if emulated or plan.domain_type == "test" else node("cpu", mode="host-passthrough"),
            node("clock", offset="utc"),
            node("on_poweroff", "destroy"),
            node("on_reboot", "restart"),
            node("on_crash", "destroy"),
            node("devices", *_devices(plan)),
            type_=plan.domain_type,
        )
    )


def _title(text: str) -> str:
    """One line for those who look at the hypervisor, without what XML cannot hold."""
    return "mcisd: " + "".join(letter if letter.isprintable() else " " for letter in text)


def _os(plan: Plan) -> ET.Element:
    arch = ARCHITECTURES[plan.spec.architecture]
    if plan.domain_type == "test":
        return node("os", node("type", "hvm"))
    boot, firmware = plan.boot, None
    if plan.spec.architecture == "arm64" and not boot.kernel:
        firmware = "efi"
    return node(
        "os",
        node("type", "hvm", arch=arch, machine=_MACHINES.get(plan.spec.architecture)),
        node("kernel", boot.kernel) if boot.kernel else None,
        node("initrd", boot.initrd) if boot.initrd else None,
        node("cmdline", boot.cmdline) if boot.kernel and boot.cmdline else None,
        firmware=firmware,
    )


def _features(architecture: str, emulated: bool) -> ET.Element:
    apic = node("apic") if architecture == "x86_64" else None
    # The emulator's store of translated code is a quarter of memory unless told otherwise.
    cache = node("tcg", node("tb-cache", "64", unit="MiB")) if emulated else None
    return node("features", node("acpi"), apic, cache)


def _devices(plan: Plan) -> list[ET.Element]:
    disk = node(
        "disk",
        node("driver", name="qemu", type_="qcow2", cache=plan.disk_cache or None),
        node("source", file=plan.disk),
        node("target", dev="vda", bus="virtio"),
        type_="file", device="disk",
    )  # fmt: skip
    found = [disk, _seed(plan), _card(plan)]
    if plan.domain_type == "test":
        return found
    log = node("source", path=plan.console, append="on") if plan.console else None
    return [
        *found,
        node("serial", log, node("target", port="0"), type_="file" if plan.console else "pty"),
        node("channel", node("target", type_="virtio", name="org.qemu.guest_agent.0"), type_="unix"),
        node("controller", type_="usb", model="none")
        if plan.spec.architecture == "x86_64"
        else node("input", type_="keyboard", bus="usb"),
        node("video", node("model", type_="none")),
        node("memballoon", model="none"),
        node("rng", node("backend", "/dev/urandom", model="random"), model="virtio"),
    ]


def _seed(plan: Plan) -> ET.Element:
    return node(
        "disk",
        node("driver", name="qemu", type_="raw"),
        node("source", file=plan.seed),
        node("target", dev=plan.seed_device, bus="virtio"),
        node("readonly"),
        type_="file", device="disk",
    )  # fmt: skip


def _card(plan: Plan) -> ET.Element:
    return node(
        "interface",
        node("mac", address=plan.mac),
        node("source", network=plan.network),
        node("model", type_="virtio"),
        node("filterref", filter=plan.filter_name) if plan.filter_name else None,
        type_="network",
    )
