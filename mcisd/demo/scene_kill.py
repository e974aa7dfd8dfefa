"""Scene 5: the daemon is killed in the middle of a create and started again; then everything is taken down."""

import asyncio
import secrets
import time

from mcisd.client.transport import Json
from mcisd.demo.show import Show, until
from mcisd.demo.telling import expect
from mcisd.demo.world import INFRA, NS, PLACES

PHOENIX = "phoenix"
COUNT = 4
KILLED_AFTER = 0.3


async def kill_daemon(show: Show) -> None:
    """``kill -9`` shortly after the request; the same request is finished after the restart."""
    groups = [place.group | {"count": 1} for place in (PLACES[0], PLACES[3], PLACES[6], PLACES[9])]
    request: Json = {"name": PHOENIX, "vmRequestList": groups}
    key = secrets.token_hex(8)
    with show.tell.step("kill", f"kill -9 of the daemon {KILLED_AFTER:g} s into a create of {COUNT} VMs") as step:
        operation = await show.client.create_infra(NS, request, key)
        await asyncio.sleep(KILLED_AFTER)
        before = await show.client.get_operation(operation["id"])
        await show.daemon.kill()
        expect(before["state"] == "running", "the create to be under way when the daemon dies", before["state"])
        begun = [vm for vm in await show.cloud.list_vms() if vm["tags"].get("mcisd-infra") == PHOENIX]
        step.text += f": {len(begun)} begun at the clouds"
    start = time.monotonic()
    with show.tell.step("restart", "daemon started again, answers"):
        await show.daemon.start()
        await show.client.ready()
        restarted = time.time()
    show.tell.figures["daemon start to first answer"] = time.monotonic() - start
    with show.tell.step("finish", "it finishes the same create") as step:
        await show.finished(operation, 60.0)
        again = await show.client.create_infra(NS, request, key)
        expect(again["id"] == operation["id"], "the same request to answer the same operation", again["id"])
        lost, known = await _compare(show)
        step.text = f"it finishes the same create: {known} VMs here and at the clouds, none lost, none doubled"
        expect(not lost, "the same VMs here and at the clouds", lost)
    with show.tell.step("agents-reconnect", "all agents report to the new daemon") as step:
        counts = [await show.until_reporting(restarted, 60.0, infra) for infra in (INFRA, PHOENIX)]
        step.text = f"all {sum(counts)} agents report to the new daemon"


async def _compare(show: Show) -> tuple[list[str], int]:
    """What is only here or only at the clouds, and how many are known."""
    here = [vm["cloudId"] for infra in (INFRA, PHOENIX) for vm in await show.vms(infra)]
    there = [vm["id"] for vm in await show.cloud.list_vms()]
    expect(len(set(here)) == len(here), "no VM twice", here)
    return sorted(set(here) ^ set(there)), len(here)


async def take_down(show: Show) -> None:
    """Terminate, delete, and look for leftovers on every side."""
    with show.tell.step("terminate", "all terminated"):
        begun = [await show.client.act(NS, infra, "terminate") for infra in (INFRA, PHOENIX)]
        for operation in begun:
            await show.finished(operation, 60.0)
    with show.tell.step("nothing-left", "deleted: no process, directory or row of a VM is left"):
        for infra in (INFRA, PHOENIX):
            await show.client.delete_infra(NS, infra)

        async def clean() -> tuple[bool, object]:
            left = {
                "rows": await show.client.list_infra(NS),
                "cloud": [vm["id"] for vm in await show.cloud.list_vms()],
                "directories": show.cloud.directories(),
                "processes": show.cloud.processes(),
            }
            return not any(left.values()), left

        await until(clean, "nothing left of any VM", 20.0)
