"""Requests that must be refused, each with the status and the field that the refusal names.

In: nothing. Out: lists of ``Case``. They are meant for a daemon (fixture ``quiet``) with a connection,
credential and region "cloud" and a running MCIS here/site.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.integration.api import api_world

INFRA = "/ns/here/infra/site"
GROUP = api_world.group("cloud")


@dataclass(frozen=True)
class Case:
    """A request and what it must be answered with; ``name`` is the field at fault, empty where there is none."""

    what: str
    method: str
    path: str
    status: int
    name: str
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def body_cases() -> list[Case]:
    groups = "vmRequestList"
    return [
        Case("no JSON", "POST", "/ns", 422, "body", raw=b"{nonsense"),
        Case("no body", "POST", "/ns", 422, "body"),
        Case("no text", "POST", "/ns", 422, "body", raw=b"\xff\xfe\x00"),
        Case("a list", "POST", "/ns", 422, "body", raw=b"[]"),
        Case("nested to no end", "POST", "/ns", 422, "body", raw=b"[" * 100_000),
        Case("lone surrogate", "POST", "/ns", 422, "body", raw=b'{"name":"x","description":"\\ud800"}'),
        Case("unknown field", "POST", "/ns", 422, "colour", {"name": "x", "colour": "red"}),
        Case("missing field", "POST", "/ns", 422, "name", {}),
        Case("wrong type", "POST", "/ns", 422, "name", {"name": 7}),
        Case("capital name", "POST", "/ns", 422, "name", {"name": "Here"}),
        Case("long name", "POST", "/ns", 422, "name", {"name": "x" * 64}),
        Case("name with newline", "POST", "/ns", 422, "name", {"name": "x\n"}),
        Case("long text", "PUT", "/ns/here", 422, "description", {"description": "x" * 1025}),
        Case("too large", "POST", "/ns", 413, "body", raw=b" " * 4_194_305),
        Case("no VM", "POST", "/ns/here/infra", 422, groups, {"name": "x", groups: []}),
        Case("no count", "POST", "/ns/here/infra", 422, f"{groups}[0].count", infra(GROUP | {"count": 0})),
        Case("half a VM", "POST", "/ns/here/infra", 422, f"{groups}[0].count", infra(GROUP | {"count": 1.5})),
        Case("group twice", "POST", "/ns/here/infra", 422, f"{groups}[1].name", infra(GROUP, GROUP)),
        Case("unknown policy", "POST", "/ns/here/infra", 422, "onFailure", infra(GROUP) | {"onFailure": "hope"}),
        Case("key twice", "POST", "/credentials", 422, "keyValueInfoList[1].key", pairs("secret", "secret")),
        Case("unknown key", "POST", "/credentials", 422, "keyValueInfoList", pairs("secret", "colour")),
        Case("missing key", "POST", "/credentials", 422, "keyValueInfoList", pairs("cloud")),
        Case("off the globe", "POST", "/regions", 422, "location.latitude", place(91)),
        Case("not a number", "POST", "/regions", 422, "location.latitude", raw=NAN_REGION),
        Case("no channel", "POST", "/channels", 422, "url", {"name": "x", "url": "nonsense://\x00"}),
        Case("no metric", "PUT", f"{INFRA}/alarmThresholds", 422, "thresholds[0].metric", rules(metric="cpu")),
        Case("endless", "PUT", f"{INFRA}/alarmThresholds", 422, "thresholds[0].threshold", raw=ENDLESS),
        Case("wrong side", "PUT", f"{INFRA}/alarmThresholds", 422, "thresholds[0].recovery", rules(recovery=99.0)),
        Case("no command", "POST", f"{INFRA}/command", 422, "command", {"command": ""}),
        Case("no time", "POST", f"{INFRA}/command", 422, "timeoutS", {"command": "true", "timeoutS": 0}),
        Case("empty key", "POST", f"{INFRA}/suspend", 422, "Idempotency-Key", headers={"Idempotency-Key": ""}),
        Case("bounds", "POST", f"{INFRA}/policies", 422, "minimum", policy(minimum=5, maximum=2)),
        Case("no rule", "POST", f"{INFRA}/policies", 422, "rule", policy(rule="none-such")),
        Case("replace by no rule", "POST", f"{INFRA}/policies", 422, "rule", policy(rule="no", action="replace")),
        Case("no action", "POST", f"{INFRA}/policies", 422, "action", policy(action="dance")),
        Case("bad range", "POST", "/ns/here/networks", 422, "cidrBlock", network(cidrBlock="10.0.0.0/99")),
        Case("outside", "POST", "/ns/here/networks", 422, "subnets[0]", network(subnets=["192.168.0.0/24"])),
        Case("bad key", "POST", "/ns/here/sshKeys", 422, "publicKey", network(publicKey="ssh-rsa nonsense")),
        Case("no driver", "POST", "/drivers", 422, "driverName", {"driverName": "none-such", "providerName": "x"}),
    ]


def state_cases() -> list[Case]:
    parts = {"connConfigName": "new", "driverName": "mock", "credentialName": "cloud", "regionName": "cloud"}
    return [
        Case("taken ns", "POST", "/ns", 409, "name", {"name": "here"}),
        Case("taken infra", "POST", "/ns/here/infra", 409, "name", infra(GROUP, name="site")),
        Case("taken credential", "POST", "/credentials", 409, "credentialName", pairs("secret", name="cloud")),
        Case("taken region", "POST", "/regions", 409, "regionName", place(1, name="cloud")),
        Case("taken driver", "POST", "/drivers", 409, "driverName", {"driverName": "mock", "providerName": "mock"}),
        Case("no such driver", "POST", "/connections", 422, "driverName", parts | {"driverName": "none"}),
        Case("no such region", "POST", "/connections", 422, "regionName", parts | {"regionName": "none"}),
        Case("no such credential", "POST", "/connections", 422, "credentialName", parts | {"credentialName": "none"}),
        Case(
            "no such connection",
            "POST",
            "/ns/here/infra",
            422,
            "vmRequestList[1].connConfigName",
            infra(GROUP, api_world.group("none", name="other")),
        ),
        Case("no such ns", "POST", "/ns/none/infra", 404, "nameSpaceId", infra(GROUP)),
        Case("no such infra", "GET", "/ns/here/infra/none", 404, "infraSvcId"),
        Case("no such vm", "POST", f"{INFRA}/vms/none/reboot", 404, "vmId"),
        Case("command to no vm", "POST", f"{INFRA}/command", 404, "vms", {"command": "true", "vms": ["none"]}),
        Case("no such operation", "GET", "/operations/none", 404, "operationId"),
        Case("no such policy", "GET", f"{INFRA}/policies/none", 404, "policyId"),
        Case("used driver", "DELETE", "/drivers/mock", 409, "driverName"),
        Case("used credential", "DELETE", "/credentials/cloud", 409, "credentialName"),
        Case("used region", "DELETE", "/regions/cloud", 409, "regionName"),
        Case("used connection", "DELETE", "/connections/cloud", 409, "connConfigName"),
        Case("used ns", "DELETE", "/ns/here", 409, "nameSpaceId"),
        Case("used infra", "DELETE", INFRA, 409, "infraSvcId"),
        Case("used vm", "DELETE", f"{INFRA}/vms/vm-1", 409, "vmId"),
        Case("resume what runs", "POST", f"{INFRA}/resume", 409, "infraSvcId"),
        Case("retry what runs", "POST", f"{INFRA}/retry", 409, ""),
        Case("roll back what runs", "POST", f"{INFRA}/rollback", 409, ""),
        Case(
            "unknown channel", "PUT", f"{INFRA}/alarmThresholds", 422, "thresholds[0].channels", rules(channels=["x"])
        ),
    ]


def query_cases() -> list[Case]:
    past = f"{INFRA}/monitoring?measurement=cpu"
    return [
        Case("unknown", "GET", "/ns?colour=red", 422, "colour"),
        Case("unknown beside known", "GET", "/events?colour=red", 422, "colour"),
        Case("no number", "GET", "/calls?limit=many", 422, "limit"),
        Case("too many", "GET", "/calls?limit=99999999", 422, "limit"),
        Case("negative", "GET", "/events?after=-1", 422, "after"),
        Case("beyond", "GET", f"/events?after={2**64}", 422, "after"),
        Case("no wait", "GET", "/operations/x?wait=31", 422, "wait"),
        Case("state", "GET", "/operations?state=odd", 422, "state"),
        Case("start nan", "GET", f"{past}&start=nan", 422, "start"),
        Case("end inf", "GET", f"{past}&end=inf", 422, "end"),
        Case("end far", "GET", f"{past}&end=1e300", 422, "end"),
        Case("start far", "GET", f"{past}&start=-1e300&end=5&step=0", 422, "start"),
        Case("step inf", "GET", f"{past}&start=1&step=inf", 422, "step"),
        Case("step tiny", "GET", f"{past}&start=1&end=9e9&step=1e-9", 422, "step"),
        Case("backwards", "GET", f"{past}&start=5&end=4", 422, "start"),
        Case("no measurement", "GET", f"{INFRA}/monitoring?start=1", 422, "measurement"),
    ]


def infra(*groups: Any, name: str = "new") -> dict[str, Any]:
    return {"name": name, "vmRequestList": list(groups)}


def pairs(*keys: str, name: str = "new") -> dict[str, Any]:
    items = [{"key": key, "value": "x"} for key in keys]
    return {"credentialName": name, "providerName": "mock", "keyValueInfoList": items}


def place(latitude: float, name: str = "new") -> dict[str, Any]:
    return api_world.region(name) | {"location": {"latitude": latitude, "longitude": 0}}


def rules(**more: Any) -> dict[str, Any]:
    return {"thresholds": [{"metric": "cpu.usage_active", "threshold": 50.0} | more]}


def policy(**more: Any) -> dict[str, Any]:
    return {"name": "new", "rule": "cpu-high", "action": "scaleOut"} | more


def network(**more: Any) -> dict[str, Any]:
    return {"name": "new", "connConfigName": "cloud"} | more


NAN_REGION = (
    b'{"regionName":"new","providerName":"mock","regionInfoList":[{"key":"Region","value":"x"}],'
    b'"location":{"latitude":NaN,"longitude":0}}'
)
ENDLESS = b'{"thresholds":[{"metric":"cpu.usage_active","threshold":1e999}]}'
