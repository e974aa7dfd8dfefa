"""OpenStack's words in ours."""

from typing import Any

import pytest

from mcisd.drivers.openstack import translate
from mcisd.drivers.openstack.settings import Settings
from mcisd.model.cloud import CloudVmState as State
from mcisd.model.cloud import FirewallRule

SERVER: dict[str, Any] = {
    "id": "s1",
    "name": "web",
    "status": "ACTIVE",
    "OS-EXT-STS:task_state": None,
    "OS-EXT-AZ:availability_zone": "nova",
    "OS-SRV-USG:launched_at": "2026-01-31T10:00:00.000000",
    "image": {"id": "i1"},
    "metadata": {
        "mcisd-installation": "in1", "mcisd-token": "vm1", "mcisd-os-user": "ubuntu", "mcisd-os-network": "n1",
        "mcisd-os-spec": "m1", "mcisd-os-private": "10.0.0.5", "mcisd-os-public": "203.0.113.9", "role": "front",
    },
    "addresses": {},
}  # fmt: skip


def test_a_server_before_it_has_addresses() -> None:
    vm = translate.vm_info(SERVER, "north")
    assert (vm.private_address, vm.public_address) == ("10.0.0.5", "203.0.113.9")
    assert (vm.token, vm.guest_user, vm.network_id, vm.spec_id, vm.image_id) == ("vm1", "ubuntu", "n1", "m1", "i1")
    assert vm.tags == {"mcisd-installation": "in1", "role": "front"}
    assert vm.started_at == 1769853600.0


def test_addresses_of_nova_go_first_and_a_fixed_one_serves_where_there_is_no_other() -> None:
    places = [{"addr": "10.0.0.7", "OS-EXT-IPS:type": "fixed"}, {"addr": "203.0.113.7", "OS-EXT-IPS:type": "floating"}]
    vm = translate.vm_info({**SERVER, "addresses": {"net": places}}, "north")
    assert (vm.private_address, vm.public_address) == ("10.0.0.7", "203.0.113.7")
    vm = translate.vm_info({**SERVER, "metadata": {}, "addresses": {"net": places[:1]}, "image": ""}, "north")
    assert (vm.private_address, vm.public_address, vm.image_id, vm.guest_user) == ("10.0.0.7", "10.0.0.7", "", "root")


@pytest.mark.parametrize(
    ("status", "task", "state"),
    [
        ("BUILD", "scheduling", State.PENDING),
        ("ACTIVE", None, State.RUNNING),
        ("ACTIVE", "powering-off", State.STOPPING),
        ("ACTIVE", "image_snapshot", State.RUNNING),
        ("ACTIVE", "deleting", State.TERMINATING),
        ("ERROR", "deleting", State.TERMINATING),
        ("REBOOT", "rebooting", State.PENDING),
        ("SHUTOFF", "powering-on", State.PENDING),
        ("SHUTOFF", None, State.STOPPED),
        ("SUSPENDED", None, State.STOPPED),
        ("SHELVED_OFFLOADED", None, State.STOPPED),
        ("DELETED", None, State.TERMINATED),
        ("SOMETHING_NEW", None, State.PENDING),
    ],
)
def test_states(status: str, task: str | None, state: State) -> None:
    assert translate.vm_state({"status": status, "OS-EXT-STS:task_state": task}) == (state, "")


def test_a_failed_server_says_why() -> None:
    assert translate.vm_state({"status": "ERROR", "fault": {"message": "No valid\nhost"}}) == (
        State.FAILED,
        "No valid host",
    )
    assert translate.vm_state({"status": "ERROR"})[1]


@pytest.mark.parametrize(
    "rule",
    [
        FirewallRule("inbound", "tcp", 22, 22, "0.0.0.0/0"),
        FirewallRule("outbound", "udp", 53, 53, "10.0.0.0/8"),
        FirewallRule("inbound", "icmp", -1, -1, "::/0"),
        FirewallRule("inbound", "all", 0, 65535, "10.0.0.0/8"),
        FirewallRule("inbound", "tcp", 0, 65535, "::/0"),
    ],
)
def test_rules_come_back(rule: FirewallRule) -> None:
    body = translate.rule_body(rule, "g1")
    assert translate.rule_of(body) == rule
    assert len(body["description"]) <= 255
    assert body["ethertype"] == ("IPv6" if ":" in rule.cidr else "IPv4")


def test_rules_of_others_are_none() -> None:
    for text in (None, "", "by hand", "[]", '["mcisd"]', "7", '["x","inbound","tcp",1,1,"::/0"]'):
        assert translate.rule_of({"description": text}) is None


@pytest.mark.parametrize(
    ("distro", "version", "name", "alias"),
    [
        ("ubuntu", "24.04", "whatever", "ubuntu-24.04"),
        ("debian", "12", "x", "debian-12"),
        ("debian", "12.5", "x", "debian-12"),
        ("", "", "Ubuntu Server 24.04 LTS (2026.01.20)", "ubuntu-24.04"),
        ("", "", "Ubuntu 24.04 LTS", "ubuntu-24.04"),
        ("", "", "ubuntu-jammy-server", "ubuntu-22.04"),
        ("", "", "debian-12-genericcloud-amd64", "debian-12"),
        ("", "", "debian-120", ""),
        ("", "", "Rocky 9", ""),
        ("windows", "2022", "Windows", ""),
    ],
)
def test_aliases(distro: str, version: str, name: str, alias: str) -> None:
    assert translate.alias_of(distro, version, name) == alias


def test_the_newest_image_of_an_alias_and_all_others() -> None:
    def image(number: int, day: int, **more: str) -> dict[str, Any]:
        return {"id": f"i{number}", "name": f"image {number}", "created_at": f"2026-01-{day:02d}T00:00:00Z", **more}

    debian = {"os_distro": "debian", "os_version": "12"}
    found = translate.newest(
        [
            image(1, 1, **debian),
            image(2, 9, **debian),
            image(3, 5, **debian, architecture="aarch64"),
            image(4, 2),
            image(5, 3),
        ]
    )
    assert {info.id for info in found} == {"i2", "i3", "i4", "i5"}
    assert {(info.alias, info.architecture) for info in found if info.alias} == {
        ("debian-12", "x86_64"),
        ("debian-12", "arm64"),
    }


def test_flavors_with_gpus_and_prices() -> None:
    known = Settings("north", "https://k", {}, prices={"g1": 2.5}, price_date="2026-01-31")
    flavor = {"id": "7", "name": "g1", "vcpus": 4, "ram": 4096, "disk": 20}
    extra = {"pci_passthrough:alias": "a100:2,nic:1", "quota:vif_outbound_average": "1250000"}
    spec = translate.spec_info({**flavor, "extra_specs": extra}, known)
    assert (spec.price, spec.price_date, spec.network_gbps, spec.architecture) == (2.5, "2026-01-31", 10.0, "x86_64")
    assert spec.gpus == 2
    spec = translate.spec_info({**flavor, "name": "g2"}, known)
    assert (spec.price, spec.price_date, spec.gpus, spec.network_gbps) == (None, None, 0, None)


def test_gpus() -> None:
    assert translate.gpus({"pci_passthrough:alias": "a100:2,gpu-t4:1"}) == 3
    assert translate.gpus({"resources:VGPU": "1", "resources2:PGPU": "2", "resources:VCPU": "8"}) == 3
    assert translate.gpus({"resources:CUSTOM_GPU_H100": "4", "hw:cpu_policy": "dedicated"}) == 4
    assert translate.gpus({}) == 0
