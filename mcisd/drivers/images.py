"""Images by the same name on every cloud. In: "ubuntu-24.04:arm64". Out: the alias and the architecture."""

from mcisd.model.cloud import ImageInfo
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError

ALIASES: tuple[str, ...] = ("ubuntu-24.04", "ubuntu-22.04", "debian-13", "debian-12")
"""Distributions that each driver finds at its cloud; the first one there is serves where a request names none."""
ARCHITECTURES: tuple[str, ...] = ("x86_64", "arm64")


def parse_alias(text: str) -> tuple[str, str] | None:
    """``(alias, architecture)``; None if ``text`` is no alias, CloudInvalidError for an unknown architecture."""
    alias, _, architecture = text.partition(":")
    if alias not in ALIASES:
        return None
    if architecture and architecture not in ARCHITECTURES:
        raise CloudInvalidError(
            f"architecture {architecture[:40]!r} is unknown",
            field="image_id",
            remedy=f"use {' or '.join(ARCHITECTURES)}",
        )
    return alias, architecture or ARCHITECTURES[0]


def by_alias(images: list[ImageInfo], alias: str, architecture: str) -> ImageInfo:
    """The image of this alias among those listed; CloudNotFoundError if the cloud has none."""
    for image in images:
        if image.alias == alias and image.architecture == architecture:
            return image
    raise CloudNotFoundError(
        f"this cloud has no image {alias} for {architecture}", field="image_id", remedy="use one of its list of images"
    )
