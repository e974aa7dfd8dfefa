"""Exercises: quotas, what of ours is at a cloud, removal of what nobody knows, consoles; on the mock cloud."""

from typing import Any

from mcisd.drivers.mock.driver import MockDriver
from mcisd.model.cloud import ConnectionSpec, NetworkRequest
from tests.integration.api import api_world
from tests.integration.api.api_kit import SECRET, Api, eventually
from tests.integration.api.exercise import Bench, exercises


async def connected(api: Api) -> tuple[str, str]:
    """A connection to a cloud of its own: their names."""
    cloud, name = api_world.new_cloud(), api_world.fresh("conn")
    await api.post("/credentials", api_world.credential(name, cloud))
    await api.post("/regions", api_world.region(name))
    parts = {"driverName": "mock", "credentialName": name, "regionName": name}
    await api.post("/connections", {"connConfigName": name} | parts)
    return name, cloud


async def stray(api: Api, cloud: str, token: str) -> str:
    """Something of ours at the cloud that no row knows, as a restored backup leaves it; its cloud id."""
    installation = (await api.get("/system"))["installation"]
    spec = ConnectionSpec("stray", "us-east-1", None, {"cloud": cloud, "secret": SECRET})
    connection = await MockDriver().connect(spec, installation)
    return (await connection.create_network(NetworkRequest(token, "stray", "10.9.0.0/16"))).id


@exercises("ListQuota")
async def quotas(bench: Bench) -> None:
    found = {one["name"]: one for one in await bench.api.get(f"/connections/{bench.conn}/quotas")}
    assert {"vms", "vcpus"} & set(found)
    assert all(one["limit"] is None or one["limit"] >= 0 for one in found.values())


@exercises("ListOwned")
async def owned(bench: Bench) -> None:
    found = await bench.api.get(f"/connections/{bench.conn}/owned")
    shown = await bench.api.get(f"{bench.running}/vms/vm-1")
    mine: Any = next(one for one in found if one["id"] == shown["cloudId"])
    assert (mine["kind"], mine["token"], mine["known"]) == ("vm", shown["id"], True)
    assert (mine["orphan"], mine["unknownSince"]) == (False, None)


@exercises("RemoveOrphans")
async def orphans(bench: Bench) -> None:
    name, cloud = await connected(bench.api)
    ns = await api_world.namespace(bench.api)
    await bench.api.post(f"/ns/{ns}/networks", {"name": "net", "connConfigName": name})
    lost = await stray(bench.api, cloud, "nobody")

    async def looked() -> Any:
        found = await bench.api.get(f"/connections/{name}/owned")
        return found if len([one for one in found if one["kind"] == "network"]) == 2 else None

    found = await eventually(looked, "both networks")
    assert {one["id"]: one["known"] for one in found if not one["known"]} == {lost: False}
    waiting = (await bench.api("DELETE", f"/connections/{name}/orphans", expect=200)).body
    assert [(one["id"], one["outcome"]) for one in waiting] == [(lost, "waiting")]
    done = (await bench.api("DELETE", f"/connections/{name}/orphans?force=true", expect=200)).body
    assert [(one["id"], one["outcome"]) for one in done] == [(lost, "removed")]
    assert all(one["known"] for one in await bench.api.get(f"/connections/{name}/owned"))
    events = await bench.api.get(f"/events?type=orphan.&subject=connections/{name}&limit=1000")
    assert [event["type"] for event in events] == ["orphan.removed"]


@exercises("GetConsole")
async def console(bench: Bench) -> None:
    found = await bench.api.get(f"{bench.running}/vms/vm-1/console")
    assert found["vm"] == "vm-1"
    assert isinstance(found["text"], str)
