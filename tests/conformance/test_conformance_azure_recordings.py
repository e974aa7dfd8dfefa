"""Our stub of Azure, held to recorded traffic of the true one: the same requests, and answers of the same shape.

The recordings are of 2020. What the driver asks and they do not have (public addresses, security groups, keys,
markers, the list of states, boot diagnostics, hibernation, prices, tokens, all refusals but one) is our reading of the
documentation.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from mcisd.drivers.azure.access import operation
from mcisd.drivers.azure.catalogue import spec_of
from mcisd.drivers.azure.prices import Prices
from tests.clouds.azure import compute
from tests.clouds.azure.cassettes import Interaction, fetch, recording
from tests.clouds.azure.replay import Replay, compare
from tests.clouds.azure.stub import AzureStub

pytestmark = pytest.mark.timeout(300)  # the first run downloads
VM = "test_mgmt_compute.test_virtual_machines_operations"
RECORDINGS = [(VM, 99), ("test_mgmt_managed_disks.test_create_vm_implicit_md", 13)]
RECORDINGS += [("test_mgmt_compute.test_virtual_machine_capture", 20), ("test_cli_mgmt_compute.test_compute", 3)]
"""Name, and the last interaction that is like anything the driver does."""
DRIVEN = {
    "PUT virtualNetworks/{name}",
    "GET virtualNetworks/{name}",
    "GET virtualNetworks/{name}/subnets/{name}",
    "PUT networkInterfaces/{name}",
    "GET networkInterfaces/{name}",
    "PUT virtualMachines/{name}",
    "GET virtualMachines/{name}",
    "GET virtualMachines",
    "DELETE virtualMachines/{name}",
    "POST virtualMachines/{name}/deallocate",
    "POST virtualMachines/{name}/start",
    "POST virtualMachines/{name}/restart",
    "POST virtualMachines/{name}/powerOff",
    "GET locations/{name}/operations/{name}",
}
MEANT = {
    "PUT virtualMachines/{name}: here only: properties.timeCreated": "newer versions tell it, and the driver reads it",
    "GET virtualMachines/{name}: here only: properties.timeCreated": "newer versions tell it, and the driver reads it",
    "GET virtualMachines: here only: value[].properties.timeCreated": "newer versions tell it, and the driver reads it",
}
"""Difference → why it is meant."""


@dataclass
class Bench:
    stub: AzureStub
    replay: Replay


@pytest.fixture(scope="session", autouse=True)
def archive() -> None:
    fetch()


@asynccontextmanager
async def fresh_bench() -> AsyncIterator[Bench]:
    async with AzureStub() as stub:
        trust = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=stub.ca_file))
        async with aiohttp.ClientSession(connector=trust) as client:
            yield Bench(stub, Replay(stub, client))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with fresh_bench() as made:
        yield made


async def play(bench: Bench, name: str, last: int) -> list[str]:
    """All differences of one recording."""
    found: list[str] = []
    for interaction in recording(name):
        asked = operation(interaction.method, interaction.path.partition("?")[0])
        if interaction.number > last or asked not in DRIVEN or "Microsoft.Storage" in interaction.path:
            continue
        bench.stub.arm.groups.setdefault(interaction.path.split("/")[4].lower(), {})
        found += await bench.replay.send(interaction)
    return found


async def test_the_stub_answers_as_azure_did() -> None:
    found: set[str] = set()
    seen: dict[str, int] = {}
    for name, last in RECORDINGS:
        async with fresh_bench() as bench:
            found |= set(await play(bench, name, last))
            seen |= {key: count + seen.get(key, 0) for key, count in bench.replay.seen.items()}
    assert sorted(found) == sorted(MEANT)
    assert seen.keys() == DRIVEN
    assert sum(seen.values()) > 60


def one(name: str, ending: str) -> Interaction:
    """The first interaction whose path ends so."""
    return next(i for i in recording(name) if i.path.partition("?")[0].endswith(ending))


async def test_instance_view_alone(bench: Bench) -> None:
    """Recorded of a Windows VM; what an agent tells besides is not compared."""
    await play(bench, VM, 15)
    (machine,) = (item for item in bench.stub.arm.items.values() if item.kind == compute.MACHINES.lower())
    machine.facts["provisioningState"] = "Updating"  # as it was when that was recorded
    theirs = one("test_cli_mgmt_compute.test_compute", "/instanceView").body
    ours = compute.view(machine)
    assert [s["code"].partition("/")[0] for s in theirs["statuses"]] == [
        s["code"].partition("/")[0] for s in ours["statuses"]
    ]
    kept = {"statuses": theirs["statuses"], "disks": theirs["disks"], "hyperVGeneration": theirs["hyperVGeneration"]}
    assert list(compare("", kept, {name: ours[name] for name in kept})) == []


async def ask(bench: Bench, path: str) -> tuple[int, object]:
    url = f"{bench.stub.url}/subscriptions/{bench.stub.arm.subscription}{path}"
    async with bench.replay.client.get(url, headers={"Authorization": "Bearer replay"}) as answer:
        return answer.status, await answer.json()


async def test_lists_of_the_catalogue(bench: Bench) -> None:
    compute_path = "/providers/Microsoft.Compute"
    usages = one("test_mgmt_compute.test_usage", "/usages")
    _, ours = await ask(bench, f"{compute_path}/locations/koreacentral/usages?api-version=2019-12-01")
    assert list(compare("", usages.body, ours)) == []
    images = "test_mgmt_compute.test_vm_images"
    source = "publishers/Canonical/artifacttypes/vmimage/offers/ubuntu-24_04-lts/skus/server/versions"
    _, ours = await ask(bench, f"{compute_path}/locations/koreacentral/{source}?api-version=2019-12-01")
    assert list(compare("", one(images, "/versions").body, ours)) == []
    _, ours = await ask(bench, f"{compute_path}/locations/koreacentral/{source}/24.04.202511130?api-version=2019-12-01")
    differences = list(compare("", one(images, "/versions/4.2.2").body, ours))
    old = ["automaticOSUpgradeProperties", "disallowed", "plan", "replicaType"]
    newer = ["here only: properties.architecture"]
    assert sorted(differences) == newer + [f"there only: properties.{name}" for name in old]


async def test_a_group_that_is_missing(bench: Bench) -> None:
    recorded = one("test_mgmt_managed_disks.test_list_disks_fake", "/fakename/providers/Microsoft.Compute/disks")
    status, ours = await ask(bench, "/resourceGroups/fakename/providers/Microsoft.Compute/disks?api-version=2019-11-01")
    assert (status, ours) == (recorded.status, recorded.body)


async def test_the_recorded_sizes(bench: Bench) -> None:
    """The stub's have the recorded shape; and the driver reads every one of the thousands that Azure listed."""
    (recorded,) = recording("test_mgmt_compute.test_resources_skus")
    rows = [row for row in recorded.body["value"] if row["resourceType"] == "virtualMachines"]
    _, ours = await ask(
        bench, "/providers/Microsoft.Compute/skus?api-version=2019-04-01&$filter=location eq 'koreacentral'"
    )
    assert isinstance(ours, dict)
    differences = set(compare("", rows[0], ours["value"][0]))
    assert differences <= {"there only: locationInfo[].zoneDetails"}
    assert len(rows) > 3000
    places = {row["locations"][0].lower() for row in rows}
    seen = 0
    for region in places:
        specs = [spec_of(row, region, Prices()) for row in rows if row["locations"][0].lower() == region]
        seen += sum(1 for spec in specs if spec is not None and spec.vcpus >= 1 and spec.memory_mib >= 512)
    assert seen > 3000
