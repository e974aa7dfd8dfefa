"""Exercises: drivers, credentials, regions, connections, namespaces and resources on the mock cloud."""

from typing import Any

from tests.integration.api import api_world
from tests.integration.api.api_kit import SECRET, eventually
from tests.integration.api.exercise import Bench, exercises

MOCK_CLASS = "mcisd.drivers.mock.driver:MockDriver"


@exercises("RegisterCloudDriver", "ListCloudDriver", "GetCloudDriver", "UnRegisterCloudDriver")
async def drivers(bench: Bench) -> None:
    name = api_world.fresh("driver")
    body = {"driverName": name, "providerName": "mock", "driverPath": MOCK_CLASS}
    made = await bench.api.post("/drivers", body)
    assert made["credentialKeys"] == {"cloud": False, "secret": True}
    assert made["capability"]["VM"]
    assert made["error"] == ""
    assert await bench.api.get(f"/drivers/{name}") == made
    assert {"local", "mock", name} <= {one["driverName"] for one in await bench.api.get("/drivers")}
    await bench.api.delete(f"/drivers/{name}")
    await bench.api("GET", f"/drivers/{name}", expect=404)


@exercises("RegisterCredential", "ListCredential", "GetCredential", "UnRegisterCredential")
async def credentials(bench: Bench) -> None:
    name = api_world.fresh("cred")
    made = await bench.api.post("/credentials", api_world.credential(name, "any"))
    assert made["keys"] == ["cloud", "secret"]
    assert SECRET not in str(made)
    assert await bench.api.get(f"/credentials/{name}") == made
    assert made in await bench.api.get("/credentials")
    await bench.api.delete(f"/credentials/{name}")
    assert made not in await bench.api.get("/credentials")


@exercises("RegisterRegion", "ListRegion", "GetRegion", "UnRegisterRegion")
async def regions(bench: Bench) -> None:
    name = api_world.fresh("region")
    made = await bench.api.post("/regions", api_world.region(name))
    assert (made["region"], made["location"]["latitude"]) == ("us-east-1", 38.95)
    assert await bench.api.get(f"/regions/{name}") == made
    assert made in await bench.api.get("/regions")
    await bench.api.delete(f"/regions/{name}")
    assert made not in await bench.api.get("/regions")


@exercises("CreateConnectionConfig", "ListConnectionConfig", "GetConnectionConfig", "DeleteConnectionConfig")
async def connections(bench: Bench) -> None:
    name = await api_world.connection(bench.api)
    shown = await bench.api.get(f"/connections/{name}")
    assert (shown["driverName"], shown["region"]) == ("mock", "us-east-1")
    assert name in {one["connConfigName"] for one in await bench.api.get("/connections")}
    await bench.api.delete(f"/connections/{name}")
    await bench.api("GET", f"/connections/{name}", expect=404)


@exercises("CheckConnectionConfig", "ListCallHistory")
async def check(bench: Bench) -> None:
    found = await bench.api.post(f"/connections/{bench.conn}/check", expect=200)
    assert found["ok"]
    assert found["error"] == ""

    async def called() -> Any:
        calls = await bench.api.get(f"/calls?connection={bench.conn}&limit=10000")
        return [one for one in calls if one["api"] == "check"]

    wrong = api_world.fresh("wrong")
    body = api_world.credential(wrong, api_world.new_cloud())
    body["keyValueInfoList"][1]["value"] = "not-the-secret"
    await bench.api.post("/credentials", body)
    parts = {"driverName": "mock", "credentialName": wrong, "regionName": bench.conn}
    await bench.api.post("/connections", {"connConfigName": wrong} | parts)
    refused = await bench.api.post(f"/connections/{wrong}/check", expect=200)
    assert (refused["ok"], refused["code"]) == (False, "cloud-auth")
    assert refused["error"]
    assert refused["remedy"]
    assert "not-the-secret" not in str(refused)

    row = (await eventually(called, "the call in the history"))[0]
    assert (row["connection"], row["region"], row["errorCode"]) == (bench.conn, "us-east-1", "")
    assert len(await bench.api.get("/calls?limit=1")) == 1


@exercises("ListCatalogueSpec", "ListCatalogueImage")
async def catalogue(bench: Bench) -> None:
    specs = await bench.api.get(f"/connections/{bench.conn}/specs")
    assert {"id": "mock.nano", "price": 0.005}.items() <= next(s for s in specs if s["id"] == "mock.nano").items()
    images = await bench.api.get(f"/connections/{bench.conn}/images")
    assert "mock-debian-12" in {image["id"] for image in images}


@exercises("CreateNameSpace", "ListNameSpace", "GetNameSpace", "UpdateNameSpace", "DeleteNameSpace")
async def namespaces(bench: Bench) -> None:
    name = await api_world.namespace(bench.api)
    assert name in {one["name"] for one in await bench.api.get("/ns")}
    changed = (await bench.api("PUT", f"/ns/{name}", {"description": "other"}, expect=200)).body
    assert changed["description"] == "other"
    assert await bench.api.get(f"/ns/{name}") == changed
    await bench.api.delete(f"/ns/{name}")
    await bench.api("GET", f"/ns/{name}", expect=404)


async def family(bench: Bench, segment: str, body: dict[str, Any]) -> None:
    """Create, get, list, delete one resource."""
    ns = await api_world.namespace(bench.api)
    if segment == "securityGroups":
        await bench.api.post(f"/ns/{ns}/networks", {"name": "net", "connConfigName": bench.conn})
        await settled(bench, f"/ns/{ns}/networks/net")
    made = await bench.api.post(f"/ns/{ns}/{segment}", {"name": "one", "connConfigName": bench.conn} | body)
    assert made["connConfigName"] == bench.conn
    path = f"/ns/{ns}/{segment}/one"
    assert (await settled(bench, path))["usedBy"] == []
    assert [one["name"] for one in await bench.api.get(f"/ns/{ns}/{segment}")] == ["one"]
    await bench.api.delete(path)

    async def gone() -> bool:
        return (await bench.api("GET", path)).status == 404

    await eventually(gone, f"the end of {path}")


async def settled(bench: Bench, path: str) -> Any:
    """The resource as soon as it is Ready."""

    async def ready() -> Any:
        shown = await bench.api.get(path)
        assert shown["state"] != "Failed", shown
        return shown if shown["state"] == "Ready" else None

    return await eventually(ready, f"{path} ready")


@exercises("RegisterImage", "ListImage", "GetImage", "UnRegisterImage")
async def images(bench: Bench) -> None:
    await family(bench, "images", {"cloudImageId": "mock-debian-12"})


@exercises("RegisterSpec", "ListSpec", "GetSpec", "UnRegisterSpec")
async def specs(bench: Bench) -> None:
    await family(bench, "specs", {"cloudSpecId": "mock.nano"})


@exercises("CreateNetwork", "ListNetwork", "GetNetwork", "DeleteNetwork")
async def networks(bench: Bench) -> None:
    await family(bench, "networks", {"cidrBlock": "10.1.0.0/16", "subnets": ["10.1.1.0/24"]})


@exercises("CreateSecurityGroup", "ListSecurityGroup", "GetSecurityGroup", "DeleteSecurityGroup")
async def security_groups(bench: Bench) -> None:
    rule = {"protocol": "tcp", "fromPort": 22, "toPort": 22}
    await family(bench, "securityGroups", {"networkId": "net", "rules": [rule]})


@exercises("CreateSshKey", "ListSshKey", "GetSshKey", "DeleteSshKey")
async def ssh_keys(bench: Bench) -> None:
    await family(bench, "sshKeys", {})


@exercises("DeleteImage")
async def delete_image(bench: Bench) -> None:
    """No image can be made from a VM yet, so the one right answer is a refusal that says so."""
    ns = await api_world.namespace(bench.api)
    body = {"name": "public", "connConfigName": bench.conn, "cloudImageId": "mock-debian-12"}
    await bench.api.post(f"/ns/{ns}/images", body)
    told = await bench.api("DELETE", f"/ns/{ns}/customImages/public", expect=409)
    assert (told.body["code"], told.body["remedy"]) == ("state", "unregister it instead")
    assert (await bench.api.get(f"/ns/{ns}/images/public"))["name"] == "public"
