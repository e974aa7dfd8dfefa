"""Real VMs for the tests: a local cloud behind a connection, one MCIS of two VMs whose agents are up.

In: an ``Api`` with agents enabled, a directory for the cloud. Out: names, and how to look at one VM's row.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcisd.model.records import Vm
from tests.integration.api.api_kit import SECRET, Api, eventually

CONNECTION = "local-1"


@dataclass(frozen=True)
class Local:
    """``path`` is that of the MCIS; its VMs are web-1 and web-2."""

    api: Api
    path: str
    cloud: Path

    async def row(self, vm: str) -> Vm:
        """The stored row of a VM of ``path``."""
        shown = await self.api.get(f"{self.path}/vms/{vm}")
        async with self.api.context.store.reading() as tx:
            found = await tx.get(Vm, shown["id"])
        assert found is not None
        return found

    async def event(self, kind: str, vm: str = "", after: int = 0) -> Any:
        """The first event of this type about ``vm`` (or about the MCIS) after a sequence, as soon as it is there."""
        subject = self.path.removeprefix("/") + (f"/vm/{vm}" if vm else "")

        async def look() -> Any:
            found = await self.api.get(f"/events?after={after}&type={kind}&subject={subject}&limit=10")
            return found[0] if found else None

        return await eventually(look, f"event {kind} of {subject}")

    async def agents_up(self, count: int = 2) -> None:
        async def look() -> bool:
            return bool((await self.api.get(f"{self.path}/status"))["agentsUp"] == count)

        await eventually(look, f"{count} agents up")


def group(name: str, count: int = 1) -> dict[str, Any]:
    images = {"imageId": "debian-12", "specId": "local.nano"}
    return {"name": name, "count": count, "connConfigName": CONNECTION} | images


async def connection(api: Api, cloud: Path, account: str) -> None:
    """A connection named CONNECTION to the local cloud that lives in ``cloud``."""
    values = {"account": account, "secret": SECRET, "home": str(cloud)}
    pairs = [{"key": key, "value": value} for key, value in values.items()]
    await api.post("/credentials", {"credentialName": "local", "providerName": "local", "keyValueInfoList": pairs})
    pairs = [{"key": "Region", "value": "us-east-1"}, {"key": "delay_scale", "value": "0.1"}]
    await api.post("/regions", {"regionName": "local", "providerName": "local", "regionInfoList": pairs})
    parts = {"driverName": "local", "credentialName": "local", "regionName": "local"}
    await api.post("/connections", {"connConfigName": CONNECTION} | parts)


async def local_world(api: Api, cloud: Path) -> Local:
    """Two VMs with agents, on a new local cloud."""
    await connection(api, cloud, "tests")
    await api.post("/ns", {"name": "real"})
    body = {"name": "site", "vmRequestList": [group("web", 2)]}
    await api.finished(await api.post("/ns/real/infra", body, expect=202))
    world = Local(api, "/ns/real/infra/site", cloud)
    await world.agents_up()
    return world
