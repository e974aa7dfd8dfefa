"""Suspending with the memory kept: by the cloud's own way where it has one, refused before anything is done else."""

from typing import Any

import pytest

from tests.integration.api import api_world
from tests.integration.api.api_kit import Api, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")
SLEEPLESS = "tests.integration.api.api_sleepless:SleeplessDriver"


async def called(api: Api, connection: str, name: str) -> list[Any]:
    calls = await api.get(f"/calls?connection={connection}&limit=10000")
    return [one for one in calls if one["api"] == name]


async def test_vms_hibernate_and_come_back(api: Api) -> None:
    connection = await api_world.connection(api)
    path = await api_world.infra(api, connection, count=2)
    await api.finished(await api.post(f"{path}/vms/vm-1/suspend?hibernate=true", expect=202))
    assert (await api.get(f"{path}/status"))["counts"] == {"Suspended": 1, "Running": 1}
    await api.finished(await api.post(f"{path}/suspend?hibernate=true", expect=202))
    assert (await api.get(f"{path}/status"))["counts"] == {"Suspended": 2}

    async def told() -> bool:
        return len(await called(api, connection, "hibernate_vm")) == 2

    await eventually(told, "two calls in the history")
    assert await called(api, connection, "suspend_vm") == []
    await api.finished(await api.post(f"{path}/resume", expect=202))
    await api.finished(await api.post(f"{path}/suspend", expect=202))
    assert (await api.get(f"{path}/status"))["counts"] == {"Suspended": 2}
    assert len(await called(api, connection, "hibernate_vm")) == 2
    await api_world.wipe(api, path)


async def test_a_cloud_that_cannot_is_named_before_anything_is_done(api: Api) -> None:
    name, driver = api_world.fresh("conn"), api_world.fresh("driver")
    made = await api.post("/drivers", {"driverName": driver, "providerName": "mock", "driverPath": SLEEPLESS})
    assert made["capability"]["Hibernate"] is False
    await api.post("/credentials", api_world.credential(name, api_world.new_cloud()))
    await api.post("/regions", api_world.region(name))
    parts = {"driverName": driver, "credentialName": name, "regionName": name}
    await api.post("/connections", {"connConfigName": name} | parts)
    path = await api_world.infra(api, name)
    before = await api.get("/operations?limit=1000")
    for where in (path, f"{path}/vms/vm-1"):
        refused = await api("POST", f"{where}/suspend?hibernate=true", expect=501)
        assert (refused.body["code"], refused.body["field"]) == ("cloud-unsupported", "hibernate")
        assert refused.body["detail"] == f"the cloud of connection {name} cannot hibernate VMs"
    assert await api.get("/operations?limit=1000") == before
    assert (await api.get(f"{path}/status"))["counts"] == {"Running": 1}
    refused = await api("POST", f"{path}/resume?hibernate=true", expect=422)
    assert refused.body["field"] == "hibernate"
    await api_world.wipe(api, path)
