"""What drivers share: marks, aliases of images, libraries that are loaded late."""

import pytest

from mcisd.drivers import marks
from mcisd.drivers.images import ALIASES, ARCHITECTURES, by_alias, parse_alias
from mcisd.drivers.libraries import library
from mcisd.model.cloud import ImageInfo
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError, CloudUnsupportedError


def test_marks_are_written_and_read_back() -> None:
    written = marks.marked({"mcis": "web"}, "inst-1", "tok-1")
    assert written == {"mcis": "web", "mcisd-installation": "inst-1", "mcisd-token": "tok-1"}
    assert marks.ours(written, "inst-1")
    assert not marks.ours(written, "inst-2")
    assert not marks.ours({}, "inst-1")
    assert marks.shown(written) == {"mcis": "web", "mcisd-installation": "inst-1"}


def test_nobody_passes_for_another_installation_by_a_tag_of_his_own() -> None:
    assert marks.ours(marks.marked({marks.INSTALLATION: "theirs", marks.TOKEN: "x"}, "ours", "tok"), "ours")


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_means_x86_unless_it_says_otherwise(alias: str) -> None:
    assert parse_alias(alias) == (alias, "x86_64")
    for architecture in ARCHITECTURES:
        assert parse_alias(f"{alias}:{architecture}") == (alias, architecture)


@pytest.mark.parametrize("text", ["", ":", "ami-0abc", "ubuntu", "ubuntu-24.04-lts", "Debian-12", ":arm64", "x:y:z"])
def test_other_names_are_no_aliases(text: str) -> None:
    assert parse_alias(text) is None


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(CloudInvalidError, match="architecture 'sparc'") as caught:
        parse_alias("debian-12:sparc")
    assert caught.value.field == "image_id"
    assert caught.value.remedy == "use x86_64 or arm64"


def test_an_image_is_found_by_alias_and_architecture() -> None:
    images = [
        ImageInfo("a", "own", "linux"),
        ImageInfo("b", "n", "linux", "arm64", alias="debian-12"),
        ImageInfo("c", "n", "linux", alias="debian-12"),
    ]
    assert by_alias(images, "debian-12", "x86_64").id == "c"
    assert by_alias(images, "debian-12", "arm64").id == "b"
    with pytest.raises(CloudNotFoundError, match=r"no image ubuntu-24\.04 for arm64"):
        by_alias(images, "ubuntu-24.04", "arm64")


async def test_a_library_is_loaded_late() -> None:
    assert (await library("json.tool", "aws")).__name__ == "json.tool"


async def test_a_missing_library_says_how_to_get_it() -> None:
    with pytest.raises(CloudUnsupportedError, match="the aws driver needs the Python package sdk_that_is,") as caught:
        await library("sdk_that_is.not_here", "aws")
    assert caught.value.remedy == "install it with: pip install 'mcisd[aws]', then try again"
