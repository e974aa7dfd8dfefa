"""Images by alias, prices, regions. In: documents. Out: assertions."""

import json
from typing import Any

import pytest

from mcisd.drivers.aws.catalogue import NAMES, alias_of, image_info, newest
from mcisd.drivers.aws.prices import parsed
from mcisd.drivers.aws.regions import PLACES, place, plausible
from mcisd.drivers.images import ALIASES


def image(number: int, name: str, date: str, architecture: str = "x86_64") -> dict[str, Any]:
    return {"ImageId": f"ami-{number}", "Name": name, "CreationDate": date, "Architecture": architecture}


def product(name: str, usd: str, unit: str = "Hrs", date: str = "2026-11-02T18:37:40Z") -> str:
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
    return json.dumps({
        "product": {"attributes": {"instanceType": name}}, "publicationDate": date,
        "terms": {"OnDemand": {"S.T": {"priceDimensions": {"S.T.R": dimension}}}},
    })  # fmt: skip


def test_every_alias_has_a_name_at_aws() -> None:
    assert tuple(NAMES) == ALIASES


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("debian-12-amd64-20261013-2264", "debian-12"),
        ("debian-13-arm64-20261013-2264", "debian-13"),
        ("debian-12-backports-amd64-20261020-2270", ""),
        ("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261104", "ubuntu-24.04"),
        ("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-20261104", "ubuntu-22.04"),
        ("ubuntu/images-testing/hvm-ssd-gp3/ubuntu-noble-daily-amd64-server-20261104", ""),
        ("debian-12+amd64-x", ""),
    ],
)
def test_aliases_by_name(name: str, alias: str) -> None:
    assert alias_of(name) == alias


def test_the_newest_of_each_architecture_wins() -> None:
    found = [
        image(1, "debian-12-amd64-20260101-1", "2026-01-01T00:00:00.000Z"),
        image(2, "debian-12-amd64-20261001-1", "2026-10-01T00:00:00.000Z"),
        image(3, "debian-12-arm64-20260501-1", "2026-05-01T00:00:00.000Z", "arm64"),
        image(4, "debian-12-backports-amd64-20261101-1", "2026-11-01T00:00:00.000Z"),
        image(5, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-1", "2026-10-01T00:00:00.000Z"),
    ]
    assert [(item.id, item.alias, item.architecture) for item in newest(found)] == [
        ("ami-5", "ubuntu-24.04", "x86_64"),
        ("ami-2", "debian-12", "x86_64"),
        ("ami-3", "debian-12", "arm64"),
    ]


def test_images_tell_their_user() -> None:
    assert image_info(image(1, "debian-12-amd64-1", "")).guest_user == "admin"
    assert image_info(image(1, "al2023-ami-2023.12-x86_64", "")).guest_user == "ec2-user"
    assert image_info({"ImageId": "ami-9"}).name == "ami-9"


def test_prices() -> None:
    prices = parsed([product("t3.micro", "0.0130000000"), product("t3.small", "0.0260000000")])
    assert prices == {"t3.micro": (0.013, "2026-11-02"), "t3.small": (0.026, "2026-11-02")}


def test_prices_that_are_none_are_left_out() -> None:
    assert parsed([product("t3.micro", "0.0000000000"), product("m5.large", "5", "Quantity"), "{}"]) == {}
    assert parsed([product("t3.micro", "0.02"), product("t3.micro", "0.01")])["t3.micro"][0] == 0.01


def test_regions_have_places() -> None:
    assert place("ap-northeast-2").display == "Seoul, Korea"
    assert place("ap-southwest-9").display == "Asia Pacific"
    assert all(plausible(name) for name in PLACES)
    for name in PLACES:
        assert (place(name).latitude, place(name).longitude) != (0, 0)


@pytest.mark.parametrize("name", ["", "no-such-thing-0", "korea", "ap-northeast-2a", "../../etc", "us-east-é"])
def test_what_no_region_is_called(name: str) -> None:
    assert not plausible(name)


def test_a_region_younger_than_our_table() -> None:
    assert plausible("eu-north-7")
    assert plausible("us-gov-south-1")
