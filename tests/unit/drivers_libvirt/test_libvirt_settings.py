"""What a connection to a hypervisor says. In: credentials and region information. Out: tests."""

from pathlib import Path

import pytest

from mcisd.drivers.libvirt.settings import access_of, settings_of
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudInvalidError


def spec(uri: str = "qemu:///system", zone: str | None = None, **info: str) -> ConnectionSpec:
    return ConnectionSpec("here", "lab", zone, {"uri": uri}, info)


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ("qemu:///system", "qemu:///system"),
        ("test:///default", "test:///default"),
        ("qemu+tls://host-1/system?pkipath=/etc/pki", "qemu+tls://host-1/system?pkipath=/etc/pki"),
        ("qemu:///system?socket=/run/x/libvirt-sock", "qemu:///system?socket=/run/x/libvirt-sock"),
        ("qemu+ssh://me@host-1:2222/system", "qemu+ssh://me@host-1:2222/system?no_tty=1"),
    ],
)
def test_uris_that_are_opened(given: str, opened: str) -> None:
    assert access_of({"uri": given}).uri == opened


@pytest.mark.parametrize(
    "given",
    [
        "",
        "host-1",
        "esx://host-1/",
        "qemu+ext:///system",
        "qemu+ssh://host-1/system?command=/tmp/evil",
        "qemu+ssh://host-1/system?netcat=/tmp/evil",
        "qemu+tls://host-1/system?no_verify=1",
        "qemu+ssh://host-1/system?no_tty=0",
        "test+ssh://host-1/default",
        "qemu://[",
    ],
)
def test_uris_that_start_programs_or_trust_anybody_are_refused(given: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        access_of({"uri": given})
    assert caught.value.field == "uri"
    assert caught.value.remedy
    assert not given or given not in caught.value.message


def test_ssh_key_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    with pytest.raises(CloudAuthError) as caught:
        access_of({"uri": "qemu+ssh://host-1/system", "ssh_key_file": str(key)})
    assert caught.value.field == "ssh_key_file"
    key.touch()
    access = access_of({"uri": "qemu+ssh://host-1/system", "ssh_key_file": str(key)})
    assert access.uri == f"qemu+ssh://host-1/system?keyfile={key}&no_tty=1"


def test_user_and_password_are_not_shown() -> None:
    access = access_of({"uri": "qemu+tcp://host-1/system", "username": "me", "password": "pencil"})
    assert (access.user, access.password) == ("me", "pencil")
    assert "pencil" not in repr(access)


def test_defaults() -> None:
    found = settings_of(spec())
    assert (found.region, found.pool, found.images, found.network_mode) == ("lab", "default", "", "nat")
    assert (found.test, found.firewall, found.stop_seconds, found.overcommit) == (False, True, 30.0, 1.0)
    assert settings_of(spec("test:///default")).pool == "default-pool"


def test_everything_said() -> None:
    found = settings_of(
        spec(
            zone="host", host="lab", pool="vms", images="/srv/images", network_mode="bridge:br0", domain_type="kvm",
            firewall="none", disk_cache="unsafe", stop_seconds="5", overcommit="1.5",
            prices='{"date": "2026-01-31", "1-1": 0.01}',
        )
    )  # fmt: skip
    assert (found.network_mode, found.bridge, found.domain_type, found.firewall) == ("bridge", "br0", "kvm", False)
    assert (found.prices, found.price_date) == ({"1-1": 0.01}, "2026-01-31")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network_mode", "bridge"),
        ("network_mode", "bridge:a b"),
        ("network_mode", "nat:br0"),
        ("network_mode", "none"),
        ("domain_type", "xen"),
        ("pool", "a'b"),
        ("images", "../images"),
        ("stop_seconds", "soon"),
        ("stop_seconds", "nan"),
        ("overcommit", "0"),
        ("prices", "{}"),
        ("prices", '{"date": "2026-01-31", "1-1": -1}'),
        ("prices", '{"date": "today", "1-1": 1}'),
        ("prices", "[1]"),
        ("firewall", "iptables"),
        ("disk_cache", "fast"),
    ],
)
def test_what_is_wrong_is_named(key: str, value: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        settings_of(spec(**{key: value}))
    assert caught.value.field == key
    assert caught.value.remedy


def test_another_host_or_zone_is_refused() -> None:
    with pytest.raises(CloudInvalidError, match="not this host"):
        settings_of(spec(host="other"))
    with pytest.raises(CloudInvalidError, match="zone"):
        settings_of(spec(zone="a"))
