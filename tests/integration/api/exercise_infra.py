"""Exercises: launch, look at, steer, expand and delete MCIS and VMs on the mock cloud; operations."""

from tests.integration.api import api_world
from tests.integration.api.exercise import Bench, exercises

ACTIONS = ("Suspend", "Resume", "Reboot", "Terminate")


@exercises("CreateInfraSvc", "GetOperation", "ListOperation")
async def create(bench: Bench) -> None:
    ns = await api_world.namespace(bench.api)
    body = api_world.infra_body("one", bench.conn, count=2)
    path = f"/ns/{ns}/infra"
    made = await bench.api("POST", path, body, expect=202, headers={"Idempotency-Key": f"key-{ns}"})
    assert made.headers["Location"] == f"/api/v1/operations/{made.body['id']}"
    again = await bench.api("POST", path, body, expect=202, headers={"Idempotency-Key": f"key-{ns}"})
    assert again.body["id"] == made.body["id"]
    other = await bench.api("POST", path, body | {"name": "two"}, expect=409, headers={"Idempotency-Key": f"key-{ns}"})
    assert other.body["field"] == "Idempotency-Key"
    done = await bench.api.finished(made.body)
    assert (done["total"], done["succeeded"], done["failed"]) == (2, 2, 0)
    assert done["finishedAt"] >= done["createdAt"]
    assert done["id"] in {one["id"] for one in await bench.api.get("/operations?state=succeeded")}
    assert done["id"] not in {one["id"] for one in await bench.api.get("/operations?state=failed")}


@exercises("ListInfraSvc", "ListAllInfraSvc", "GetInfraSvc", "GetInfraSvcStatus", "GetVm", "GetVmStatus")
async def look(bench: Bench) -> None:
    shown = await bench.api.get(bench.running)
    assert shown["status"].startswith("Running")
    assert [vm["name"] for vm in shown["vms"]] == ["vm-1", "vm-2"]
    assert await bench.api.get(bench.running.rsplit("/", 1)[0]) == [shown]
    assert shown["id"] in {one["id"] for one in await bench.api.get("/infra")}
    status = await bench.api.get(f"{bench.running}/status")
    assert (status["running"], status["total"], status["agentsUp"]) == (2, 2, 0)
    assert await bench.api.get(f"{bench.running}/vms/vm-1") == shown["vms"][0]
    one = await bench.api.get(f"{bench.running}/vms/vm-1/status")
    assert (one["state"], one["goal"], one["agent"]) == ("Running", "Running", "absent")


@exercises(*(f"{action}InfraSvc" for action in ACTIONS), "DeleteInfraSvc")
async def life(bench: Bench) -> None:
    path = await api_world.infra(bench.api, bench.conn, count=2)
    for action, status in (("suspend", "Suspended"), ("resume", "Running"), ("reboot", "Running")):
        await bench.api.finished(await bench.api.post(f"{path}/{action}", expect=202))
        shown = await bench.api.get(f"{path}/status")
        assert shown["counts"] == {status: 2}, (action, shown)
    refused = await bench.api("DELETE", path, expect=409)
    assert refused.body["code"] == "state"
    await api_world.wipe(bench.api, path)
    await bench.api("GET", path, expect=404)


@exercises(*(f"{action}Vm" for action in ACTIONS), "DeleteVm")
async def vm_life(bench: Bench) -> None:
    path = await api_world.infra(bench.api, bench.conn, count=2)
    steps = (("suspend", "Suspended"), ("resume", "Running"), ("reboot", "Running"), ("terminate", "Terminated"))
    for action, state in steps:
        done = await bench.api.finished(await bench.api.post(f"{path}/vms/vm-2/{action}", expect=202))
        assert done["total"] == 1
        assert (await bench.api.get(f"{path}/vms/vm-2/status"))["state"] == state
    assert (await bench.api.get(f"{path}/vms/vm-1/status"))["state"] == "Running"
    await bench.api.delete(f"{path}/vms/vm-2")
    assert [vm["name"] for vm in (await bench.api.get(path))["vms"]] == ["vm-1"]


@exercises("ExpandInfraSvc")
async def expand(bench: Bench) -> None:
    path = await api_world.infra(bench.api, bench.conn)
    more = {"vmRequestList": [api_world.group(bench.conn, 2, name="more")]}
    await bench.api.finished(await bench.api.post(f"{path}/vms", more, expect=202))
    names = {vm["name"] for vm in (await bench.api.get(path))["vms"]}
    assert names == {"vm-1", "more-1", "more-2"}


async def partial(bench: Bench) -> str:
    """The path of an MCIS of which one VM runs and the other failed, as its cloud has no such image."""
    ns = await api_world.namespace(bench.api)
    wrong = api_world.group(bench.conn, name="bad") | {"imageId": "no-such-image"}
    body = {"name": "part", "vmRequestList": [api_world.group(bench.conn, name="good"), wrong]}
    done = await bench.api.finished(await bench.api.post(f"/ns/{ns}/infra", body, expect=202), state="partial")
    assert (done["succeeded"], done["failed"]) == (1, 1)
    path = f"/ns/{ns}/infra/part"
    shown = await bench.api.get(f"{path}/vms/bad-1")
    assert shown["state"] == "Failed"
    assert "no-such-image" in shown["error"]
    return path


@exercises("RetryInfraSvc")
async def retry(bench: Bench) -> None:
    path = await partial(bench)
    again = await bench.api.finished(await bench.api.post(f"{path}/retry", expect=202), state="failed")
    assert again["total"] == 1
    assert (await bench.api.get(f"{path}/status"))["counts"] == {"Failed": 1, "Running": 1}


@exercises("RollbackInfraSvc")
async def rollback(bench: Bench) -> None:
    path = await partial(bench)
    await bench.api.finished(await bench.api.post(f"{path}/rollback", expect=202))
    assert (await bench.api.get(path))["vms"] == []
