"""Scene 4: the whole is suspended, resumed, rebooted; a VM is lost by its cloud, found and replaced."""

import asyncio
import time

from mcisd.demo.scene_alarm import REPLACE
from mcisd.demo.scene_web import open_pages, silent
from mcisd.demo.show import Show, until
from mcisd.demo.telling import expect
from mcisd.demo.watching import about
from mcisd.demo.world import INFRA, NS


async def control(show: Show) -> None:
    """Suspend, resume, reboot; the status text tells each way."""
    count = len(await show.vms())
    with show.tell.step("suspend", "suspend") as step:
        step.text = f"suspended: {await _act(show, 'suspend', f'Suspended:{count} (R:0/{count})')}"
        url = next(iter(show.pages.values()))
        expect(await silent(url), "a suspended VM to be silent", f"{url} answers")
    with show.tell.step("resume", "resume") as step:
        text = await _act(show, "resume", f"Running:{count} (R:{count}/{count})")
        await open_pages(show, 20.0)
        step.text = f"resumed: {text}; all pages answer again"
    since = time.time()
    with show.tell.step("reboot", "reboot") as step:
        step.text = f"rebooted: {await _act(show, 'reboot', f'Running:{count} (R:{count}/{count})')}"
    with show.tell.step("agents-back", f"{count} agents report again after the reboot"):
        await show.until_reporting(max(since, await _booted(show)), 60.0)


async def _act(show: Show, action: str, wanted: str) -> str:
    """Act on the whole; the status texts seen on the way, the last of which must be ``wanted``."""
    operation = await show.client.act(NS, INFRA, action)
    end = asyncio.ensure_future(show.finished(operation, 60.0))
    texts: list[str] = []
    try:
        while not end.done():
            await _note(show, texts)
            await asyncio.wait({end}, timeout=0.1)
        await end
    finally:
        end.cancel()
    await _note(show, texts)
    expect(texts[-1] == wanted, f"status {wanted}", texts)
    expect(len(texts) > 1, "another status text while it is under way", texts)
    return f"{texts[0]} → {texts[-1]}"


async def _booted(show: Show) -> float:
    """When the last VM booted."""
    return max(float(vm["startedAt"]) for vm in await show.vms())


async def _note(show: Show, texts: list[str]) -> None:
    text = (await show.client.status(NS, INFRA))["status"]
    if not texts or texts[-1] != text:
        texts.append(text)


async def lose_one(show: Show) -> None:
    """The cloud loses a VM without a word; the daemon finds that, and the policy makes another in its place."""
    vm = next(vm for vm in await show.vms() if vm["region"] == "europe-west3" and vm["name"] in show.pages)
    since, begun = show.events.place, time.monotonic()
    with show.tell.step("crash", f"{vm['name']} crashed at its cloud; found"):
        await show.cloud.crash(vm["providerName"], vm["region"], vm["cloudId"])
        await show.events.until("vm.failed", 30.0, about(vm["name"]), since)
    show.tell.figures["crash at the cloud to found"] = time.monotonic() - begun
    with show.tell.step("replace", "replaced by the policy") as step:
        await show.events.until("policy.acted", 15.0, lambda event: event["data"]["policy"] == REPLACE, since)

        async def replaced() -> tuple[bool, object]:
            now = [one for one in await show.vms() if one["name"] == vm["name"]]
            good = [one for one in now if one["state"] == "Running" and one["cloudId"] != vm["cloudId"]]
            return bool(good), [(one["name"], one["state"], one["error"]) for one in now]

        await until(replaced, f"another {vm['name']} to run", 40.0)
        step.text = f"replaced by the policy: another {vm['name']} runs"
    show.tell.figures["crash at the cloud to replacement Running"] = time.monotonic() - begun
