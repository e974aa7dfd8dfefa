"""VMs, images, sizes and quotas between Google's words and ours."""

import asyncssh
import pytest

from mcisd.drivers.gcp import translate
from mcisd.drivers.gcp.images import image_link
from mcisd.drivers.gcp.names import Marks, dump
from mcisd.drivers.gcp.places import PLACES, place
from mcisd.drivers.images import ALIASES
from mcisd.model.cloud import CloudVmState, VmRequest
from mcisd.model.errors import CloudInvalidError, CloudNotFoundError
from tests.clouds.gcp.discovery import document

State = CloudVmState
KEY = asyncssh.generate_private_key("ssh-ed25519")
MARKS = Marks("inst", "us-east1", "Tok/1", "web", {"Owner": "Me"}, {"user": "ubuntu", "image": "ubuntu-24.04"})
PLACE = translate.Place("p", "us-east1-b", "web-1")


def request(spec: str) -> VmRequest:
    return VmRequest(
        "Tok/1", "web", "ubuntu-24.04", spec, "net", "net-0", ("sg",), "key", "ubuntu",
        KEY.export_private_key().decode(), KEY.export_public_key().decode(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "disk", "scheduling"),
    [
        ("e2-medium", "pd-balanced", None),
        ("c4-standard-2", "hyperdisk-balanced", None),
        ("n4-standard-2", "hyperdisk-balanced", None),
        ("g2-standard-4", "pd-balanced", {"onHostMaintenance": "TERMINATE"}),
    ],
)
def test_instance_fits_googles_description(spec: str, disk: str, scheduling: object) -> None:
    body = translate.instance_body(request(spec), PLACE, "projects/i/global/images/x", "us-east1", MARKS)
    assert document("compute.v1").value_misfits({"$ref": "Instance"}, body, "body", "compute.instances.insert") == []
    assert body["disks"][0]["initializeParams"]["diskType"].endswith(f"/{disk}")
    assert body["disks"][0]["autoDelete"] is True
    assert body.get("scheduling") == scheduling
    assert "serviceAccounts" not in body, "a VM gets no rights in the project"


def test_first_boot_in_both_forms_and_nobody_else_let_in() -> None:
    items = {item["key"]: item["value"] for item in translate.first_boot(request("e2-micro"), MARKS)}
    assert items["user-data"].startswith("#cloud-config\n")
    assert items["startup-script"].startswith("#!/bin/sh\n")
    assert items["block-project-ssh-keys"] == "TRUE"
    assert translate.instance_marks({"metadata": {"items": [{"key": "mcisd", "value": items["mcisd"]}]}}) == MARKS


@pytest.mark.parametrize("item", [{}, {"metadata": {}}, {"metadata": {"items": [{"key": "mcisd"}]}}])
def test_vms_of_others(item: dict[str, object]) -> None:
    assert translate.instance_marks(item) is None


def test_vm_as_shown() -> None:
    item = {
        "name": "web-1",
        "zone": "https://x/compute/v1/projects/p/zones/us-east1-b",
        "status": "STAGING",
        "statusMessage": "wait",
        "machineType": "https://x/zones/us-east1-b/machineTypes/e2-micro",
        "creationTimestamp": "2026-11-21T08:00:00.000-08:00",
        "networkInterfaces": [{"networkIP": "10.0.0.2", "network": "https://x/global/networks/net"}],
        "metadata": {"items": [{"key": "mcisd", "value": dump(MARKS)}]},
    }
    vm = translate.vm_info(item, MARKS)
    assert (vm.id, vm.name, vm.token, vm.state) == ("us-east1-b/web-1", "web", "Tok/1", State.PENDING)
    assert (vm.public_address, vm.private_address, vm.network_id) == ("", "10.0.0.2", "net")
    assert (vm.guest_user, vm.image_id, vm.spec_id) == ("ubuntu", "ubuntu-24.04", "e2-micro")
    assert vm.tags == {"Owner": "Me", "mcisd-installation": "inst"}
    assert vm.started_at == 1795276800.0
    assert vm.reason == "wait"


def test_every_state_of_google_has_one_of_ours() -> None:
    known = document("compute.v1").content["schemas"]["Instance"]["properties"]["status"]["enum"]
    assert set(known) - {"DEPROVISIONING"} <= translate.STATES.keys()
    assert translate.state({"status": "INVENTED_LATER"}) is State.PENDING


def test_every_alias_has_a_family() -> None:
    assert {alias for alias, _ in translate.IMAGE_PROJECTS} == set(ALIASES)


def test_image_links() -> None:
    assert image_link("debian-12:arm64", "p") == "projects/debian-cloud/global/images/family/debian-12-arm64"
    assert image_link("mine", "p") == "projects/p/global/images/mine"
    assert image_link("projects/q/global/images/family/f", "p") == "projects/q/global/images/family/f"
    for odd in ("", "../x", "projects/q/zones/z/disks/d", "A B", "x" * 300):
        with pytest.raises(CloudNotFoundError):
            image_link(odd, "p")
    with pytest.raises(CloudInvalidError):
        image_link("debian-12:abacus", "p")


def test_every_region_that_google_names_has_a_place() -> None:
    regions = {one["location"] for one in document("compute.v1").content["endpoints"]}
    assert regions <= PLACES.keys()
    new = place("asia-northwest9")
    assert new is not None
    assert "not known" in new.display
    assert place("moon-east1") is None


def test_quotas() -> None:
    found = translate.quotas(
        [{"metric": "CPUS", "limit": 24.0, "usage": 2.0}, {"metric": "SSD_TOTAL_GB", "limit": 500.0}]
    )
    assert [(quota.name, quota.limit, quota.used) for quota in found] == [("vcpus", 24, 2), ("ssd_total_gb", 500, 0)]
