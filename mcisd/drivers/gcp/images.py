"""Images: the newest of each family that an alias means, and the project's own. In: ids and aliases. Out: ImageInfo."""

import re

from mcisd.drivers.gcp.api import together
from mcisd.drivers.gcp.core import Core
from mcisd.drivers.gcp.translate import IMAGE_PROJECTS, image_info
from mcisd.drivers.images import parse_alias
from mcisd.model.cloud import ImageInfo
from mcisd.model.errors import CloudNotFoundError

_LINK = re.compile(r"projects/([-a-z0-9.:]{1,100})/global/images/(family/)?([a-z][-a-z0-9]{0,62})")
_NAME = re.compile(r"[a-z][-a-z0-9]{0,62}")


class Images(Core):
    """The handler for images."""

    async def list_images(self) -> list[ImageInfo]:
        known = [alias for alias, _ in IMAGE_PROJECTS.items()]
        newest = await together(*(self._newest(*alias) for alias in known))
        own = await self._api.items("images.list")
        usable = [image_info(item) for item in own if not item.get("deprecated") and item.get("status") == "READY"]
        return [image for image in newest if image is not None] + usable

    async def get_image(self, image_id: str) -> ImageInfo:
        alias = parse_alias(image_id)
        if alias is not None:
            found = await self._newest(*alias)
            if found is None:
                raise CloudNotFoundError(f"Google Cloud has no image {image_id} any more", field="image_id")
            return found
        link = image_link(image_id, self._api.project)
        match = _LINK.fullmatch(link)
        if match is None:
            raise CloudNotFoundError(f"there is no image {image_id[:80]!r}", field="image_id")
        project, family, name = match.groups()
        if family:
            return image_info(await self._api.call("images.getFromFamily", project=project, family=name))
        return image_info(await self._api.call("images.get", project=project, image=name))

    async def _newest(self, alias: str, architecture: str) -> ImageInfo | None:
        if (alias, architecture) not in IMAGE_PROJECTS:
            return None
        project, family = IMAGE_PROJECTS[alias, architecture]
        try:
            return image_info(await self._api.call("images.getFromFamily", project=project, family=family))
        except CloudNotFoundError:
            return None


def image_link(image_id: str, project: str) -> str:
    """The image as Google takes it in a request: an alias is its family, a bare name an image of our project."""
    alias = parse_alias(image_id)
    if alias is not None and alias in IMAGE_PROJECTS:
        return "projects/{}/global/images/family/{}".format(*IMAGE_PROJECTS[alias])
    if _LINK.fullmatch(image_id):
        return image_id
    if not _NAME.fullmatch(image_id):
        raise CloudNotFoundError(f"there is no image {image_id[:80]!r}", field="image_id")
    return f"projects/{project}/global/images/{image_id}"
