"""Images and specs. In: ids and aliases. Out: what EC2 offers in this region, kept for a while.

Aliases are resolved by DescribeImages with the distributors' accounts as owners: that works at AWS and at services that
speak like it, and tells the architecture, the user and the date along with the id.
"""

import re
import time
from dataclasses import dataclass, field, replace

from mcisd.drivers.aws import translate
from mcisd.drivers.aws.link import Document
from mcisd.drivers.aws.part import Part
from mcisd.drivers.aws.prices import AwsPrices, PriceList
from mcisd.drivers.images import ALIASES, ARCHITECTURES, by_alias, parse_alias
from mcisd.model.cloud import ImageInfo, SpecInfo
from mcisd.model.errors import CloudNotFoundError

CANONICAL, DEBIAN = "099720109477", "136693071363"
OWNERS = (CANONICAL, DEBIAN)
USERS = {"ubuntu": "ubuntu", "debian": "admin"}
"""Distribution → the user that its images come with."""
NAMES: dict[str, str] = {
    "ubuntu-24.04": "ubuntu/images/hvm-ssd*/ubuntu-noble-24.04-{}-server-*",
    "ubuntu-22.04": "ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-{}-server-*",
    "debian-13": "debian-13-{}-*",
    "debian-12": "debian-12-{}-*",
}
"""Alias → names of its images at EC2, with the distributors' word for the architecture."""
WORDS = {"x86_64": "amd64", "arm64": "arm64"}
IMAGE_ID = re.compile(r"ami-[0-9a-z]{1,40}")
SPEC_ID = re.compile(r"[a-z0-9-]{1,40}\.[a-z0-9-]{1,40}")
IMAGES_FOR, SPECS_FOR, UNPRICED_FOR = 3600.0, 86400.0, 600.0
"""Seconds for which lists are kept; one without prices is soon asked for again."""
MOST_SINGLE = 200


@dataclass
class Shelf:
    """What was read of the catalogue of one region, with the time (monotonic seconds) until which it holds."""

    specs: dict[str, SpecInfo] = field(default_factory=dict)
    specs_until: float = 0.0
    single: dict[str, tuple[float, SpecInfo]] = field(default_factory=dict)
    aliases: list[ImageInfo] = field(default_factory=list)
    aliases_until: float = 0.0
    documents: dict[str, Document] = field(default_factory=dict)
    """Image documents by id."""


class AwsImages(Part):
    """ImageHandler."""

    _shelf: Shelf

    async def list_images(self) -> list[ImageInfo]:
        named = await self._aliases()
        own = await self._ec2_pages("DescribeImages", "Images", Owners=["self"], Filters=[_ready()])
        known = {image.id for image in named}
        return [*named, *(image_info(item) for item in own if item["ImageId"] not in known)]

    async def get_image(self, image_id: str) -> ImageInfo:
        alias = parse_alias(image_id)
        if alias is not None:
            return by_alias(await self._aliases(), *alias)
        for image in await self._aliases():
            if image.id == image_id:
                return image
        return image_info(await self._machine_image(image_id))

    async def _machine_image(self, image_id: str) -> Document:
        """EC2's own description of an image; CloudNotFoundError if there is none."""
        if not IMAGE_ID.fullmatch(image_id):
            raise CloudNotFoundError(f"AWS has no image {image_id[:40]!r}", field="image_id")
        kept = self._shelf.documents
        if image_id not in kept:
            answer = await self._ec2("DescribeImages", ImageIds=[image_id])
            if not answer.get("Images"):
                raise CloudNotFoundError(f"AWS has no image {image_id}", field="image_id")
            kept[image_id] = answer["Images"][0]
            if len(kept) > MOST_SINGLE:
                del kept[next(iter(kept))]
        return kept[image_id]

    async def _aliases(self) -> list[ImageInfo]:
        """The newest image of each alias and architecture."""
        async with self._turns.of("aliases"):
            if time.monotonic() >= self._shelf.aliases_until:
                wanted = self._spec.region_info.get("image_owners", "")
                owners = [owner.strip() for owner in wanted.split(",") if owner.strip()] or list(OWNERS)
                names = [pattern.format(word) for pattern in NAMES.values() for word in WORDS.values()]
                found = await self._ec2_pages(
                    "DescribeImages", "Images", Owners=owners, Filters=[{"Name": "name", "Values": names}, _ready()]
                )
                self._shelf.aliases = newest(found)
                self._shelf.aliases_until = time.monotonic() + IMAGES_FOR
        return self._shelf.aliases


class AwsSpecs(AwsPrices):
    """SpecHandler."""

    _shelf: Shelf

    async def list_specs(self) -> list[SpecInfo]:
        async with self._turns.of("specs"):
            if time.monotonic() >= self._shelf.specs_until:
                documents = await self._ec2_pages("DescribeInstanceTypes", "InstanceTypes", MaxResults=100)
                prices = await self._price_list()
                found = (translate.spec(document) for document in documents)
                self._shelf.specs = {spec.id: _priced(spec, prices) for spec in found if spec is not None}
                keep = SPECS_FOR if prices.whole else UNPRICED_FOR
                self._shelf.specs_until = time.monotonic() + keep
        return list(self._shelf.specs.values())

    async def get_spec(self, spec_id: str) -> SpecInfo:
        shelf = self._shelf
        now = time.monotonic()
        if now < shelf.specs_until and spec_id in shelf.specs:
            return shelf.specs[spec_id]
        until, known = shelf.single.get(spec_id, (0.0, None))
        if known is not None and now < until:
            return known
        spec, whole = await self._one_spec(spec_id)
        shelf.single[spec_id] = now + (SPECS_FOR if whole else UNPRICED_FOR), spec
        if len(shelf.single) > MOST_SINGLE:
            del shelf.single[next(iter(shelf.single))]
        return spec

    async def _one_spec(self, spec_id: str) -> tuple[SpecInfo, bool]:
        """A type, and whether its price could be asked for."""
        documents = []
        if SPEC_ID.fullmatch(spec_id):
            documents = (await self._ec2("DescribeInstanceTypes", InstanceTypes=[spec_id])).get("InstanceTypes", [])
        spec = translate.spec(documents[0]) if documents else None
        if spec is None:
            raise CloudNotFoundError(f"AWS has no spec {spec_id[:40]!r} for our images here", field="spec_id")
        prices = await self._price_list(spec_id)
        return _priced(spec, prices), prices.whole


def _priced(spec: SpecInfo, listed: PriceList) -> SpecInfo:
    if spec.id not in listed.prices:
        return spec
    price, date = listed.prices[spec.id]
    return replace(spec, price=price, price_date=date)


def _ready() -> Document:
    return {"Name": "state", "Values": ["available"]}


def newest(found: list[Document]) -> list[ImageInfo]:
    """The youngest image of each alias and architecture, in the order of the aliases."""
    best: dict[tuple[str, str], Document] = {}
    for image in found:
        key = alias_of(str(image.get("Name", ""))), str(image.get("Architecture", ""))
        if key[0] and key[1] in ARCHITECTURES:
            known = best.get(key)
            if known is None or _age(image) > _age(known):
                best[key] = image
    keys = sorted(best, key=lambda key: (ALIASES.index(key[0]), ARCHITECTURES.index(key[1])))
    return [image_info(best[key], key[0]) for key in keys]


def _age(image: Document) -> tuple[str, str]:
    return str(image.get("CreationDate", "")), str(image.get("Name", ""))


def alias_of(name: str) -> str:
    """The alias that an image of this name belongs to, "" if none."""
    for alias, pattern in NAMES.items():
        for word in WORDS.values():
            wanted = re.escape(pattern.format(word)).replace(r"\*", ".*")
            if re.fullmatch(wanted, name):
                return alias
    return ""


def image_info(image: Document, alias: str = "") -> ImageInfo:
    name = str(image.get("Name") or image["ImageId"])
    system = alias or alias_of(name)
    return ImageInfo(
        id=str(image["ImageId"]),
        name=name,
        os=system.replace("-", " ") or str(image.get("PlatformDetails") or "Linux/UNIX"),
        architecture=str(image.get("Architecture", "x86_64")),
        guest_user=USERS.get(system.split("-")[0], "ec2-user"),
        alias=alias,
    )
