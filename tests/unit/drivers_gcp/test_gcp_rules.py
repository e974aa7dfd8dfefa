"""Firewall rules: ours as firewalls, and read back."""

from hypothesis import given
from hypothesis import strategies as st

from mcisd.drivers.gcp import rules
from mcisd.model.cloud import FirewallRule
from tests.clouds.gcp.discovery import document

LINK = "projects/p/global/networks/n"
PORTS = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: (min(pair), max(pair)))


@st.composite
def rule(draw: st.DrawFn) -> FirewallRule:
    protocol = draw(st.sampled_from(["tcp", "udp", "icmp", "all"]))
    low, high = draw(PORTS | st.just((-1, -1))) if protocol in ("tcp", "udp") else (-1, -1)
    direction = draw(st.sampled_from(["inbound", "outbound"]))
    return FirewallRule(direction, protocol, low, high, draw(st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "::/0"])))


@given(st.lists(rule(), max_size=12))
def test_rules_survive_and_fit(asked: list[FirewallRule]) -> None:
    made = rules.bodies("sg-1", LINK, "text", tuple(asked))
    assert sorted(rules.read(made), key=str) == sorted(asked, key=str)
    api = document("compute.v1")
    for body in made:
        assert api.value_misfits({"$ref": "Firewall"}, body, "body", "compute.firewalls.insert") == []


def test_the_first_one_closes_the_way_out_only_if_something_may_go_out() -> None:
    inbound = FirewallRule("inbound", "tcp", 22, 22, "0.0.0.0/0")
    outbound = FirewallRule("outbound", "tcp", 443, 443, "0.0.0.0/0")
    assert rules.bodies("sg", LINK, "", (inbound,))[0]["disabled"] is True
    closed, _, way = rules.bodies("sg", LINK, "", (inbound, outbound))
    assert closed["disabled"] is False
    assert closed["priority"] > way["priority"], "lower numbers come first"


def test_one_firewall_per_direction_and_range() -> None:
    ports = [FirewallRule("inbound", "tcp", port, port, "0.0.0.0/0") for port in (22, 80, 443)]
    made = rules.bodies("sg", LINK, "", (*ports, FirewallRule("inbound", "icmp", -1, -1, "::/0")))
    assert [body["name"] for body in made] == ["sg", "sg-0", "sg-1"]
    assert made[1]["allowed"][0] == {"IPProtocol": "tcp", "ports": ["22"]}
    assert made[2]["allowed"] == [{"IPProtocol": "58"}], "ICMP has another number in IPv6"
    assert rules.read(made)[:3] == tuple(ports)
