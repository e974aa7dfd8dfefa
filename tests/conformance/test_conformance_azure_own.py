"""What the driver for Azure does beyond the common rules: late failures, billing, markers, role, credentials."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from mcisd.drivers.azure.access import PERMISSIONS, permission
from mcisd.drivers.azure.driver import AzureConnection
from mcisd.drivers.azure.names import sibling
from mcisd.drivers.azure.translate import ENDED
from mcisd.drivers.base import HANDLERS
from mcisd.drivers.gated import methods
from mcisd.drivers.wire import heard
from mcisd.model.cloud import CloudVmState, ConnectionSpec, OwnedInfo, VmRequest
from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudThrottledError,
    CloudTimeoutError,
    CloudTransientError,
    CloudUnsupportedError,
)
from tests.clouds.azure.bench import AzureBench, azure_bench
from tests.conformance.driver_bench import Trouble, fresh

State = CloudVmState


@pytest.fixture
async def bench() -> AsyncIterator[AzureBench]:
    async with azure_bench() as made:
        yield made


async def opened(bench: AzureBench) -> AzureConnection:
    connection = await bench.open()
    assert isinstance(connection, AzureConnection)
    return connection


async def caught(work: Callable[[], Awaitable[object]]) -> CloudError:
    with pytest.raises(CloudError) as raised:
        await work()
    return raised.value


def asked(bench: AzureBench, mark: str) -> Counter[str]:
    """Requests whose path holds ``mark``, by method."""
    return Counter(method for method, path in bench.stub.seen if mark in path)


async def test_a_creation_that_fails_later(bench: AzureBench) -> None:
    """Azure accepts the VM and finds no machine for it afterwards: the state says so, with Azure's reason."""
    connection = await opened(bench)
    bench.stub.arm.fail_next = ("AllocationFailed", "We do not have sufficient capacity.")
    vm = await connection.start_vm(bench.vm_request(await bench.furnish(connection)))
    failed = await bench.reach(connection, vm.id, State.FAILED)
    assert failed.reason == "AllocationFailed: We do not have sufficient capacity."
    (row,) = await connection.list_vm_status()
    assert (row.state, row.reason) == (State.FAILED, failed.reason)
    await connection.terminate_vm(vm.id)
    await bench.ended(connection, vm.id)


async def test_an_operation_that_fails_later(bench: AzureBench) -> None:
    """A network's operation reports its failure in its own body, with status 200."""
    connection = await opened(bench)
    await bench.network(connection)
    begin = bench.stub.arm.begin

    def broken(provider: str, finish: Callable[[], None], item: object = None) -> object:
        operation = begin(provider, finish)
        operation.error = {"code": "AllocationFailed", "message": "Nothing left."}
        return operation

    bench.stub.arm.begin = broken  # type: ignore[method-assign, assignment]
    error = await caught(lambda: bench.network(connection))
    bench.stub.arm.begin = begin  # type: ignore[method-assign]
    assert isinstance(error, CloudCapacityError)
    assert "Nothing left." in error.message


async def test_an_operation_that_takes_too_long(bench: AzureBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait has a bound, and the next try goes on with what is there."""
    connection = await opened(bench)
    await bench.network(connection)
    bench.stub.arm.delays["Microsoft.Network"] = 0.3
    monkeypatch.setattr("mcisd.drivers.azure.resources.WAIT", 0.05)
    assert isinstance(await caught(lambda: bench.network(connection, "slow")), CloudTimeoutError)
    monkeypatch.undo()
    made = await bench.network(connection, "slow")
    assert [n.id for n in await connection.list_networks() if n.id == made.id] == [made.id]


async def test_suspended_means_deallocated(bench: AzureBench) -> None:
    """Azure charges for a VM that is only powered off."""
    connection = await opened(bench)
    vm = await bench.running(connection)
    (item,) = (item for item in bench.stub.arm.items.values() if item.name == vm.id)
    item.power = "stopped"  # as after `poweroff` inside
    assert (await connection.get_vm(vm.id)).state is State.STOPPED
    await connection.suspend_vm(vm.id)

    async def power() -> str:
        await connection.list_vm_status()
        return item.power

    await bench.eventually(power, lambda found: found == "deallocated", "deallocated")
    assert asked(bench, "/powerOff") == {}
    assert asked(bench, "/deallocate") == {"POST": 1}


async def test_hibernation_is_asked_for_beforehand(bench: AzureBench) -> None:
    info = {**bench.spec.region_info, "hibernation": "false"}
    bench.spec = replace(bench.spec, region_info=info)
    connection = await opened(bench)
    vm = await bench.running(connection)
    error = await caught(lambda: connection.hibernate_vm(vm.id))
    assert isinstance(error, CloudUnsupportedError)
    assert error.remedy is not None
    assert "hibernation=true" in error.remedy


async def test_a_refused_vm_leaves_nothing(bench: AzureBench) -> None:
    connection = await opened(bench)
    request = bench.vm_request(await bench.furnish(connection))
    before = {item.id for item in await connection.list_owned()}
    async with bench.trouble(Trouble.QUOTA):
        await caught(lambda: connection.start_vm(request))
    assert {item.id for item in await connection.list_owned()} == before


async def test_two_daemons_ask_at_once(bench: AzureBench) -> None:
    """Neither knows of the other's request; Azure keeps the second from changing the first one's VM."""
    one, two = await opened(bench), await opened(bench)
    request = bench.vm_request(await bench.furnish(one))
    made = await asyncio.gather(*(c.start_vm(request) for c in (one, two)), return_exceptions=True)
    assert all(not isinstance(found, BaseException) or getattr(found, "retriable", False) for found in made)
    assert {vm.id for vm in await two.list_vms()} == {(await one.start_vm(request)).id}


async def test_markers_end_after_a_day(bench: AzureBench) -> None:
    connection = await opened(bench)
    vm = await bench.running(connection)
    await connection.terminate_vm(vm.id)
    await bench.ended(connection, vm.id)
    (marker,) = (item for item in bench.stub.arm.items.values() if item.name == sibling(vm.id, "gone"))
    assert marker.name not in {item.id for item in await connection.list_owned()}
    marker.body["tags"][ENDED] = "2020-01-01T00:00:00+00:00"
    (left,) = [item for item in await connection.list_owned() if item.kind == "marker"]
    await connection.remove_owned(left)
    assert bench.stub.arm.find(marker.id) is None


async def test_strangers_in_our_group_are_left_alone(bench: AzureBench) -> None:
    connection = await opened(bench)
    error = await caught(lambda: connection.remove_owned(OwnedInfo("Microsoft.Sql/servers", "accounts-db")))
    assert isinstance(error, CloudInvalidError)


async def test_pages(bench: AzureBench) -> None:
    """States come page by page, and nothing is asked per VM."""
    connection = await opened(bench)
    request = bench.vm_request(await bench.furnish(connection))
    await asyncio.gather(*(connection.start_vm(replace(request, token=fresh("tok"))) for _ in range(7)))
    bench.stub.arm.page = 3
    heard_now: list[str] = []
    with heard(heard_now.append):
        rows = await connection.list_vm_status()
    assert len(rows) == 7
    assert heard_now == ["GET virtualMachines"] * 3
    assert len(await connection.list_vms()) == 7
    assert len({row.token for row in rows}) == 7


async def test_nothing_is_tried_again_by_the_library(bench: AzureBench) -> None:
    """One request for one call, and Azure's own pause is told to the gate."""
    connection = await opened(bench)
    await bench.network(connection)
    before = len(bench.stub.seen)
    async with bench.trouble(Trouble.THROTTLED, 5):
        error = await caught(lambda: bench.network(connection))
    assert len(bench.stub.seen) == before + 1
    assert isinstance(error, CloudThrottledError)
    assert error.retry_after == 7.0


async def test_an_answer_of_somebody_else(bench: AzureBench) -> None:
    """A proxy that answers in Azure's place, with status 200 and no JSON."""
    connection = await opened(bench)
    vm = await bench.running(connection)
    async with bench.stub.bring("a page of somebody else"):
        for work in (connection.check, connection.list_networks, connection.list_vm_status, connection.list_images):
            assert isinstance(await caught(work), CloudTransientError)
        assert isinstance(await caught(lambda: connection.get_vm(vm.id)), CloudTransientError)
        assert isinstance(await caught(lambda: connection.suspend_vm(vm.id)), CloudError)
        assert isinstance(await caught(lambda: bench.network(connection)), CloudTransientError)


async def test_catalogue_with_prices(bench: AzureBench) -> None:
    connection = await opened(bench)
    specs = {spec.id: spec for spec in await connection.list_specs()}
    small, arm, gpu = specs["Standard_B1s"], specs["Standard_D2ps_v5"], specs["Standard_NC4as_T4_v3"]
    assert (small.vcpus, small.memory_mib, small.disk_gib, small.price) == (1, 1024, 4, 0.0124)
    age = datetime.now(UTC).date() - date.fromisoformat(small.price_date or "")
    assert timedelta(0) <= age <= timedelta(days=1)
    assert (arm.architecture, gpu.gpus, gpu.price, gpu.price_date) == ("arm64", 1, None, None)
    assert "Standard_M416ms_v2" not in specs, "the subscription may not use it"
    asks = len(bench.stub.seen)
    await connection.get_spec("Standard_B1s")
    assert len(bench.stub.seen) == asks, "the catalogue is kept"


async def test_newest_image(bench: AzureBench) -> None:
    connection = await opened(bench)
    image = await connection.get_image("ubuntu-24.04")
    assert image.id == "Canonical:ubuntu-24_04-lts:server:24.04.202511130"
    assert (await connection.get_image("debian-12:arm64")).architecture == "arm64"


async def test_console_is_the_end_of_the_log(bench: AzureBench) -> None:
    connection = await opened(bench)
    vm = await bench.running(connection)
    assert vm.id in await connection.console_output(vm.id)


async def check_error(bench: AzureBench, spec: ConnectionSpec) -> CloudError:
    async def work() -> None:
        connection = await bench.connect(spec, bench.installation)
        bench.opened.append(connection)
        await connection.check()

    return await caught(work)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("client_secret", "not-the-secret-0", "secret is wrong"),
        ("client_id", "11111111-2222-3333-4444-555555555555", "no application"),
        ("tenant_id", "11111111-2222-3333-4444-555555555555", "tenant is unknown"),
        ("tenant_id", "not a tenant!", "not a tenant's id"),
        ("subscription_id", "11111111-2222-3333-4444-555555555555", "subscription is unknown"),
        ("subscription_id", "mine", "not a UUID"),
    ],
)
async def test_check_says_what_is_wrong(bench: AzureBench, name: str, value: str, words: str) -> None:
    error = await check_error(bench, replace(bench.spec, credential={**bench.spec.credential, name: value}))
    assert isinstance(error, CloudAuthError)
    assert words in error.message
    assert error.field == name
    assert error.remedy
    assert "not-the-secret-0" not in f"{error} {error.remedy} {error.__cause__}"


async def test_check_names_the_missing_permission(bench: AzureBench) -> None:
    connection = await opened(bench)
    request = bench.vm_request(await bench.furnish(connection))
    async with bench.trouble(Trouble.NO_PERMISSION):
        error = await caught(lambda: connection.start_vm(request))
    assert "Microsoft.Network/publicIPAddresses/write" in error.message
    assert "docs/clouds/azure.md" in (error.remedy or "")


async def test_check_names_the_region(bench: AzureBench) -> None:
    error = await check_error(bench, replace(bench.spec, region="atlantis"))
    assert isinstance(error, CloudInvalidError)
    assert error.field == "region"
    assert "koreacentral" in (error.remedy or "")


async def test_the_price_list_may_be_away(bench: AzureBench, monkeypatch: pytest.MonkeyPatch) -> None:
    info = {**bench.spec.region_info, "prices": "https://no-such-host.invalid"}
    connection = await bench.connect(replace(bench.spec, region_info=info), bench.installation)
    assert isinstance(connection, AzureConnection)
    bench.opened.append(connection)
    assert {spec.price for spec in await connection.list_specs()} == {None}


async def test_managed_identity(bench: AzureBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a VM with an identity; the address of its token service is changed to the stub's, as pods do."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", bench.stub.url)
    credential = {"subscription_id": bench.stub.arm.subscription, "managed_identity": "true"}
    connection = await bench.connect(replace(bench.spec, credential=credential), bench.installation)
    bench.opened.append(connection)
    await connection.check()
    assert asked(bench, "/metadata/identity/oauth2/token")["GET"] >= 1


async def test_no_managed_identity_here(bench: AzureBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")
    credential = {"subscription_id": bench.stub.arm.subscription, "managed_identity": "true"}
    error = await check_error(bench, replace(bench.spec, credential=credential))
    assert isinstance(error, CloudAuthError | CloudTransientError)
    assert error.message


async def test_the_role_is_what_the_driver_uses(bench: AzureBench) -> None:
    """Every method once: the permissions of the requests are those of the documented role, no more and no fewer."""
    connection = await opened(bench)
    await _use_everything(bench, connection)
    used = {permission(method, path) for method, path in bench.stub.seen} - {None}
    assert used == PERMISSIONS


async def _use_everything(bench: AzureBench, connection: AzureConnection) -> None:
    done: set[str] = set()

    async def use(name: str, *args: object) -> object:
        done.add(name)
        return await getattr(connection, name)(*args)

    for name in ("check", "list_regions", "list_images", "list_specs", "list_quotas"):
        await use(name)
    await use("get_image", bench.image_id)
    await use("get_spec", bench.spec_id)
    furniture = await bench.furnish(connection)
    request: VmRequest = replace(bench.vm_request(furniture), public_key="")
    vm = await connection.start_vm(request)
    await bench.reach(connection, vm.id, State.RUNNING)
    for name in ("list_networks", "list_security_groups", "list_key_pairs", "list_vms", "list_vm_status", "list_owned"):
        await use(name)
    for name, end in (("reboot_vm", State.RUNNING), ("suspend_vm", State.STOPPED), ("resume_vm", State.RUNNING)):
        await use(name, vm.id)
        await bench.reach(connection, vm.id, end)
    await use("hibernate_vm", vm.id)
    await use("console_output", vm.id)
    (orphan,) = (item for item in bench.stub.arm.items.values() if item.name == sibling(vm.id, "disk"))
    await use("terminate_vm", vm.id)
    await bench.ended(connection, vm.id)
    bench.stub.arm.add(orphan)
    for kind, prefix in (("disk", "disk"), ("nic", "nic"), ("public-ip", "ip"), ("marker", "gone")):
        await use("remove_owned", OwnedInfo(kind, sibling(vm.id, prefix)))
    await use("delete_security_group", furniture.group.id)
    await use("delete_network", furniture.network.id)
    await use("delete_key_pair", furniture.key.id)
    used = done | {"create_network", "create_security_group", "create_key_pair", "start_vm", "get_vm"}
    assert used - {"check"} == {api for name, p in HANDLERS.items() if name != "Crash" for api in methods(p)}


async def test_in_use_is_a_conflict(bench: AzureBench) -> None:
    connection = await opened(bench)
    vm = await bench.running(connection)
    for kind, prefix in (("nic", "nic"), ("public-ip", "ip"), ("disk", "disk")):
        error = await caught(lambda k=kind, p=prefix: connection.remove_owned(OwnedInfo(k, sibling(vm.id, p))))  # type: ignore[misc]
        assert isinstance(error, CloudConflictError)
