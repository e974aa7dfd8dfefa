"""No secret ever comes out: not in answers, events, log records, nor in the arguments or environment of a process."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcisd.model.records import Resource, Vm
from tests.integration.api import api_world
from tests.integration.api.api_kit import SECRET, Api, Records
from tests.integration.api.api_local import Local

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def secrets_of(local: Local) -> list[str]:
    """All there are: what was planted, the token, private keys of users and hosts, the tokens of running agents."""
    context = local.api.context
    found = [SECRET, local.api.token]
    async with context.store.reading() as tx:
        keys, vms = await tx.find(Resource, kind="sshKey"), await tx.find(Vm)
    assert keys
    assert vms
    found += [line for key in keys for line in body(context.vault.ssh_key(key.uid, key.sealed))]
    found += [line for vm in vms for line in body(context.vault.host_key(vm.uid, vm.sealed_host_key))]
    return found


async def agent_tokens(local: Local) -> list[str]:
    """Read where they lie, by root: as processes of the machine, not through the API."""
    found = [json.loads(path.read_text())["token"] for path in local.cloud.rglob("agent.json")]
    assert len(found) >= 2
    return found


def body(private: str) -> list[str]:
    """The lines of a private key that are its own; the first and the last few are the same in all."""
    lines = [line for line in private.strip().splitlines() if "---" not in line][2:]
    assert lines
    return lines


async def everything(api: Api) -> list[str]:
    """Every page that can be read, asked anew."""
    paths = [
        "/drivers", "/credentials", "/regions", "/connections", "/calls?limit=10000", "/ns", "/infra", "/system",
        "/operations?limit=1000", "/alarms", "/channels", "/messages?limit=10000", "/events?after=0&limit=1000",
    ]  # fmt: skip
    for one in await api.get("/ns"):
        paths += [f"/ns/{one['name']}/{kind}" for kind in ("images", "specs", "networks", "securityGroups", "sshKeys")]
    return [json.dumps(await api.get(path)) for path in paths]


def processes() -> list[str]:
    """Arguments and environment of every process of this machine that may be read."""
    texts = []
    for name in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{name}"):
            try:
                texts.append(path.read_bytes().decode(errors="replace"))
            except OSError:
                continue  # it has ended meanwhile, or is not ours
    assert len(texts) > 10
    return texts


async def test_no_secret_comes_out(local: Local, records: Records) -> None:
    await provoke(local.api)
    pages = {
        "answer": local.api.answers + await everything(local.api),
        "log": records.lines,
        "process": processes(),
        "files": [path.read_text() for path in local.api.app.settings.home.glob("daemon.json")],
    }
    assert pages["log"]
    shown = await told_once(local.api)
    for secret in await secrets_of(local) + await agent_tokens(local):
        for where, texts in pages.items():
            leaks = [text for text in texts if secret in text and text not in shown]
            assert not leaks, f"a secret in {where}: …{leaks[0][:200]}…"


async def told_once(api: Api) -> set[str]:
    """A test of this session has a VM print its agent's settings: who may run commands there may read them."""
    return {text for text in api.answers if '"spool_dir\\"' in text}


async def provoke(api: Api) -> None:
    """Secrets in places where they are wrong: errors must not repeat them."""
    name = api_world.fresh("leak")
    twice = [{"key": SECRET, "value": SECRET}] * 65
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/credentials", {"credentialName": name, "providerName": "mock", "keyValueInfoList": twice}),
        ("POST", "/credentials", {"credentialName": name, "providerName": "mock", "keyValueInfoList": SECRET}),
        ("POST", "/credentials", {"credentialName": SECRET.upper(), "providerName": "mock", "keyValueInfoList": []}),
        ("POST", "/channels", {"name": name, "url": f"nonsense://{SECRET}"}),
        ("POST", "/channels", {"name": name, "url": f"json://{SECRET}:x/\x00"}),
        ("POST", "/channels", {"name": name, "url": {"secret": SECRET}}),
    ]
    for method, path, body_ in requests:
        answer = await api(method, path, body_)
        assert SECRET not in answer.text
        if answer.status == 201:
            await api("DELETE", f"{path}/{name}")
    await api.post("/channels", {"name": name, "url": f"json://127.0.0.1:1/{SECRET}?token={SECRET}"})
    told = await api("POST", f"/channels/{name}/test", expect=502)
    assert SECRET not in told.text
    await api.delete(f"/channels/{name}")


async def test_sealed_values_are_sealed_on_disk(local: Local) -> None:
    raw = b"".join(path.read_bytes() for path in local.api.app.settings.home.glob("mcisd.sqlite*"))
    assert SECRET.encode() not in raw
    assert b"OPENSSH PRIVATE" not in raw
