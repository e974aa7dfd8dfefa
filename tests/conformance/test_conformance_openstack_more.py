"""What only OpenStack has: two controllers and no token of nova's, credentials, old versions, paging, leftovers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest

from mcisd.drivers.openstack import client, launch
from mcisd.drivers.openstack.driver import OpenStackConnection, OpenStackDriver
from mcisd.drivers.wire import heard
from mcisd.model.cloud import CloudVmState as State
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudError, CloudInvalidError, CloudQuotaError, CloudTransientError
from tests.clouds import openstack_rules
from tests.clouds.openstack import OpenStack
from tests.clouds.openstack_admin import EXTERNAL, PASSWORD, PROJECT, USER
from tests.clouds.openstack_bench import OpenStackBench, spec
from tests.clouds.openstack_config import REGION
from tests.clouds.openstack_front import Front, front, refusal
from tests.clouds.openstack_tls import tls_front
from tests.clouds.proxy import Rule, Seen
from tests.conformance.driver_bench import DriverBench, fresh
from tests.conformance.driver_suite import DriverSuite
from tests.conformance.driver_suite_base import Rules

pytestmark = pytest.mark.openstack
T = TypeVar("T")
LOGIN = {"username": USER, "password": PASSWORD, "project_name": PROJECT}


@pytest.fixture
async def cloud_front(openstack: OpenStack) -> AsyncIterator[Front]:
    async with front(openstack.plan) as made:
        yield made


@pytest.fixture
async def bench(openstack: OpenStack, cloud_front: Front) -> AsyncIterator[OpenStackBench]:
    bench = furnished(openstack, cloud_front)
    yield bench
    await bench.clean()


def furnished(openstack: OpenStack, cloud_front: Front, **info: str) -> OpenStackBench:
    """A bench that logs in with a password."""
    tenant = openstack.tenant
    return OpenStackBench(
        OpenStackDriver(), spec(cloud_front, LOGIN, **info), {"password": "not-the-right-one"}, tenant.image_id,
        tenant.spec_id, cloud=openstack, front=cloud_front, expired={}, tls="",
    )  # fmt: skip


@pytest.fixture
async def outside(openstack: OpenStack, cloud_front: Front) -> AsyncIterator[OpenStackBench]:
    """A bench whose networks have a router, and whose VMs have floating IPs."""
    bench = furnished(openstack, cloud_front, external_network=EXTERNAL)
    yield bench
    await bench.clean()


class TestBehindARouter(Rules):
    """Those rules of the suite that routers and floating IPs touch."""

    test_start_gives_what_was_asked = DriverSuite.test_start_gives_what_was_asked
    test_what_a_vm_uses_stays = DriverSuite.test_what_a_vm_uses_stays
    test_network_half_made = DriverSuite.test_network_half_made
    test_nothing_is_left = DriverSuite.test_nothing_is_left
    test_leftovers_are_removed = DriverSuite.test_leftovers_are_removed

    @pytest.fixture
    def bench(self, outside: OpenStackBench) -> DriverBench:
        return outside


async def opened(bench: OpenStackBench, spec: ConnectionSpec | None = None) -> OpenStackConnection:
    """A connection of a driver of its own: another controller, as far as the cloud can tell."""
    connection = await OpenStackDriver().connect(spec or bench.spec, bench.installation)
    bench.opened.append(connection)
    return connection


async def persistent(work: Callable[[], Awaitable[T]]) -> T:
    """What the gate does: try again on retriable errors."""
    async with asyncio.timeout(150):
        while True:
            try:
                return await work()
            except CloudError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(0.3)


async def test_two_controllers_make_one_of_each(outside: OpenStackBench) -> None:
    """They share nothing but the cloud and the token, and begin at the same moment."""
    bench = outside
    both = [await opened(bench) for _ in range(2)]
    for connection in both:
        await connection.check()  # both have their tokens, so that neither is ahead
    token = fresh("tok")
    networks = await asyncio.gather(*(persistent(partial(bench.network, c, token)) for c in both))
    assert networks[0].id == networks[1].id
    assert networks[0].subnet_ids == networks[1].subnet_ids
    groups = await asyncio.gather(*(persistent(partial(bench.group, c, networks[0].id, token)) for c in both))
    assert groups[0] == groups[1]
    furniture = await bench.furnish(both[0])
    request = bench.vm_request(furniture)
    vms = await asyncio.gather(*(persistent(partial(c.start_vm, request)) for c in both))
    assert vms[0].id == vms[1].id
    await bench.reach(both[0], vms[0].id, State.RUNNING)
    owned = await both[0].list_owned()
    assert [item.id for item in owned if item.kind == "vm"] == [vms[0].id]
    assert sorted(item.kind for item in owned if item.token == request.token) == ["nic", "public-ip", "vm"]
    assert sorted(item.kind for item in owned if item.token == token) == ["gateway", "network", "security-group"]


async def refused_once(bench: OpenStackBench, method: str, path: str, work: Callable[[], Awaitable[object]]) -> None:
    """``work`` is interrupted where it sends this request."""
    broken = refusal(500, {"NeutronError": {"type": "x", "message": "x", "detail": ""}})
    async with bench.front.rule(Rule(partial(_meets, method, path), reply=broken)):
        with pytest.raises(CloudTransientError):
            await work()


async def overtaken(
    bench: OpenStackBench,
    connection: OpenStackConnection,
    part: str,
    make: Callable[[OpenStackConnection], Awaitable[T]],
) -> None:
    """Another controller was interrupted where it makes this part. While ``connection`` goes on from there, the other
    comes back and is faster: told so, ``connection`` finds at its next try what the other made."""
    other = await opened(bench)
    await refused_once(bench, "POST", f"/{part}", lambda: make(other))
    post = connection._client.post
    made: list[object] = []

    async def late(service: str, path: str, *ids: str, body: Any) -> Any:
        if path == part and not made:
            made.append(await make(other))
        return await post(service, path, *ids, body=body)

    with mock.patch.object(connection._client, "post", late):
        with pytest.raises(CloudTransientError) as caught:
            await make(connection)
        assert "another controller" in caught.value.message
        assert await make(connection) == made[0]


@pytest.mark.parametrize("part", ["subnets", "routers"])
async def test_two_controllers_at_one_network(outside: OpenStackBench, part: str) -> None:
    connection, token = await opened(outside), fresh("tok")
    await overtaken(outside, connection, part, lambda one: outside.network(one, token))
    assert sorted(item.kind for item in await connection.list_owned()) == ["gateway", "network"]


async def test_two_controllers_at_one_group(bench: OpenStackBench) -> None:
    connection, token = await opened(bench), fresh("tok")
    network = await bench.network(connection)
    await overtaken(bench, connection, "security-group-rules", lambda one: bench.group(one, network.id, token))


async def test_a_router_without_a_leg_beside_one_that_has_it(outside: OpenStackBench) -> None:
    """What is left of a controller that died is not preferred for its age."""
    bench, token = outside, fresh("tok")
    connection = await opened(bench)
    await refused_once(bench, "PUT", "/add_router_interface", lambda: bench.network(connection, token))
    async with bench.front.rule(Rule(partial(_meets, "GET", "/routers"), reply=refusal(200, {"routers": []}))):
        network = await bench.network(connection, token)
    assert await bench.network(connection, token) == network
    assert sorted(item.kind for item in await connection.list_owned()) == ["gateway", "gateway", "network"]
    await connection.delete_network(network.id)
    assert await connection.list_owned() == []


async def test_port_of_a_dead_controller(bench: OpenStackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One has the port and dies before it makes the server. Another waits; when the port is old, it makes the VM."""
    dead, living = await opened(bench), await opened(bench)
    request = bench.vm_request(await bench.furnish(dead))
    broken = refusal(500, {"computeFault": {"code": 500, "message": "x"}})
    async with bench.front.rule(Rule(partial(_meets, "POST", "/servers"), reply=broken)):
        with pytest.raises(CloudTransientError):
            await dead.start_vm(request)
    with pytest.raises(CloudTransientError) as caught:
        await living.start_vm(request)
    assert "another controller" in caught.value.message
    assert [item.kind for item in await living.list_owned() if item.token == request.token] == ["nic"]
    monkeypatch.setattr(launch, "TAKE_OVER", -1.0)
    vm = await living.start_vm(request)
    assert (await dead.start_vm(request)).id == vm.id
    assert sorted(i.kind for i in await living.list_owned() if i.token == request.token) == ["nic", "vm"]


async def test_an_old_nova(bench: OpenStackBench) -> None:
    """Without microversions there are no tags: our VMs are known by their metadata."""
    bench.spec = replace(bench.spec, region_info={**bench.spec.region_info, "compute_microversion": "2.1"})
    connection, other = await opened(bench), await opened(bench)
    request = bench.vm_request(await bench.furnish(connection))
    vm = await connection.start_vm(request)
    assert (await other.start_vm(request)).id == vm.id
    await bench.reach(connection, vm.id, State.RUNNING)
    assert [(row.id, row.token) for row in await other.list_vm_status()] == [(vm.id, request.token)]
    assert (await connection.get_spec("g1.large")).gpus == 0
    assert bench.image_id in {image.id for image in await connection.list_images()}


async def test_without_an_external_network(bench: OpenStackBench) -> None:
    connection = await opened(bench)
    vm = await connection.start_vm(bench.vm_request(await bench.furnish(connection)))
    vm = await bench.reach(connection, vm.id, State.RUNNING)
    assert vm.public_address == vm.private_address != ""
    kinds = {item.kind for item in await connection.list_owned()}
    assert kinds == {"vm", "nic", "network", "security-group", "key"}


async def test_catalogue(bench: OpenStackBench) -> None:
    prices = {"prices": '{"m1.tiny": 0.01}', "prices_date": "2026-01-31"}
    connection = await opened(bench, replace(bench.spec, region_info={**bench.spec.region_info, **prices}))
    assert (await connection.get_spec("g1.large")).gpus == 2
    tiny = await connection.get_spec("m1.tiny")
    assert (tiny.vcpus, tiny.memory_mib, tiny.price, tiny.price_date) == (1, 64, 0.01, "2026-01-31")
    assert (await connection.get_image("debian-12")).name == "Debian 12 (June)"
    assert (await connection.get_image("ubuntu-24.04")).guest_user == "ubuntu"
    quotas = {quota.name: quota for quota in await connection.list_quotas()}
    assert quotas.keys() >= {"vms", "vcpus", "memory_mib", "key_pairs", "networks", "public_addresses"}
    assert quotas["networks"].limit == 200
    assert [region.zones for region in await connection.list_regions()] == [("nova",)]


async def test_lists_of_many_pages(bench: OpenStackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await opened(bench)
    await bench.furnish(connection)
    await bench.furnish(connection)
    whole = [len(await work()) for work in _lists(connection)]
    monkeypatch.setattr(client, "PAGE", 1)
    assert [len(await work()) for work in _lists(connection)] == whole
    assert min(whole) >= 2


def _lists(connection: OpenStackConnection) -> list[Callable[[], Awaitable[list[object]]]]:
    every = (
        connection.list_images, connection.list_specs, connection.list_networks, connection.list_security_groups,
        connection.list_key_pairs,
    )  # fmt: skip
    return list(every)  # type: ignore[arg-type] # lists of several kinds, of which the lengths are compared


async def test_quota_of_the_project(bench: OpenStackBench) -> None:
    """Nova counts: one more server than the quota is a 403, and nothing of it is left."""
    connection = await opened(bench)
    furniture = await bench.furnish(connection)
    await connection.start_vm(bench.vm_request(furniture))
    quota, project = bench.cloud.admin.quota, bench.cloud.tenant.project_id
    await asyncio.to_thread(quota, project, instances=1)
    try:
        refused = bench.vm_request(furniture)
        with pytest.raises(CloudQuotaError) as caught:
            await connection.start_vm(refused)
        assert "instances" in caught.value.message
        assert caught.value.remedy
        assert not [item for item in await connection.list_owned() if item.token == refused.token]
    finally:
        await asyncio.to_thread(quota, project, instances=200)


async def test_termination_interrupted_after_the_server_went(outside: OpenStackBench) -> None:
    """Every one of its requests loses its answer in turn; the next try takes away what is left."""
    bench = outside
    connection = await opened(bench)
    vm = await bench.running(connection)
    hits: list[str] = []
    for method, path in (
        ("PUT", "/tags/"),
        ("DELETE", "/servers/"),
        ("DELETE", "/floatingips/"),
        ("DELETE", "/ports/"),
    ):
        rule = Rule(partial(_meets, method, path), lose=True, times=3)
        async with bench.front.rule(rule):
            with pytest.raises(CloudError) as caught:
                await connection.terminate_vm(vm.id)
            assert caught.value.retriable
            hits.append(path)
        if path == "/servers/":
            await bench.ended(connection, vm.id)  # from here on the server is gone, and with it the list of its parts
    later = await opened(bench)
    await later.terminate_vm(vm.id)
    left = [item.kind for item in await later.list_owned() if item.token == vm.token]
    assert (hits[-1], left) == ("/ports/", [])


def _meets(method: str, path: str, seen: Seen) -> bool:
    return seen.method == method and path in seen.path


async def test_token_that_was_revoked(bench: OpenStackBench) -> None:
    connection = await opened(bench)
    token = (await connection._client.token()).text
    sent: list[str] = []
    await asyncio.to_thread(bench.cloud.admin.revoke, token)
    with heard(sent.append):
        assert await connection.list_vm_status() == []
    assert sent == ["nova GET servers/detail", "keystone POST auth/tokens", "nova GET servers/detail"]


async def test_one_request_for_the_state_of_all(bench: OpenStackBench) -> None:
    connection = await opened(bench)
    await connection.check()
    sent: list[str] = []
    with heard(sent.append):
        await connection.list_vm_status()
    assert sent == ["nova GET servers/detail"]


@pytest.mark.parametrize("shape", ["path", "text"])
async def test_clouds_yaml(bench: OpenStackBench, tmp_path: Path, shape: str) -> None:
    text = f"""
clouds:
  lab:
    region_name: {REGION}
    auth: {{auth_url: "{bench.spec.region_info["auth_url"]}", username: {USER}, password: {PASSWORD},
           project_name: {PROJECT}, user_domain_name: Default, project_domain_name: Default}}
"""
    path = tmp_path / "clouds.yaml"
    path.write_text(text)
    source = str(path) if shape == "path" else text
    connection = await opened(bench, ConnectionSpec("lab", REGION, None, {"clouds_yaml": source, "cloud": "lab"}))
    await connection.check()
    assert await connection.list_vms() == []


async def test_own_certificate_authority(bench: OpenStackBench, tmp_path: Path) -> None:
    """Keystone behind TLS with a certificate of nobody's: refused without ca_file, fine with it."""
    async with tls_front(bench.cloud.plan.url("keystone"), tmp_path) as url:
        info = {**bench.spec.region_info, "auth_url": f"{url}/v3"}
        with pytest.raises(CloudInvalidError) as caught:
            await (await opened(bench, replace(bench.spec, region_info=info))).check()
        assert "ca_file" in (caught.value.remedy or "")
        info["ca_file"] = str(tmp_path / "server.pem")
        await (await opened(bench, replace(bench.spec, region_info=info))).check()
        info["ca_file"] = str(tmp_path / "none.pem")
        with pytest.raises(CloudInvalidError) as caught:
            await (await opened(bench, replace(bench.spec, region_info=info))).check()
        assert caught.value.field == "ca_file"


@pytest.mark.parametrize(
    ("info", "field"),
    [
        ({"external_network": "nowhere"}, "external_network"),
        ({"interface": "admin", "compute_endpoint": ""}, "interface"),
    ],
)
async def test_check_names_the_wrong_value(bench: OpenStackBench, info: dict[str, str], field: str) -> None:
    connection = await opened(bench, replace(bench.spec, region_info={**bench.spec.region_info, **info}))
    with pytest.raises(CloudInvalidError) as caught:
        await connection.check()
    assert caught.value.field == field


async def test_wrong_password_and_wrong_project(bench: OpenStackBench) -> None:
    for wrong in ({"password": "not-it-at-all"}, {"project_name": "elsewhere"}, {"username": "nobody"}):
        connection = await opened(bench, replace(bench.spec, credential={**LOGIN, **wrong}))
        with pytest.raises(CloudAuthError) as caught:
            await connection.check()
        assert "keystone refuses" in caught.value.message
        assert PASSWORD not in f"{caught.value} {caught.value.remedy}"


async def test_paused_by_hand(bench: OpenStackBench) -> None:
    connection = await opened(bench)
    vm = await bench.running(connection)
    await asyncio.to_thread(bench.cloud.admin.ask, "nova", "POST", f"servers/{vm.id}/action", {"pause": None})
    await bench.reach(connection, vm.id, State.STOPPED)
    await connection.resume_vm(vm.id)
    await bench.reach(connection, vm.id, State.RUNNING)


async def test_rights_as_documented_are_enough(bench: OpenStackBench) -> None:
    """An application credential with the access rules of docs/clouds does a whole life, and no request outside them."""
    assert openstack_rules.PAGE.read_text() == openstack_rules.text(), "python -m tests.clouds.openstack_rules"
    make = partial(bench.cloud.admin.application_credential, fresh("mcisd"), access_rules=openstack_rules.rules())
    key, secret = await asyncio.to_thread(make)
    credential = {"application_credential_id": key, "application_credential_secret": secret}
    bench.spec = replace(bench.spec, credential=credential)
    connection = await opened(bench)
    sent: list[str] = []
    with heard(sent.append):
        await connection.check()
        vm = await connection.start_vm(bench.vm_request(await bench.furnish(connection)))
        await bench.reach(connection, vm.id, State.RUNNING)
        await asyncio.gather(
            *(work() for work in _lists(connection)), connection.list_quotas(), connection.list_owned()
        )
        await connection.console_output(vm.id)
        await connection.terminate_vm(vm.id)
        await bench.ended(connection, vm.id)
        await bench.clean()
    assert {request for request in sent if not request.startswith("keystone")} <= openstack_rules.requests()
    with pytest.raises(CloudAuthError):
        await (await opened(bench))._client.get("nova", "os-server-groups")
