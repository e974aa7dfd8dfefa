"""What is the Google driver's own: forms of credentials, clear sentences, prices, paging, the project's metadata.

In: the stub of the driver suite, which holds requests and answers to Google's description of its API. Out: tests.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from mcisd.drivers.gcp.driver import GcpConnection
from mcisd.drivers.wire import heard
from mcisd.model.cloud import CloudVmState, FirewallRule, SecurityGroupRequest
from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudThrottledError,
    CloudTransientError,
)
from tests.clouds.gcp.bench import GcpBench, bench_on
from tests.clouds.gcp.faces import Refusal
from tests.clouds.gcp.server import Stub
from tests.conformance.driver_bench import SSH, Trouble, fresh

DISABLED = Refusal(403, "accessNotConfigured", "Compute Engine API has not been used in project 987654321 before.")


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with Stub() as running:
        yield running


@pytest.fixture
async def bench(stub: Stub) -> AsyncIterator[GcpBench]:
    bench = bench_on(stub)
    yield bench
    stub.refuse.clear()
    await bench.clean()
    misfits, stub.misfits = stub.misfits, []
    assert misfits == []


async def opened(bench: GcpBench) -> GcpConnection:
    connection = await bench.open()
    assert isinstance(connection, GcpConnection)
    return connection


async def attempt(bench: GcpBench, **credential: str) -> None:
    """Connect with another credential, and check."""
    connection = await bench.driver.connect(replace(bench.spec, credential=credential), bench.installation)
    bench.opened.append(connection)
    await connection.check()


def write_key(bench: GcpBench, folder: Path) -> Path:
    path = folder / "key.json"
    path.write_text(bench.spec.credential["service_account_json"])
    return path


async def test_key_as_a_file(bench: GcpBench, tmp_path: Path) -> None:
    await attempt(bench, service_account_file=str(write_key(bench, tmp_path)))


async def test_access_token(bench: GcpBench, stub: Stub) -> None:
    await (await bench.open()).check()
    await attempt(bench, access_token=next(iter(stub.tokens.given)), project=bench.project.name)


async def test_application_default_credentials(
    bench: GcpBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key(bench, tmp_path)))
    await attempt(bench)


async def test_no_credentials_at_all(bench: GcpBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(CloudAuthError) as caught:
        await attempt(bench)
    assert "gcloud auth application-default login" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("credential", "field"),
    [
        ({"service_account_json": "not a key"}, "service_account_json"),
        ({"service_account_json": "{}"}, "service_account_json"),
        ({"service_account_json": "[1]"}, "service_account_json"),
        ({"service_account_file": "/nowhere/key.json"}, "service_account_file"),
        ({"access_token": "ya29.some"}, "project"),
    ],
)
async def test_unusable_credentials(bench: GcpBench, credential: dict[str, str], field: str) -> None:
    with pytest.raises(CloudAuthError) as caught:
        await attempt(bench, **credential)
    assert caught.value.field == field
    assert caught.value.remedy


async def test_wrong_token(bench: GcpBench) -> None:
    with pytest.raises(CloudAuthError) as caught:
        await attempt(bench, access_token="ya29.wrong-one", project=bench.project.name)
    assert "access token" in caught.value.message
    assert "wrong-one" not in str(caught.value)


async def test_unknown_project(bench: GcpBench) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        await attempt(bench, **bench.spec.credential, project="mcisd-no-such-project")
    assert "mcisd-no-such-project" in caught.value.message


async def test_api_not_enabled(bench: GcpBench, stub: Stub) -> None:
    stub.refuse["regions.get"] = DISABLED
    with pytest.raises(CloudAuthError) as caught:
        await attempt(bench, **bench.spec.credential)
    assert "gcloud services enable" in str(caught.value.remedy)


async def test_a_token_that_was_taken_back_is_replaced(bench: GcpBench, stub: Stub) -> None:
    connection = await opened(bench)
    await connection.check()
    stub.tokens.given.clear()
    with pytest.raises(CloudAuthError):
        await connection.check()
    await connection.check()


async def test_a_broken_token_server_is_asked_once(bench: GcpBench, stub: Stub) -> None:
    connection, sent = await opened(bench), list[str]()
    stub.tokens.broken = True
    try:
        with heard(sent.append), pytest.raises(CloudTransientError):
            await connection.check()
    finally:
        stub.tokens.broken = False
    assert sent == ["oauth2.token"]
    await connection.check()


async def test_unknown_zone_of_the_connection(bench: GcpBench) -> None:
    connection = await bench.driver.connect(replace(bench.spec, zone="us-east1-b"), bench.installation)
    bench.opened.append(connection)
    with pytest.raises(CloudInvalidError) as caught:
        await connection.check()
    assert caught.value.field == "zone"


async def test_prices_are_read_once_a_day(bench: GcpBench, stub: Stub) -> None:
    connection = await opened(bench)
    specs = {spec.id: spec for spec in await connection.list_specs()}
    assert specs["e2-standard-2"].price == pytest.approx(2 * 0.028 + 8 * 0.00375)
    assert specs["e2-standard-2"].price_date == datetime.now(UTC).date().isoformat()
    assert (specs["n2-standard-4"].price, specs["n2-standard-4"].price_date) == (None, None)
    assert (specs["g2-standard-4"].gpus, specs["t2a-standard-1"].architecture) == (1, "arm64")
    pages = stub.seen.count("services.skus.list")
    await (await opened(bench)).list_specs()
    assert stub.seen.count("services.skus.list") == pages > 1


async def test_without_a_price_list_there_are_specs_without_prices(bench: GcpBench, stub: Stub) -> None:
    stub.refuse["services.skus.list"] = Refusal(403, "accessNotConfigured", "Cloud Billing API is disabled.")
    connection = await opened(bench)
    assert all(spec.price is None for spec in await connection.list_specs())
    asked = stub.seen.count("services.skus.list")
    await connection.get_spec("e2-micro")
    assert stub.seen.count("services.skus.list") == asked, "not again today"


async def test_all_pages_of_a_list(bench: GcpBench) -> None:
    connection, sent = await opened(bench), list[str]()
    bench.project.page_size = 2
    request = bench.vm_request(await bench.furnish(connection))
    made = await asyncio.gather(*(connection.start_vm(replace(request, token=fresh("tok"))) for _ in range(5)))
    with heard(sent.append):
        rows = await connection.list_vm_status()
    assert {row.id for row in rows} == {vm.id for vm in made}
    assert sent == ["instances.aggregatedList"] * 3
    assert len(await connection.list_specs()) == 10


async def test_a_zone_out_of_reach_is_not_taken_for_empty(bench: GcpBench) -> None:
    connection = await opened(bench)
    await bench.running(connection)
    bench.project.unreachable = {"us-east1-b"}
    assert len(await connection.list_vm_status()) == 1
    bench.project.unreachable = {f"{bench.spec.region}-a"}
    try:
        with pytest.raises(CloudTransientError):
            await connection.list_vm_status()
    finally:
        bench.project.unreachable = set()


async def test_another_region_shows_nothing_of_this_one(bench: GcpBench) -> None:
    connection = await opened(bench)
    await bench.running(connection)
    spec = replace(bench.spec, region="us-central1")
    elsewhere = await bench.driver.connect(spec, bench.installation)
    bench.opened.append(elsewhere)
    assert isinstance(elsewhere, GcpConnection)
    assert await elsewhere.list_owned() == []
    vm = (await connection.list_vms())[0]
    with pytest.raises(CloudNotFoundError):
        await elsewhere.get_vm(vm.id)


async def test_two_who_write_the_projects_metadata(bench: GcpBench) -> None:
    foreign = {"key": "ssh-keys", "value": "somebody:ssh-ed25519 AAAA somebody"}
    bench.stub.run(lambda: bench.project.metadata["items"].append(foreign))
    first, second = await opened(bench), await opened(bench)
    made = await asyncio.gather(*(bench.key(one) for one in (first, second) * 4))
    assert {key.id for key in await first.list_key_pairs()} == {key.id for key in made}
    await asyncio.gather(*(one.delete_key_pair(key.id) for one, key in zip((first, second) * 4, made, strict=True)))
    assert bench.project.metadata["items"] == [foreign]


async def test_a_start_that_found_no_room_can_be_tried_again(bench: GcpBench) -> None:
    """Google answers a known request id with the operation of that time, a failed one too."""
    connection = await opened(bench)
    request = bench.vm_request(await bench.furnish(connection))
    for _ in range(2):
        async with bench.trouble(Trouble.NO_CAPACITY):
            with pytest.raises(CloudCapacityError) as caught:
                await connection.start_vm(request)
    assert bench.spec.region in caught.value.message
    vm = await connection.start_vm(request)
    await bench.reach(connection, vm.id, CloudVmState.RUNNING)


async def test_a_start_that_finds_no_room_late(bench: GcpBench) -> None:
    """Accepted, and still under way at the last look: the VM is pending first, failed then, and gone at the end."""
    bench.spec.region_info["operation_pauses"] = "0"
    connection = await opened(bench)
    request = bench.vm_request(await bench.furnish(connection))
    async with bench.trouble(Trouble.NO_CAPACITY):
        vm = await connection.start_vm(request)
        assert vm.state is CloudVmState.PENDING
        failed = await bench.reach(connection, vm.id, CloudVmState.FAILED)
    assert "enough resources" in failed.reason
    assert (failed.token, failed.name) == (request.token, request.name)
    assert await connection.list_vm_status() == []
    await connection.terminate_vm(vm.id)
    with pytest.raises(CloudNotFoundError):
        await connection.get_vm(vm.id)


async def test_a_network_deleted_and_asked_for_again(bench: GcpBench) -> None:
    connection = await opened(bench)
    for _ in range(3):
        network = await bench.network(connection, "the-same-token")
        assert [found.id for found in await connection.list_networks()] == [network.id]
        await connection.delete_network(network.id)


async def test_outbound_rules(bench: GcpBench) -> None:
    connection = await opened(bench)
    network = await bench.network(connection)
    out = FirewallRule("outbound", "tcp", 443, 443, "0.0.0.0/0")
    await connection.create_security_group(SecurityGroupRequest(fresh("tok"), "sg", network.id, (SSH, out), {}))
    (found,) = await connection.list_security_groups()
    assert found.rules == (SSH, out)
    closed = [item for item in bench.project.firewalls.values() if "denied" in item]
    assert [item["disabled"] for item in closed] == [False]


async def test_tags_that_labels_do_not_take(bench: GcpBench) -> None:
    connection = await opened(bench)
    tags = {"Owner": "Ann & Bob <ops@example.com>", "purpose": "suite", "": "empty"}
    request = replace(bench.vm_request(await bench.furnish(connection)), tags=tags, token="Tok/" + "x" * 90)
    vm = await connection.start_vm(request)
    (row,) = await connection.list_vms()
    assert (row.token, row.tags.items() >= tags.items()) == (request.token, True)
    assert (await connection.start_vm(request)).id == vm.id


async def test_pause_that_google_asks_for(bench: GcpBench, stub: Stub) -> None:
    connection = await opened(bench)
    stub.refuse["regions.list"] = Refusal(429, "rateLimitExceeded", "Slow down", retry_after=7)
    with pytest.raises(CloudThrottledError) as caught:
        await connection.list_regions()
    assert caught.value.retry_after == 7


async def test_quota_names(bench: GcpBench) -> None:
    quotas = {quota.name: quota for quota in await (await opened(bench)).list_quotas()}
    assert (quotas["vms"].limit, quotas["vcpus"].limit) == (100, 200)
    assert {"public_addresses", "networks", "firewalls"} <= quotas.keys()


async def test_requests_per_vm_do_not_grow(bench: GcpBench) -> None:
    connection = await opened(bench)
    request = bench.vm_request(await bench.furnish(connection))
    await connection.start_vm(request)
    for many in (1, 10):
        sent: list[str] = []
        with heard(sent.append):
            await asyncio.gather(*(connection.start_vm(replace(request, token=fresh("tok"))) for _ in range(many)))
        counted = [name for name in sent if not name.startswith("poll ")]
        assert sorted(counted) == ["instances.get"] * many + ["instances.insert"] * many


async def test_many_that_start_at_once_learn_together(bench: GcpBench) -> None:
    request = bench.vm_request(await bench.furnish(await opened(bench)))
    fresh_one, sent = await opened(bench), list[str]()
    with heard(sent.append):
        await asyncio.gather(*(fresh_one.start_vm(replace(request, token=fresh("tok"))) for _ in range(8)))
    assert [sent.count(name) for name in ("oauth2.token", "regions.get", "projects.get", "firewalls.get")] == [1] * 4


async def test_unknown_security_group(bench: GcpBench) -> None:
    connection = await opened(bench)
    request = replace(bench.vm_request(await bench.furnish(connection)), security_group_ids=("no-such-group",))
    with pytest.raises(CloudNotFoundError):
        await connection.start_vm(request)


async def test_no_thread_is_left(bench: GcpBench) -> None:
    connection = await bench.driver.connect(replace(bench.spec, name="thready"), bench.installation)
    await connection.check()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("gcp-thready")]
    await connection.close()
    for _ in range(100):
        if not [thread for thread in threading.enumerate() if thread.name.startswith("gcp-thready")]:
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("a thread is left")
    with pytest.raises(CloudError):
        await connection.check()


async def test_the_stub_refuses_what_does_not_fit(bench: GcpBench, stub: Stub) -> None:
    connection = await opened(bench)
    network = await bench.network(connection)
    head = {"Authorization": f"Bearer {next(iter(stub.tokens.given))}"}
    root = f"{stub.url}/compute/v1/projects/{bench.project.name}"
    async with aiohttp.ClientSession(headers=head) as session:
        for path, body in (("global/netwerks", {}), ("global/networks", {"name": "n", "colour": "red"})):
            async with session.post(f"{root}/{path}", json=body) as answer:
                assert (answer.status, (await answer.json())["error"]["errors"][0]["reason"]) == (400, "misfit")
        item = bench.project.networks[bench.project.link(f"global/networks/{network.id}")]
        bench.stub.run(lambda: item.update(id="0x1"))
        async with session.get(f"{root}/global/networks/{network.id}") as answer:
            assert answer.status == 500
        bench.stub.run(lambda: item.update(id="1"))
    misfits, stub.misfits = stub.misfits, []
    assert [text.partition(":")[0] for text in misfits] == [
        f"POST /compute/v1/projects/{bench.project.name}/global/netwerks",
        "networks.insert",
        "answer of networks.get",
    ]
