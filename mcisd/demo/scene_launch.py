"""Scene 1: clouds are connected, 18 VMs launched as one MCIS, their agents installed, the first samples stored."""

import time

from mcisd.demo.show import Show, until
from mcisd.demo.telling import expect
from mcisd.demo.world import CLOUDS, INFRA, NS, PLACES, TOTAL


async def connect(show: Show) -> None:
    """Four credentials, ten regions, ten connections; each is checked against its cloud."""
    with show.tell.step("connections", f"{len(CLOUDS)} clouds, {len(PLACES)} regions connected and checked") as step:
        for cloud in CLOUDS:
            values = {"account": cloud, "secret": show.cloud.secrets[cloud]}
            await show.client.register_credential(cloud, "local", values)
        for place in PLACES:
            name = place.connection
            info = {"Region": place.region, "Provider": place.cloud}
            await show.client.register_region(name, "local", info, place.location)
            await show.client.create_connection(name, "local", place.cloud, name)
            check = await show.client.check_connection(name)
            expect(check["ok"], f"connection {name} to work", check["error"])
        step.text += f": {', '.join(CLOUDS)}"


async def launch(show: Show) -> None:
    """One request; from it, the clocks of the figures run."""
    await show.client.create_namespace(NS, "the demonstration")
    begun = time.monotonic()
    with show.tell.step("create", f"MCIS {INFRA} asked for: {TOTAL} VMs in one request"):
        request = {"name": INFRA, "vmRequestList": [place.group for place in PLACES]}
        operation = await show.client.create_infra(NS, request)
        expect(operation["total"] == TOTAL, f"an operation of {TOTAL} VMs", operation["total"])
    with show.tell.step("running", "all Running") as step:
        await show.finished(operation, 60.0)
        status = await show.client.status(NS, INFRA)
        expect(status["running"] == TOTAL, f"{TOTAL} running VMs", status["status"])
        step.text = f"all Running: {status['status']}"
    show.tell.figures[f"create to {TOTAL} VMs Running"] = time.monotonic() - begun
    with show.tell.step("agents", f"{TOTAL} agents up, installed over SSH"):
        await until(lambda: _agents(show), f"{TOTAL} agents up", 60.0)
    show.tell.figures[f"create to {TOTAL} agents up"] = time.monotonic() - begun
    with show.tell.step("sample", "first sample stored (10 s windows of 2 s samples)"):
        await _until_stored(show)
    show.tell.figures["create to first stored sample"] = time.monotonic() - begun


async def _agents(show: Show) -> tuple[bool, object]:
    status = await show.client.status(NS, INFRA)
    return status["agentsUp"] == TOTAL, status["agentsUp"]


async def _until_stored(show: Show) -> None:
    """A period is always answered from the store."""

    async def stored() -> tuple[bool, object]:
        now = time.time()
        answer = await show.client.monitoring(
            NS, INFRA, measurement="cpu", fields="usage_active", start=now - 120, end=now + 5
        )
        return bool(answer["series"]), "no series"

    await until(stored, "a stored sample", 40.0)
