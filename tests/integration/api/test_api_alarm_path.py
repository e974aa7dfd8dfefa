"""An alarm from end to end: a real load on a real VM, measured by its real agent, told to a real webhook, acted on."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.api.api_hook import webhook
from tests.integration.api.api_kit import SECRET, eventually
from tests.integration.api.api_local import Local

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOAD = "for n in 1 2 3; do nohup sh -c 'while :; do :; done' >/dev/null 2>&1 & echo $!; done"
"""Three loops, so that the VM is loaded also where other tests share the machine's cores."""
RULE = {
    "name": "hot", "metric": "cpu.usage_active", "threshold": 25.0, "recovery": 15.0, "forS": 1.0,
    "severity": "critical", "channels": ["pager"],
}  # fmt: skip


async def alarm(local: Local, phase: str) -> Any:
    async def look() -> Any:
        found = await local.api.get(f"/alarms?ns=real&infra=site&phase={phase}")
        return [one for one in found if one["rule"] == "hot" and one["subject"] == "web-2"]

    return (await eventually(look, f"alarm {phase}"))[0]


async def run(local: Local, command: str) -> str:
    answer = await local.api("POST", f"{local.path}/vms/web-2/command", {"command": command}, expect=200)
    assert answer.body["exitStatus"] == 0, answer.text
    return str(answer.body["stdout"])


async def told(local: Local, policy: str) -> Any:
    async def look() -> Any:
        return await local.api.get(f"{local.path}/policies/{policy}/runs")

    return await eventually(look, f"a run of policy {policy}")


async def test_alarm_from_load_to_message_to_action_to_end(local: Local) -> None:
    api = local.api
    start = await api.context.store.last_sequence()
    async with webhook() as hook:
        await api.post("/channels", {"name": "pager", "url": hook.apprise_url(SECRET)})
        await api("PUT", f"{local.path}/alarmThresholds", {"thresholds": [RULE]}, expect=200)
        would = {"name": "would-grow", "rule": "hot", "action": "scaleOut", "dryRun": True}
        await api.post(f"{local.path}/policies", would)
        note = {"name": "note", "rule": "hot", "action": "command", "command": "echo $MCIS_VM > noted"}
        await api.post(f"{local.path}/policies", note)

        pids = (await run(local, LOAD)).split()
        firing = await alarm(local, "firing")
        assert firing["value"] > 25
        assert (await told(local, "would-grow"))[0]["outcome"] == "dry-run"
        acted = (await told(local, "note"))[0]
        assert (acted["outcome"], acted["operation"]) == ("acted", "1 of 1 ended with 0")
        assert await run(local, "cat noted") == "web-2\n"
        used = await api("DELETE", "/channels/pager", expect=409)
        assert used.body["code"] == "in-use"

        await run(local, f"kill {' '.join(pids)}")
        await alarm(local, "ok")
        kinds = ("alarm.pending", "alarm.firing", "alarm.resolved")
        times = [datetime.fromisoformat((await local.event(kind, "web-2", start))["time"]) for kind in kinds]
        assert times[1] - times[0] > timedelta(seconds=0.9)
        assert times[2] > times[1]

        async def sent() -> bool:
            messages = await api.get("/messages?state=sent")
            return [m["kind"] for m in messages if m["channel"] == "pager"] == ["resolved", "firing"]

        await eventually(sent, "both messages sent")
        assert len(hook.received) == 2
    assert (await api.get(f"{local.path}/status"))["total"] == 2  # the dry run made no VM
    await api("DELETE", f"{local.path}/alarmThresholds", expect=200)
    for policy in ("would-grow", "note"):
        await api.delete(f"{local.path}/policies/{policy}")
    await api.delete("/channels/pager")
