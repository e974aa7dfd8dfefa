"""What the local cloud keeps: disk, accounts, networks, groups, keys and the checks of VM requests."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from mcisd.aio.clock import ManualClock
from mcisd.drivers.local import proctree
from mcisd.drivers.local.accounts import Accounts
from mcisd.drivers.local.disk import Disk, Item
from mcisd.drivers.local.resources import GROUP, KEY, NETWORK, VM
from mcisd.drivers.local.service import CloudService
from mcisd.drivers.local.settings import CloudSettings
from mcisd.model.errors import CloudAuthError, CloudConflictError, CloudError, CloudInvalidError, CloudUnsupportedError

KEY_PAIR = asyncssh.generate_private_key("ssh-ed25519")
REGION = "us-east-1"


@pytest.fixture
def service(tmp_path: Path) -> CloudService:
    return CloudService(tmp_path, CloudSettings(vm_quota=0), ManualClock())


def call(service: CloudService, operation: str, arguments: object, account: str = "a") -> Any:
    return service.perform(operation, REGION, account, "s", arguments)


def network(token: str = "t", **change: object) -> dict[str, object]:
    return {"token": token, "name": "n", "cidr": "10.0.0.0/16", "subnets": ["10.0.1.0/24"], "tags": {}} | change


def test_disk_is_the_same_after_a_restart(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.put(Item(VM, "i-1", "a", "r", "t", {"name": "x"}, {"host_key": "secret"}))
    disk.put(Item(KEY, "key-1", "a", "r", "t", {}))
    disk.remove(KEY, "key-1")
    disk.remove(KEY, "key-1")
    again = Disk(tmp_path)
    assert again.all(VM) == disk.all(VM)
    assert again.all(KEY) == []
    assert again.by_token(VM, "a", "r", "t") == again.get(VM, "i-1")
    assert again.by_token(VM, "other", "r", "t") is None
    assert (tmp_path / "objects" / VM / "i-1.json").stat().st_mode & 0o777 == 0o600


def test_accounts_remember_a_hash_only(tmp_path: Path) -> None:
    Accounts(Disk(tmp_path)).prove("team", "hunter2-hunter2")
    again = Accounts(Disk(tmp_path))
    again.prove("team", "hunter2-hunter2")
    with pytest.raises(CloudAuthError):
        again.prove("team", "wrong")
    assert "hunter2" not in (tmp_path / "objects" / "account" / "team.json").read_text()


@pytest.mark.parametrize("account", ["", "../x", "a/b", "x" * 65, ".hidden"])
def test_odd_accounts_are_refused(tmp_path: Path, account: str) -> None:
    with pytest.raises(CloudAuthError):
        Accounts(Disk(tmp_path)).prove(account, "s")


def test_references_hold(service: CloudService) -> None:
    net = call(service, "create_network", network())
    assert call(service, "create_network", network(name="ignored")) == net
    rule = {"direction": "inbound", "protocol": "tcp", "from_port": 22, "to_port": 22, "cidr": "0.0.0.0/0"}
    group = {"token": "g", "name": "g", "network_id": net["id"], "rules": [rule], "tags": {"x": "y"}}
    made = call(service, f"create_{GROUP}", group)
    with pytest.raises(CloudConflictError, match=made["id"]):
        call(service, "delete_network", {"id": net["id"]})
    call(service, "delete_network", {"id": net["id"]}, account="other")
    assert call(service, f"list_{NETWORK}", {"tags": {}}) == [net]
    assert call(service, f"list_{GROUP}", {"tags": {"x": "z"}}) == []
    call(service, "delete_group", {"id": made["id"]})
    call(service, "delete_network", {"id": net["id"]})
    assert call(service, f"list_{NETWORK}", {"tags": {}}) == []


@pytest.mark.parametrize(
    ("operation", "arguments", "field"),
    [
        ("create_network", network(cidr="10.0.0.0/99"), "cidr"),
        ("create_network", network(subnets=["192.168.0.0/24"]), "subnets"),
        ("create_network", network(subnets=["fd00::/64"]), "subnets"),
        ("create_network", network(name="\x1b[31m"), "name"),
        ("create_network", network(token=""), "token"),
        ("create_network", network(tags={"x": 1}), "tags"),
        ("create_network", {}, "token"),
        ("create_key", {"token": "t", "name": "k", "tags": {}, "public_key": "ssh-rsa nonsense"}, "public_key"),
        ("get_vm", {"id": 7}, "id"),
        ("list_vms", {}, "tags"),
    ],
)
def test_bad_requests_name_the_field(service: CloudService, operation: str, arguments: object, field: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        call(service, operation, arguments)
    assert caught.value.field == field


@pytest.mark.parametrize("change", [{"direction": "up"}, {"protocol": "x"}, {"from_port": 70_000}, {"cidr": "x"}])
def test_bad_rules_are_refused(service: CloudService, change: dict[str, object]) -> None:
    net = call(service, "create_network", network())
    rule = {"direction": "inbound", "protocol": "tcp", "from_port": 1, "to_port": 2, "cidr": "::/0"} | change
    with pytest.raises(CloudInvalidError):
        call(service, "create_group", {"token": "g", "name": "g", "network_id": net["id"], "rules": [rule], "tags": {}})


def test_unknown_operations_and_odd_bodies(service: CloudService) -> None:
    with pytest.raises(CloudUnsupportedError):
        call(service, "become_root", {})
    with pytest.raises(CloudInvalidError):
        call(service, "get_vm", [])
    with pytest.raises(CloudInvalidError):
        service.perform("check", "mars", "a", "s", {})


def test_quota_is_kept(service: CloudService) -> None:
    words = ("image_id", "spec_id", "network_id", "subnet_id", "key_pair_id", "guest_user", "host_key")
    texts: dict[str, object] = dict.fromkeys(words, "x")
    request = texts | {
        "token": "t",
        "name": "n",
        "tags": {},
        "security_group_ids": [],
        "zone": None,
    }
    with pytest.raises(CloudError) as caught:
        call(service, "start_vm", request)
    assert caught.value.code == "cloud-quota"


def test_keys_have_fingerprints(service: CloudService) -> None:
    line = KEY_PAIR.export_public_key().decode()
    made = call(service, "create_key", {"token": "t", "name": "k", "tags": {}, "public_key": line})
    assert made["fingerprint"] == KEY_PAIR.get_fingerprint()
    assert "public_key" not in json.dumps(made)


def test_process_tree_sees_children_and_their_end() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        found = proctree.look(child.pid)
        assert found is not None
        assert found.parent == os.getpid()
        assert child.pid in {process.pid for process in proctree.descendants(os.getpid())}
        assert proctree.alive(child.pid, found.started)
        assert not proctree.alive(child.pid, found.started + 1)
    finally:
        proctree.send(child.pid, signal.SIGKILL)
        child.communicate()
    assert proctree.look(child.pid) is None
    proctree.send(child.pid, signal.SIGKILL)
