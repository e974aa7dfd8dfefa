"""One MCIS across AWS, GCP, Azure, libvirt and OpenStack, steered by single commands of `mcis`; nothing is left behind.

Behind the clouds stand moto, two stubs of ours, libvirt's test hypervisor and the real control plane of OpenStack: no
VM has a machine, so no agent is installed.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcisd.cli.main import main
from mcisd.model.cloud import ConnectionSpec
from tests.clouds.many import many_clouds
from tests.integration.api.api_kit import Api, daemon, eventually, settings_of

pytestmark = [pytest.mark.clouds, pytest.mark.slow, pytest.mark.timeout(300)]
PATHS = {
    "aws": "mcisd.drivers.aws.driver:AwsDriver",
    "azure": "mcisd.drivers.azure.driver:AzureDriver",
    "gcp": "mcisd.drivers.gcp.driver:GcpDriver",
    "libvirt": "mcisd.drivers.libvirt.driver:LibvirtDriver",
    "openstack": "mcisd.drivers.openstack.driver:OpenStackDriver",
}
REFUSALS = {"cloud-auth", "cloud-invalid", "cloud-unsupported", "cloud-quota", "cloud-capacity"}
"""None of these may have occurred; a late answer may, on a machine with much to do, and is asked for again."""
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Shell:
    """Calls `mcis` and reads what it prints."""

    capsys: pytest.CaptureFixture[str]

    async def __call__(self, *arguments: str, code: int = 0) -> str:
        ended = await asyncio.to_thread(main, list(arguments))
        shown = self.capsys.readouterr()
        assert ended == code, f"mcis {' '.join(arguments)}: {shown.out}{shown.err}"
        return shown.out

    async def json(self, *arguments: str) -> Any:
        return json.loads(await self(*arguments, "-o", "json"))


async def connect(
    shell: Shell, api: Api, name: str, spec: ConnectionSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credential and connection as a user makes them: no secret is an argument."""
    if name not in {row["driverName"] for row in await api.get("/drivers")}:
        await api.post("/drivers", {"driverName": name, "providerName": name, "driverPath": PATHS[name]})
    options: list[str] = []
    for key, value in spec.credential.items():
        if key == "service_account_json":
            (folder / "key.json").write_text(value)
            options += ["--file", str(folder / "key.json")]
        elif "secret" in key:
            monkeypatch.setenv(f"MY_{key}", value)
            options += ["--set-env", f"{key}=MY_{key}"]
        else:
            options += ["--set", f"{key}={value}"]
    await shell("credential", "add", name, "--provider", name, *options)
    infos = [word for key, value in spec.region_info.items() for word in ("--info", f"{key}={value}")]
    create = ["connection", "create", name, "--driver", name, "--credential", name, "--region", spec.region]
    assert f"connection {name} works" in await shell(*create, *infos)


@pytest.mark.parametrize(
    "whole",
    [pytest.param(False, id="four"), pytest.param(True, id="five", marks=pytest.mark.openstack)],
)
async def test_one_mcis_across_all_clouds(
    whole: bool,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plane = request.getfixturevalue("openstack") if whole else None
    settings = settings_of(tmp_path / "home", reconcile={"busy_s": 0.1, "idle_s": 0.5})
    async with many_clouds(tmp_path, plane) as clouds, daemon(settings) as api:
        monkeypatch.setenv("MCIS_URL", api.app.url)
        monkeypatch.setenv("MCIS_TOKEN", (tmp_path / "home" / "token").read_text().strip())
        shell = Shell(capsys)
        for name, spec in clouds.items():
            await connect(shell, api, name, spec, tmp_path, monkeypatch)
        await life(shell, list(clouds))
        for name in clouds:
            await eventually(nothing_at(shell, name), f"an empty cloud {name}")
        calls = await shell.json("calls", "-n", "1000")
        assert not {row["errorCode"] for row in calls} & REFUSALS
        asked = {row["connection"] for row in calls if row["requests"]}
        assert asked == set(clouds), "every driver tells what it sends"


async def life(shell: Shell, clouds: list[str]) -> None:
    """Create, list, suspend, resume, terminate, delete: one command each."""
    whole = len(clouds)
    groups = [word for name in clouds for word in ("--vm", f"{name}@{name}")]
    await shell("ns", "create", "default")
    assert f"{whole} of {whole} VM(s)" in await shell("create", "web", *groups)
    (row,) = await shell.json("list")
    assert row["status"] == f"Running:{whole} (R:{whole}/{whole})"
    assert {vm["providerName"] for vm in row["vms"]} == set(clouds)
    for vm in row["vms"]:
        assert ADDRESS.fullmatch(vm["privateAddress"] or vm["publicAddress"]), vm
        assert vm["vcpus"] >= 1
        assert vm["agent"] == "absent"
    for name in clouds:
        owned = await shell.json("connections", "owned", name)
        assert {one["known"] for one in owned} == {True}, owned
    for action, state in (("suspend", "Suspended"), ("resume", "Running"), ("terminate", "Terminated")):
        assert "succeeded" in await shell(action, "web", *(["--yes"] if action == "terminate" else []))
        assert (await shell.json("status", "web"))["counts"] == {state: whole}
    await shell("delete", "web")
    assert await shell.json("list") == []


def nothing_at(shell: Shell, connection: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        found: list[object] = await shell.json("connections", "owned", connection)
        return not found

    return look
