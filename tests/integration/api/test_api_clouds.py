"""What the API says of clouds when things are not as they should be, and what it counts of them."""

from typing import Any

import pytest

from mcisd.model.ids import new_id
from mcisd.model.records import CloudDriverRecord
from tests.integration.api import api_world
from tests.integration.api.api_kit import Api, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_driver_that_is_gone_says_so_and_the_others_are_listed(api: Api) -> None:
    name = api_world.fresh("gone")
    assert api.app.context is not None
    async with api.app.context.store.transaction() as tx:
        row = await tx.insert(CloudDriverRecord(uid=new_id("dr"), name=name, provider="x", path="no_such_place:Driver"))
    try:
        found = {one["driverName"]: one for one in await api.get("/drivers")}
        assert found[name]["error"] == f"driver {name!r}: there is no module 'no_such_place'"
        assert found[name]["capability"] == {}
        assert found["mock"]["error"] == ""
        assert await api.get(f"/drivers/{name}") == found[name]
    finally:
        async with api.app.context.store.transaction() as tx:
            await tx.delete(row)


async def test_what_goes_over_the_wire_is_counted(api: Api) -> None:
    name = await api_world.connection(api)
    path = await api_world.infra(api, name)

    async def told() -> Any:
        calls = await api.get(f"/calls?connection={name}&limit=1000")
        return [one for one in calls if one["api"] == "start_vm"]

    (call,) = await eventually(told, "the call in the history")
    assert call["requests"] >= 1
    metrics = (await api.session.get(f"{api.app.url}/metrics")).content
    text = (await metrics.read()).decode()
    assert 'mcisd_cloud_requests_total{api="start_vm",cloud_provider="mock"}' in text
    await api_world.wipe(api, path)


async def test_a_console_needs_a_vm_at_its_cloud(api: Api) -> None:
    name, ns = await api_world.connection(api, vms_per_region=0), await api_world.namespace(api)
    made = await api.post(f"/ns/{ns}/infra", api_world.infra_body("one", name), expect=202)
    await api.finished(made, state="failed")
    refused = await api("GET", f"/ns/{ns}/infra/one/vms/vm-1/console", expect=409)
    assert refused.body["detail"] == "VM vm-1 is not at its cloud yet"
    await api("GET", f"/ns/{ns}/infra/one/vms/vm-9/console", expect=404)
    await api("GET", "/connections/none/owned", expect=404)
