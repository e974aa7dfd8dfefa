"""Images and specs of a host. In: the folder of base images, the host's size. Out: our nouns. Blocks.

A base image is a file ``NAME.qcow2``; ``ubuntu-24.04.qcow2`` and ``ubuntu-24.04.arm64.qcow2`` have an alias. A file
``NAME.json`` beside it may say how it boots and who logs in.
"""

import json
from dataclasses import dataclass, replace

from mcisd.drivers.images import ALIASES, ARCHITECTURES, by_alias, parse_alias
from mcisd.drivers.libvirt import disks, seed
from mcisd.drivers.libvirt.cards import PREFIX
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.drivers.libvirt.machine import Boot
from mcisd.drivers.libvirt.storage import Volume
from mcisd.model.cloud import ImageInfo, SpecInfo
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError

NO_BOOT = Boot()
SUFFIX = ".qcow2"
MOST_FACTS = 64 * 1024
TEST_IMAGE = ImageInfo("debian-12.qcow2", "debian-12", "debian-12", "x86_64", "debian", "debian-12")
"""The only one of libvirt's test hypervisor, which has no files."""
SIZES: tuple[tuple[str, int, int, int], ...] = (
    ("1-256m", 1, 256, 4), ("1-512m", 1, 512, 8), ("1-1", 1, 1024, 10), ("1-2", 1, 2048, 20), ("2-2", 2, 2048, 20),
    ("2-4", 2, 4096, 40), ("4-4", 4, 4096, 40), ("4-8", 4, 8192, 80), ("8-16", 8, 16_384, 160),
    ("16-32", 16, 32_768, 320), ("32-64", 32, 65_536, 640),
)  # fmt: skip
"""Name (processors-GiB), processors, MiB, GiB of disk; a host offers those that fit into it."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image with what the hypervisor needs of it; ``path`` is "" where there is no file."""

    info: ImageInfo
    path: str = ""
    capacity: int = 0
    seed: str = seed.CLOUD_INIT
    boot: Boot = NO_BOOT


def images(hv: Hypervisor, ground: Ground) -> list[ImageInfo]:
    if ground.settings.test:
        return [TEST_IMAGE]
    files = _files(hv, ground)
    names = sorted(name for name in files if name.endswith(SUFFIX) and not name.startswith(f"{PREFIX}-"))
    return [_read(files, name).info for name in names]


def image_info(hv: Hypervisor, ground: Ground, image_id: str) -> ImageInfo:
    """By file name, or by alias."""
    wanted = parse_alias(image_id)
    if wanted is not None:
        return by_alias(images(hv, ground), *wanted)
    return image(hv, ground, image_id).info


def image(hv: Hypervisor, ground: Ground, image_id: str) -> Image:
    """By file name; CloudNotFoundError if there is none."""
    if ground.settings.test and image_id == TEST_IMAGE.id:
        return Image(TEST_IMAGE)
    files = {} if ground.settings.test else _files(hv, ground)
    if image_id not in files or not image_id.endswith(SUFFIX) or image_id.startswith(f"{PREFIX}-"):
        raise CloudNotFoundError(f"image {image_id[:60]!r} does not exist", field="image_id")
    volume, found = files[image_id], _read(files, image_id)
    return replace(found, path=volume.path(), capacity=volume.capacity())


def _files(hv: Hypervisor, ground: Ground) -> dict[str, Volume]:
    settings = ground.settings
    pool = disks.place(hv, settings.images or settings.pool, "images" if settings.images else "pool")
    pool.refresh()
    return pool.volumes()


def _read(files: dict[str, Volume], name: str) -> Image:
    facts_file = files.get(name.removesuffix(SUFFIX) + ".json")
    text = facts_file.read(0, MOST_FACTS).decode(errors="replace") if facts_file is not None else "{}"
    return described(name, text, {other: files[other].path() for other in _boot_files(text) if other in files})


def described(name: str, text: str, paths: dict[str, str]) -> Image:
    """The image that ``name`` and the JSON beside it tell of; ``paths`` are those of the files that the JSON names."""
    stem = name.removesuffix(SUFFIX)
    alias, dot, architecture = stem.rpartition(".")
    if not dot or architecture not in ARCHITECTURES:
        alias, architecture = stem, ARCHITECTURES[0]
    facts = _facts(name, text)
    form = facts.get("seed", seed.CLOUD_INIT)
    missing = [other for other in _boot_files(text) if other not in paths]
    if form not in seed.FORMS or missing:
        what = f"{missing[0]} is missing beside it" if missing else f"seed {form[:20]!r} is unknown"
        raise CloudInvalidError(f"image {name}: {what}", field="images", remedy="mend the .json beside the image")
    user = facts.get("guest_user") or (alias.partition("-")[0] if alias in ALIASES else "root")
    info = ImageInfo(name, stem, alias, architecture, user, alias if alias in ALIASES else "")
    kernel, initrd = paths.get(facts.get("kernel", ""), ""), paths.get(facts.get("initrd", ""), "")
    return Image(info, seed=form, boot=Boot(kernel, initrd, facts.get("cmdline", "")))


def _boot_files(text: str) -> list[str]:
    """Names of the kernel and initial file system, if the JSON names them."""
    facts = _facts("", text)
    return [facts[key] for key in ("kernel", "initrd") if facts.get(key)]


def _facts(name: str, text: str) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        raise CloudInvalidError(f"image {name}: the .json beside it cannot be read", field="images") from None


def specs(hv: Hypervisor, ground: Ground) -> list[SpecInfo]:
    """Those that fit into the host, with the owner's prices."""
    node, settings = hv.node(), ground.settings
    arch = "arm64" if node.arch == "aarch64" else ARCHITECTURES[0]
    return [
        SpecInfo(name, name, cpus, mib, gib, arch, price=settings.prices.get(name), price_date=_date(ground, name))
        for name, cpus, mib, gib in SIZES
        if cpus <= node.cpus and mib <= node.memory_mib
    ]


def spec(hv: Hypervisor, ground: Ground, spec_id: str) -> SpecInfo:
    for found in specs(hv, ground):
        if found.id == spec_id:
            return found
    raise CloudNotFoundError(f"spec {spec_id[:60]!r} does not exist or is larger than this host", field="spec_id")


def _date(ground: Ground, name: str) -> str | None:
    return ground.settings.price_date if name in ground.settings.prices else None
