"""Agents that lie, were put out, or have a wrong clock; hosts with a wrong key or out of reach: what then."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcisd.agent.bundle import build_bundle
from mcisd.daemon.agents.doorkeeper import new_token
from mcisd.daemon.fleet.keys import new_key_pair
from mcisd.model import wire
from mcisd.model.records import Vm
from mcisd.model.states import AgentState
from tests.integration.api import api_local, api_world
from tests.integration.api.api_kit import Api, daemon, eventually, settings_of
from tests.integration.api.api_local import Local
from tests.integration.collectors.collectors_agent import Connection

pytestmark = pytest.mark.asyncio(loop_scope="session")
SETTINGS = "cat $(find ~ -name agent.json)"


@asynccontextmanager
async def link(api: Api) -> AsyncIterator[Connection]:
    """A TLS connection to the daemon's door for agents."""
    ca = (api.app.settings.home / "tls" / "ca.pem").read_text()
    connection = await Connection.open(api.app.collector_port, ca)
    try:
        yield connection
    finally:
        await connection.close()


async def refusal(api: Api, vm: str, token: str) -> str:
    """The code with which an agent is sent away."""
    async with link(api) as agent:
        kind, body = await agent.hello(vm, token)
        assert kind == wire.REFUSED, body
        return str(body["code"])


async def test_a_forged_token_is_refused_and_told(local: Local) -> None:
    start = await local.api.context.store.last_sequence()
    row = await local.row("web-1")
    assert await refusal(local.api, row.uid, "forged-4711") == "forged"
    assert await refusal(local.api, "vm-nobody", "forged-4711") == "unknown"
    event = await local.event("agent.refused", "web-1", start)
    assert "token is forged" in event["data"]["text"]
    assert "4711" not in json.dumps(event)
    assert (await local.api.get(f"{local.path}/vms/web-1"))["agent"] == "up"


async def test_the_token_of_a_terminated_vm_is_revoked(local: Local) -> None:
    body = {"name": "brief", "vmRequestList": [api_local.group("one")]}
    await local.api.finished(await local.api.post("/ns/real/infra", body, expect=202))
    brief = Local(local.api, "/ns/real/infra/brief", local.cloud)
    await brief.agents_up(1)
    told = await local.api("POST", f"{brief.path}/vms/one-1/command", {"command": SETTINGS}, expect=200)
    token, uid = json.loads(told.body["stdout"])["token"], (await brief.row("one-1")).uid
    await local.api.finished(await local.api.post(f"{brief.path}/terminate", expect=202))
    assert await refusal(local.api, uid, token) == "revoked"
    event = await brief.event("agent.refused", "one-1")
    assert "token is revoked" in event["data"]["text"]
    assert (await local.api.get(f"{brief.path}/vms/one-1"))["agent"] == "removed"
    await local.api.delete(brief.path)


@pytest.mark.timeout(120)
async def test_an_agent_of_an_older_version_is_upgraded_in_place(local: Local) -> None:
    start = await local.api.context.store.last_sequence()

    async def installed() -> Vm | None:  # an agent may call before its installation is noted
        found = await local.row("web-1")
        return found if found.agent_version else None

    before = await eventually(installed, "the version of the agent")
    await change(local.api, before.uid, lambda vm: replace(vm, agent_version="0.0.1"))

    async def upgraded() -> bool:
        now = await local.row("web-1")
        return now.agent is AgentState.UP and now.agent_version == before.agent_version

    await eventually(upgraded, "the new agent up", 60.0)
    await local.event("agent.upgrading", "web-1", start)
    assert (await local.row("web-1")).agent_token_hash != before.agent_token_hash


async def test_a_clock_ten_minutes_slow_is_corrected_and_told(api: Api, conn: str) -> None:
    path = await api_world.infra(api, conn)
    uid = (await api.get(f"{path}/vms/vm-1"))["id"]
    token, hashed = new_token()
    await change(api, uid, lambda vm: replace(vm, agent_token_hash=hashed))
    wrong = int(time.time() * 1000) - 600_000
    async with link(api) as agent:
        kind, body = await agent.hello(uid, token, time_ms=wrong)
        assert kind == wire.WELCOME, body
        agent.schema(1, [["mem", "used_percent", {}, "g"]])
        agent.frame(1, wrong, [42.0])

        async def last() -> Any:
            return (await api.get(f"{path}/monitoring?measurement=mem"))["series"]

        series = (await eventually(last, "the sample"))[0]
    assert series["values"] == [42.0]
    assert abs(series["times"][0] - time.time()) < 10
    event = await Local(api, path, Path()).event("agent.clock-skew", "vm-1")
    assert event["data"]["text"] == "vm-1: its clock is 600 s slow; its samples are corrected"


async def change(api: Api, uid: str, turn: Callable[[Vm], Vm]) -> None:
    async with api.context.store.transaction() as tx:
        row = await tx.get(Vm, uid)
        assert row is not None
        await tx.update(turn(row))


@pytest.mark.parametrize(
    ("turn", "code", "agent_event"),
    [
        (lambda vm: replace(vm, host_key=new_key_pair("other")[1]), "did not show its pinned key", True),
        (lambda vm: replace(vm, ssh_port=9), "", False),
    ],
    ids=["wrong host key", "unreachable"],
)
async def test_a_host_that_is_not_ours_to_use(
    tmp_path: Path, local: Local, turn: Callable[[Vm], Vm], code: str, agent_event: bool
) -> None:
    """The VM is made by a daemon that installs no agents; the next one finds it changed, and says so."""
    settings = settings_of(tmp_path / "home")
    async with daemon(settings) as first:
        path, uid = await lone_vm(first, local.cloud)
        await change(first, uid, turn)
    settings = settings_of(tmp_path / "home", agents={"enabled": True})
    async with daemon(settings, build_bundle) as second:
        world = Local(second, path, local.cloud)

        async def failed() -> Any:
            shown = await second.get(f"{path}/vms/vm-1")
            return shown if shown["agentError"] else None

        assert code in (await eventually(failed, "a failed installation"))["agentError"]
        assert (await world.row("vm-1")).agent in (AgentState.FAILED, AgentState.INSTALLING)
        if agent_event:
            event = await world.event("agent.failed", "vm-1")
            assert code in event["data"]["text"]
        told = await second("POST", f"{path}/vms/vm-1/command", {"command": "true"}, expect=200)
        assert told.body["exitStatus"] is None
        assert code in told.body["error"] != ""
        await api_world.wipe(second, path)


async def lone_vm(api: Api, cloud: Path) -> tuple[str, str]:
    """The path of a new MCIS of one VM at the local cloud, and the VM's uid."""
    await api_local.connection(api, cloud, f"other-{api_world.fresh('account')}")
    await api.post("/ns", {"name": "alone"})
    body = {"name": "one", "vmRequestList": [api_local.group("vm")]}
    await api.finished(await api.post("/ns/alone/infra", body, expect=202))
    path = "/ns/alone/infra/one"
    return path, (await api.get(f"{path}/vms/vm-1"))["id"]
