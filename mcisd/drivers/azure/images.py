"""Images. In: aliases, URNs, ids. Out: images of the marketplace and of the account.

The id of a marketplace image is its URN, publisher:offer:sku:version, as Azure's own tools write it.
"""

from typing import Any

from mcisd.drivers.azure.part import AzurePart
from mcisd.drivers.azure.requests import is_own_image, urn_of
from mcisd.drivers.azure.session import Json
from mcisd.drivers.azure.translate import properties
from mcisd.drivers.images import by_alias, parse_alias
from mcisd.model.cloud import ImageInfo
from mcisd.model.errors import CloudNotFoundError

USER = "azureuser"
SOURCES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("ubuntu-24.04", "x86_64"): ("Canonical", "ubuntu-24_04-lts", "server"),
    ("ubuntu-24.04", "arm64"): ("Canonical", "ubuntu-24_04-lts", "server-arm64"),
    ("ubuntu-22.04", "x86_64"): ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
    ("ubuntu-22.04", "arm64"): ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-arm64"),
    ("debian-13", "x86_64"): ("Debian", "debian-13", "13-gen2"),
    ("debian-13", "arm64"): ("Debian", "debian-13", "13-arm64"),
    ("debian-12", "x86_64"): ("Debian", "debian-12", "12-gen2"),
    ("debian-12", "arm64"): ("Debian", "debian-12", "12-arm64"),
}
"""Alias and architecture → publisher, offer and SKU."""


class AzureImages(AzurePart):
    async def list_images(self) -> list[ImageInfo]:
        found = [await self._newest(alias, architecture) for alias, architecture in SOURCES]
        own = await self._session.pages(self._session.compute.images.list)
        here = [body for body in own if str(body.get("location", "")).lower() == self._settings.region]
        return [image for image in found if image is not None] + [own_image(body) for body in here]

    async def get_image(self, image_id: str) -> ImageInfo:
        alias = parse_alias(image_id)
        if alias is not None:
            image = await self._newest(*alias)
            return image if image is not None else by_alias([], *alias)
        urn = urn_of(image_id)
        if urn is not None:
            get = self._session.compute.virtual_machine_images.get
            body = await self._session.get(get, self._settings.region, *urn)
            return market_image(*urn, str(properties(body).get("architecture", "x64")))
        if is_own_image(image_id):
            for body in await self._session.pages(self._session.compute.images.list):
                if str(body["id"]).lower() == image_id.lower():
                    return own_image(body)
        raise CloudNotFoundError(f"there is no image {image_id[:80]!r}", field="image_id")

    async def _image_id(self, image_id: str) -> str:
        """The id behind an alias; any other text as it is."""
        return (await self.get_image(image_id)).id if parse_alias(image_id) is not None else image_id

    async def _newest(self, alias: str, architecture: str) -> ImageInfo | None:
        """The newest version Azure offers in this region."""
        source = SOURCES.get((alias, architecture))
        if source is None:
            return None
        call: Any = self._session.compute.virtual_machine_images.list
        try:
            found = await self._session.items(call, self._settings.region, *source)
        except CloudNotFoundError:
            return None
        if not found:
            return None
        version = max((str(body["name"]) for body in found), key=version_key)
        return market_image(*source, version, "Arm64" if architecture == "arm64" else "x64")


def version_key(version: str) -> tuple[int, ...]:
    """Versions in their order: 24.04.202510010 before 24.04.202511130."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def market_image(publisher: str, offer: str, sku: str, version: str, architecture: str) -> ImageInfo:
    alias = next((known[0] for known, source in SOURCES.items() if source == (publisher, offer, sku)), "")
    return ImageInfo(
        id=f"{publisher}:{offer}:{sku}:{version}",
        name=f"{offer} {sku} {version}",
        os=alias or offer,
        architecture="arm64" if architecture.lower() == "arm64" else "x86_64",
        guest_user=USER,
        alias=alias,
    )


def own_image(body: Json) -> ImageInfo:
    """A managed image of the account; Azure keeps no architecture for these, and they are all x86_64."""
    disk = (properties(body).get("storageProfile") or {}).get("osDisk") or {}
    return ImageInfo(str(body["id"]), str(body["name"]), str(disk.get("osType", "Linux")).lower(), guest_user=USER)
