"""Ranges, subnets and addresses. In: requests, libvirt's XML. Out: tests."""

import ipaddress

import pytest

from mcisd.drivers.libvirt import cards, leases, networks
from mcisd.drivers.libvirt.settings import Settings
from mcisd.drivers.libvirt.xml import parsed
from mcisd.model.cloud import NetworkRequest
from mcisd.model.errors import CloudInvalidError, CloudUnsupportedError

Net = ipaddress.IPv4Network
ID = cards.object_id("inst", cards.NETWORK, "tok")
CARD = cards.new_card(cards.NETWORK, "net", {}, "inst", "tok", {"cidr": "10.0.0.0/16"})


def definition(subnet: Net | None, **settings: str) -> str:
    return networks.definition(Settings("lab", **settings), ID, CARD, subnet)  # type: ignore[arg-type]  # texts alone


@pytest.mark.parametrize(
    ("cidr", "subnets", "wanted"),
    [
        ("10.0.0.0/16", (), "10.0.0.0/24"),
        ("10.0.0.0/16", ("10.0.7.0/24",), "10.0.7.0/24"),
        ("10.0.0.0/28", (), "10.0.0.0/28"),
    ],
)
def test_the_one_subnet(cidr: str, subnets: tuple[str, ...], wanted: str) -> None:
    assert networks.wanted_subnet(NetworkRequest("tok", "net", cidr, subnets)) == Net(wanted)


@pytest.mark.parametrize(
    ("cidr", "subnets"),
    [("", ()), ("fd00::/64", ()), ("10.0.0.1/16", ()), ("10.0.0.0/16", ("10.1.0.0/24",)), ("10.0.0.0/30", ())],
)
def test_ranges_that_will_not_do(cidr: str, subnets: tuple[str, ...]) -> None:
    with pytest.raises(CloudInvalidError):
        networks.wanted_subnet(NetworkRequest("tok", "net", cidr, subnets))


def test_two_subnets_are_two_networks() -> None:
    with pytest.raises(CloudUnsupportedError):
        networks.wanted_subnet(NetworkRequest("tok", "net", "10.0.0.0/16", ("10.0.1.0/24", "10.0.2.0/24")))


def test_free_subnets_go_round_inside_the_range() -> None:
    found = networks.free_subnets(Net("10.0.2.0/24"), "10.0.0.0/22", [Net("10.0.2.0/25"), Net("192.168.122.0/24")])
    assert list(found) == [Net("10.0.3.0/24"), Net("10.0.0.0/24"), Net("10.0.1.0/24")]
    assert list(networks.free_subnets(Net("10.0.0.0/24"), "10.0.0.0/24", [Net("10.0.0.0/8")])) == []


@pytest.mark.parametrize(("mode", "forward"), [("nat", "nat"), ("isolated", None)])
def test_a_network_of_our_own(mode: str, forward: str | None) -> None:
    text = definition(Net("10.0.7.0/24"), network_mode=mode)
    root = parsed(text)
    way = root.find("forward")
    assert (way.get("mode") if way is not None else None) == forward
    bridge = root.find("bridge")
    assert bridge is not None
    assert len(bridge.get("name", "")) <= 15, "the kernel's limit"
    assert networks.subnets_in(text) == [Net("10.0.7.0/24")]
    assert leases.reserved_in(text) == ({}, (int(Net("10.0.7.0/24")[2]), int(Net("10.0.7.0/24")[254])))
    assert cards.card_in(text) == CARD


def test_a_bridge_of_the_host() -> None:
    text = definition(None, network_mode="bridge", bridge="br0")
    assert networks.subnets_in(text) == []
    assert leases.reserved_in(text) == ({}, None)
    assert "br0" in text


def test_a_large_network_hands_out_a_part() -> None:
    _, span = leases.reserved_in(definition(Net("10.0.0.0/8")))
    assert span is not None
    assert span[1] - span[0] + 1 == networks.MOST_ADDRESSES - 1


def test_networks_of_others_are_read() -> None:
    four = "<ip address='192.168.122.1' netmask='255.255.255.0'/>"
    six = "<ip family='ipv6' address='fd00::1' prefix='64'/>"
    assert networks.subnets_in(f"<network>{four}{six}</network>") == [Net("192.168.122.0/24")]
    host = "<host mac='52:54:00:00:00:01' ip='10.0.0.9'/>"
    taken, _ = leases.reserved_in(f"<network><ip address='10.0.0.1' prefix='24'><dhcp>{host}</dhcp></ip></network>")
    assert taken == {"52:54:00:00:00:01": "10.0.0.9"}
