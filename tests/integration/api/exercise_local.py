"""Exercises on real VMs: remote commands over SSH, and what real agents measure."""

import time
from typing import Any

from tests.integration.api.api_kit import eventually
from tests.integration.api.api_local import Local
from tests.integration.api.api_sse import stream
from tests.integration.api.exercise import exercises_local

CPU = "measurement=cpu&fields=usage_active&tag.cpu=cpu-total"


@exercises_local("CommandInfraSvc", "CommandVm")
async def command(local: Local) -> None:
    body = {"command": "echo $MCIS_VM $MCIS_NAME $MCIS_NS; test -n $MCIS_ADDRESS"}
    answer = (await local.api("POST", f"{local.path}/command", body, expect=200)).body
    assert {one["vm"]: (one["stdout"], one["exitStatus"]) for one in answer["results"]} == {
        "web-1": ("web-1 site real\n", 0),
        "web-2": ("web-2 site real\n", 0),
    }
    one = (await local.api("POST", f"{local.path}/vms/web-2/command", {"command": "ls /none"}, expect=200)).body
    assert one["exitStatus"] == 2
    assert "/none" in one["stderr"]
    slow = {"command": "sleep 30", "timeoutS": 0.5}
    late = (await local.api("POST", f"{local.path}/vms/web-2/command", slow, expect=200)).body
    assert late["exitStatus"] is None
    assert late["error"]


@exercises_local("GetInfraSvcMonitoringInfo", "GetVMMonitoringInfo")
async def past(local: Local) -> None:
    """The newest values, then a period with a step, from what the agents sent."""

    def of_both(series: list[Any]) -> list[Any]:
        return series if {one["vm"] for one in series} == {"web-1", "web-2"} else []

    async def last() -> list[Any]:
        return of_both((await local.api.get(f"{local.path}/monitoring?{CPU}"))["series"])

    newest = await eventually(last, "last values of both")
    assert all(time.time() - one["times"][0] < 30 for one in newest)
    start = int(time.time()) - 60
    query = f"{CPU}&start={start}&end={start + 120}&step=1"

    async def stored() -> Any:
        return (await local.api.get(f"{local.path}/vms/web-1/monitoring?{query}&statistic=max"))["series"]

    series = (await eventually(stored, "stored windows"))[0]
    assert (series["vm"], series["field"], series["tags"]) == ("web-1", "usage_active", {"cpu": "cpu-total"})
    assert series["times"] == sorted(set(series["times"]))
    assert all(start <= at <= start + 120 for at in series["times"])
    assert all(value is None or 0 <= value <= 100 for value in series["values"])

    async def counted() -> list[Any]:
        return of_both((await local.api.get(f"{local.path}/monitoring?{query}&statistic=count"))["series"])

    await eventually(counted, "stored windows of both")
    wrong = await local.api("GET", f"{local.path}/monitoring?{query}&statistic=median", expect=422)
    assert wrong.body["field"] == "statistic"


@exercises_local("GetCurrentInfraSvcMonitoringInfo", "GetCurrentVMMonitoringInfo")
async def current(local: Local) -> None:
    before = time.time()
    shown = await local.api.get(f"{local.path}/monitoring/current")
    assert [one["vm"] for one in shown["vms"]] == ["web-1", "web-2"]
    for one in [*shown["vms"], await local.api.get(f"{local.path}/vms/web-1/monitoring/current")]:
        assert one["error"] == ""
        assert before - 1 <= one["time"] <= time.time() + 1
        names = {(value["measurement"], value["field"]) for value in one["values"] if value["value"] is not None}
        assert {("mem", "used_percent"), ("system", "load1")} <= names


@exercises_local("StreamInfraSvcMonitoring")
async def live(local: Local) -> None:
    columns = "cpu.usage_active,mem.used_percent"
    heard: dict[str, list[float]] = {"web-1": [], "web-2": []}
    async with stream(local.api, f"{local.path}/monitoring/live?columns={columns}") as items:
        async for item in items:
            assert item.event == "sample"
            assert set(item.data["values"]) <= set(columns.split(","))
            heard[item.data["vm"]].append(item.data["time"])
            if min(len(times) for times in heard.values()) >= 2:
                break
    assert all(times == sorted(set(times)) for times in heard.values())
