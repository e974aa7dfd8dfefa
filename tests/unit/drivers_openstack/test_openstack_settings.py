"""What a connection may say of its cloud, and the sentence on each thing that is wrong."""

from pathlib import Path

import pytest

from mcisd.drivers.openstack.cloudsyaml import entry
from mcisd.drivers.openstack.driver import OpenStackDriver
from mcisd.drivers.openstack.settings import Settings, auth_body, settings, version, who
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudError, CloudInvalidError

PASSWORD = {"username": "ann", "password": "s3cret-word", "project_name": "web"}
CLOUDS = """
clouds:
  lab:
    region_name: north
    interface: internal
    cacert: /etc/ssl/lab.pem
    compute_endpoint_override: https://nova.lab/v2.1
    auth:
      auth_url: https://keystone.lab:5000/v3
      username: ann
      password: s3cret-word
      project_name: web
      user_domain_name: People
  open:
    verify: false
    auth: {auth_url: "https://k", username: a, password: b, project_name: c}
"""


def made(credential: dict[str, str] | None = None, **info: str) -> Settings:
    values = {"auth_url": "https://keystone.lab:5000/v3/", **info}
    return settings(ConnectionSpec("lab", "north", None, PASSWORD if credential is None else credential, values))


def test_password_with_domains() -> None:
    known = made({**PASSWORD, "user_domain_name": "People", "project_domain_id": "d1"})
    assert known.auth_url == "https://keystone.lab:5000/v3"
    auth = auth_body(known.credential)["auth"]
    assert auth["identity"]["password"]["user"] == {
        "name": "ann", "domain": {"name": "People"}, "password": "s3cret-word"
    }  # fmt: skip
    assert auth["scope"] == {"project": {"name": "web", "domain": {"id": "d1"}}}
    assert who(known.credential) == "password of user ann"


def test_ids_instead_of_names() -> None:
    auth = auth_body({"user_id": "u1", "password": "p", "project_id": "p1"})["auth"]
    assert auth["identity"]["password"]["user"] == {"id": "u1", "password": "p"}
    assert auth["scope"] == {"project": {"id": "p1"}}


def test_application_credential_by_id_and_by_name() -> None:
    by_id = {"application_credential_id": "a1", "application_credential_secret": "s"}
    identity = auth_body(by_id)["auth"]["identity"]
    assert identity == {"methods": ["application_credential"], "application_credential": {"id": "a1", "secret": "s"}}
    by_name = {"application_credential_name": "robot", "application_credential_secret": "s", "username": "ann"}
    identity = auth_body(by_name)["auth"]["identity"]["application_credential"]
    assert identity == {"name": "robot", "secret": "s", "user": {"name": "ann", "domain": {"name": "Default"}}}
    assert who(by_id) == "application credential a1"


def test_secrets_are_not_shown() -> None:
    assert "s3cret-word" not in repr(made())


@pytest.mark.parametrize(
    ("credential", "missing"),
    [
        ({}, "application_credential_id"),
        ({"password": "p", "project_name": "x"}, "username"),
        ({"username": "a", "password": "p"}, "project_name"),
        ({"application_credential_secret": "s"}, "application_credential_id"),
        ({"username": "a", "application_credential_id": "i"}, "username, password"),
    ],
)
def test_half_a_credential_is_refused(credential: dict[str, str], missing: str) -> None:
    with pytest.raises(CloudAuthError) as caught:
        made(credential)
    assert missing in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth_url", ""),
        ("auth_url", "keystone.lab"),
        ("interface", "sideways"),
        ("compute_microversion", "two"),
        ("floating_ip", "perhaps"),
        ("prices", "[1]"),
        ("prices", '{"m1": "dear"}'),
        ("prices", '{"m1": -1}'),
        ("image_endpoint", "glance"),
        ("latitude", "north"),
    ],
)
def test_wrong_values_are_named(name: str, value: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        made(None, **{name: value})
    assert caught.value.field == name
    assert caught.value.remedy


def test_prices_need_a_day() -> None:
    with pytest.raises(CloudInvalidError) as caught:
        made(prices='{"m1": 0.1}')
    assert caught.value.field == "prices_date"
    known = made(prices='{"m1": 0.1}', prices_date="2026-01-31")
    assert (known.prices, known.price_date) == ({"m1": 0.1}, "2026-01-31")


def test_public_addresses_come_with_an_external_network() -> None:
    assert not made().floating_ip
    assert made(external_network="outside").floating_ip
    assert not made(external_network="outside", floating_ip="false").floating_ip


def test_versions_compare_as_numbers() -> None:
    assert version("2.9") < version("2.52")
    assert made().tagged
    assert not made(compute_microversion="2.1").tagged


async def test_clouds_yaml(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text(CLOUDS)
    for source in (str(path), CLOUDS):
        known = settings(ConnectionSpec("lab", "north", None, {}, {"interface": "admin"}), await entry(source, "lab"))
        assert known.auth_url == "https://keystone.lab:5000/v3"
        assert known.credential["user_domain_name"] == "People"
        assert (known.ca_file, known.interface) == ("/etc/ssl/lab.pem", "admin")
        assert known.endpoints == {"nova": "https://nova.lab/v2.1"}


@pytest.mark.parametrize(
    ("source", "cloud", "field"),
    [
        ("/no/such/file.yaml", "lab", "clouds_yaml"),
        ("clouds: [\n password: s3cret-word", "lab", "clouds_yaml"),
        ("other: 1\n", "lab", "clouds_yaml"),
        (CLOUDS, "moon", "cloud"),
        (CLOUDS, "", "cloud"),
        (CLOUDS, "open", "clouds_yaml"),
    ],
)
async def test_clouds_yaml_that_is_wrong(source: str, cloud: str, field: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        await connect({"clouds_yaml": source, "cloud": cloud})
    assert caught.value.field == field
    assert "s3cret-word" not in f"{caught.value} {caught.value.remedy}"


async def connect(credential: dict[str, str]) -> None:
    connection = await OpenStackDriver().connect(ConnectionSpec("lab", "north", None, credential), "in1")
    await connection.close()


async def test_connecting_needs_no_network() -> None:
    await connect({"clouds_yaml": CLOUDS, "cloud": "lab"})
    with pytest.raises(CloudError):
        await connect({})
