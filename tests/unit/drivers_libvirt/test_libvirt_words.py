"""States, errors, images, filters and definitions in our words. In: libvirt's words. Out: tests."""

import pytest

from mcisd.drivers.libvirt import building, catalogue, errors, filters, machine, states
from mcisd.drivers.libvirt.cards import VM, new_card
from mcisd.drivers.libvirt.errors import Code
from mcisd.drivers.libvirt.xml import node, parsed, text_of
from mcisd.model.cloud import CloudVmState, FirewallRule, SpecInfo
from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudTransientError,
    CloudUnsupportedError,
)

State = CloudVmState


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (Code.NO_DOMAIN, "Domain not found", CloudNotFoundError),
        (Code.OPERATION_INVALID, "domain is already running", CloudConflictError),
        (9, "operation failed: storage vol already exists", CloudConflictError),
        (Code.OPERATION_DENIED, "read only access prevents virDomainCreate", CloudAuthError),
        (Code.SYSTEM_ERROR, "Cannot recv data: Permission denied (publickey).", CloudAuthError),
        (Code.SYSTEM_ERROR, "Cannot recv data: Host key verification failed.", CloudInvalidError),
        (Code.SYSTEM_ERROR, "Cannot recv data: ssh: Could not resolve hostname x: no address", CloudTransientError),
        (
            Code.SYSTEM_ERROR,
            "Failed to connect socket to '/run/libvirt/libvirt-sock': No such file",
            CloudTransientError,
        ),
        (Code.SYSTEM_ERROR, "End of file while reading data: sh: 1: nc: not found", CloudInvalidError),
        (Code.SYSTEM_ERROR, "unable to connect to server at 'host-1:16509': Connection refused", CloudTransientError),
        (Code.AUTH_FAILED, "authentication failed: Failed to verify peer's certificate", CloudInvalidError),
        (Code.AUTH_FAILED, "authentication failed: no", CloudAuthError),
        (Code.RPC, "Cannot recv data: Connection reset by peer", CloudTransientError),
        (1, "internal error: process exited: cannot set up guest memory: Cannot allocate memory", CloudCapacityError),
        (1, "internal error: Network is already in use by interface virbr0", CloudConflictError),
        (Code.NO_SUPPORT, "this function is not supported by the connection driver", CloudUnsupportedError),
        (12345, "", CloudTransientError),
    ],
)
def test_errors(code: int, text: str, kind: type[CloudError]) -> None:
    found = errors.translated(code, text)
    assert type(found) is kind
    assert found.message.startswith("libvirt: ")
    assert kind is not CloudAuthError or found.remedy


def test_errors_are_one_short_line() -> None:
    assert len(errors.translated(1, "a\nb " * 900).message) < 400
    assert "\n" not in errors.translated(1, "a\nb").message


def test_our_numbers_are_those_of_the_library() -> None:
    libvirt = pytest.importorskip("libvirt", reason="libvirt-python is missing (tools/libvirt.sh installs it)")
    for code in Code:
        assert getattr(libvirt, f"VIR_ERR_{code.name}") == code
    for state, name in {
        states.Domain.RUNNING: "RUNNING", states.Domain.BLOCKED: "BLOCKED", states.Domain.PAUSED: "PAUSED",
        states.Domain.SHUTDOWN: "SHUTDOWN", states.Domain.SHUTOFF: "SHUTOFF", states.Domain.CRASHED: "CRASHED",
        states.Domain.SLEEPING: "PMSUSPENDED", states.Domain.NONE: "NOSTATE",
    }.items():  # fmt: skip
        assert getattr(libvirt, f"VIR_DOMAIN_{name}") == state


@pytest.mark.parametrize(
    ("state", "reason", "flags", "wanted"),
    [
        (1, 1, {}, State.RUNNING),
        (1, 1, {"addressed": False}, State.PENDING),
        (1, 1, {"stopping": True}, State.STOPPING),
        (2, 0, {}, State.RUNNING),
        (3, 1, {}, State.STOPPED),
        (3, 3, {}, State.STOPPING),
        (3, 5, {}, State.FAILED),
        (3, 11, {}, State.PENDING),
        (4, 0, {}, State.STOPPING),
        (5, 1, {}, State.STOPPED),
        (5, 3, {}, State.FAILED),
        (5, 5, {}, State.STOPPED),
        (5, 0, {"made": False}, State.PENDING),
        (6, 1, {}, State.FAILED),
        (7, 0, {}, State.STOPPED),
    ],
)
def test_states(state: int, reason: int, flags: dict[str, bool], wanted: CloudVmState) -> None:
    known = {"made": True, "stopping": False, "addressed": True, **flags}
    found, why = states.vm_state(state, reason, **known)
    assert found is wanted
    assert (found is State.FAILED) <= bool(why)


def test_images_by_file_name() -> None:
    plain = catalogue.described("ubuntu-24.04.qcow2", "{}", {})
    assert (plain.info.alias, plain.info.architecture, plain.info.guest_user) == ("ubuntu-24.04", "x86_64", "ubuntu")
    assert catalogue.described("debian-12.arm64.qcow2", "{}", {}).info.architecture == "arm64"
    own = catalogue.described("our.own.qcow2", '{"guest_user": "me"}', {}).info
    assert (own.alias, own.name, own.guest_user) == ("", "our.own", "me")


def test_images_with_a_kernel_beside_them() -> None:
    text = '{"kernel": "k", "initrd": "i", "cmdline": "quiet", "seed": "tar"}'
    found = catalogue.described("debian-12.qcow2", text, {"k": "/srv/k", "i": "/srv/i"})
    assert (found.boot, found.seed) == (machine.Boot("/srv/k", "/srv/i", "quiet"), "tar")
    for bad in (text, '{"seed": "floppy"}', "[]", "{"):
        with pytest.raises(CloudInvalidError):
            catalogue.described("debian-12.qcow2", bad, {})


def test_filters() -> None:
    rules = (
        FirewallRule("inbound", "tcp", 22, 22, "10.0.0.0/8"),
        FirewallRule("outbound", "all", -1, -1, "0.0.0.0/0"),
        FirewallRule("inbound", "icmp", -1, -1, "0.0.0.0/0"),
    )
    found = parsed(filters.group_filter("mcisd-g", "id", filters.checked(rules))).findall("rule")
    assert [(rule.get("direction"), rule[0].tag, dict(rule[0].attrib)) for rule in found] == [
        ("in", "tcp", {"srcipaddr": "10.0.0.0", "srcipmask": "8", "dstportstart": "22", "dstportend": "22"}),
        ("out", "all", {}),
        ("in", "icmp", {}),
    ]
    vm = parsed(filters.vm_filter("mcisd-v", "id", ["a", "b"]))
    assert [ref.get("filter") for ref in vm.findall("filterref")] == ["a", "b"]
    assert [rule.get("action") for rule in vm.findall("rule")] == ["accept", "drop", "drop"]


@pytest.mark.parametrize(
    "rule",
    [
        FirewallRule("sideways", "tcp", 1, 1, "0.0.0.0/0"),
        FirewallRule("inbound", "sctp", 1, 1, "0.0.0.0/0"),
        FirewallRule("inbound", "tcp", 1, 1, "everywhere"),
    ],
)
def test_rules_that_no_filter_can_say(rule: FirewallRule) -> None:
    with pytest.raises(CloudInvalidError):
        filters.checked((rule,))


def test_emulation_only_where_there_is_nothing_better() -> None:
    def host(*types: str) -> str:
        arch = node("arch", *(node("domain", type_=kind) for kind in types), name="x86_64")
        return text_of(node("capabilities", node("guest", arch)))

    assert building.best_type(host("qemu", "kvm"), "x86_64") == "kvm"
    assert building.best_type(host("qemu"), "x86_64") == "qemu"
    with pytest.raises(CloudInvalidError):
        building.best_type(host("qemu"), "arm64")


@pytest.mark.parametrize("kind", ["qemu", "kvm", "test"])
def test_definition_of_a_vm(kind: str) -> None:
    item_id = "12345678-1234-5678-1234-567812345678"
    plan = machine.Plan(
        item_id, "web-1", SpecInfo("1-1", "1-1", 1, 1024), "/d&<'.qcow2", "/s", "vdb", "net", "52:54:00:00:00:01",
        machine.Boot("/k", "/i", "root=/dev/vda"), kind, "filter", "/c.log", "unsafe",
    )  # fmt: skip
    root = parsed(machine.vm_definition(plan, new_card(VM, "web\n1", {}, "inst", "tok", {})))
    assert root.get("type") == kind
    assert root.findtext("title") == "mcisd: web 1"
    source = root.find("devices/disk/source")
    assert source is not None
    assert source.get("file") == "/d&<'.qcow2"
    assert (root.find("features/tcg") is not None) == (kind == "qemu")
    assert (root.find("cpu") is not None) == (kind == "kvm")
    assert (root.findtext("os/kernel") == "/k") == (kind != "test")
