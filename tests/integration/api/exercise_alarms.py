"""Exercises: thresholds, channels, messages, alarms, policies on a mock MCIS."""

from tests.integration.api import api_world
from tests.integration.api.api_hook import webhook
from tests.integration.api.api_kit import SECRET
from tests.integration.api.exercise import Bench, exercises

DEFAULTS = ["cpu-high", "disk-full", "memory-high", "silent"]


@exercises(
    "SetInfraSvcAlarmThresholdValue", "GetInfraSvcAlarmThresholdValue", "ResetInfraSvcAlarmThresholdValue"
)  # fmt: skip
async def thresholds(bench: Bench) -> None:
    path = await api_world.infra(bench.api, bench.conn) + "/alarmThresholds"
    before = await bench.api.get(path)
    assert [one["name"] for one in before["thresholds"]] == DEFAULTS
    body = {"thresholds": [{"name": "hot", "metric": "cpu.usage_active", "threshold": 50.0, "recovery": 40.0}]}
    stored = (await bench.api("PUT", path, body, expect=200)).body
    assert stored["thresholds"][0]["tags"] == {"cpu": "cpu-total"}
    assert await bench.api.get(path) == stored
    assert (await bench.api("PUT", path, stored, expect=200)).body == stored  # what is shown can be sent again
    reset = (await bench.api("DELETE", path, expect=200)).body
    assert reset == before == await bench.api.get(path)


@exercises("CreateChannel", "ListChannel", "DeleteChannel", "TestChannel")
async def channels(bench: Bench) -> None:
    name = api_world.fresh("hook")
    async with webhook() as hook:
        made = await bench.api.post("/channels", {"name": name, "url": hook.apprise_url(SECRET)})
        assert made["scheme"] == "json"
        assert made in await bench.api.get("/channels")
        await bench.api("POST", f"/channels/{name}/test", expect=204)
        assert len(hook.received) == 1
        assert hook.paths == [f"/{SECRET}"]
    gone = await bench.api("POST", f"/channels/{name}/test", expect=502)
    assert gone.body["code"] == "delivery"
    await bench.api.delete(f"/channels/{name}")
    assert made not in await bench.api.get("/channels")


@exercises("ListAlarm", "ListMessage")
async def alarms(bench: Bench) -> None:
    """That they show what happened is for test_api_alarm_path.py; here every filter is taken."""
    assert await bench.api.get("/alarms?ns=nobody&infra=nothing&phase=firing&limit=5") == []
    assert await bench.api.get("/messages?state=dead&limit=5") == []
    wrong = await bench.api("GET", "/alarms?phase=burning", expect=422)
    assert wrong.body["field"] == "phase"


@exercises("CreatePolicy", "ListPolicy", "GetPolicy", "DeletePolicy", "ListPolicyRun")
async def policies(bench: Bench) -> None:
    path = await api_world.infra(bench.api, bench.conn)
    body = {"name": "grow", "rule": "cpu-high", "action": "scaleOut", "maximum": 3, "dryRun": True}
    made = await bench.api.post(f"{path}/policies", body)
    assert made == await bench.api.get(f"{path}/policies/grow")
    assert await bench.api.get(f"{path}/policies") == [made]
    assert await bench.api.get(f"{path}/policies/grow/runs") == []
    await bench.api.delete(f"{path}/policies/grow")
    assert await bench.api.get(f"{path}/policies") == []
