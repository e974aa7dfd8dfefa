"""The private cloud's story: one VM on a real hypervisor is made, logged into, watched, loaded, stopped, started, lost
to an intruder, and taken away. Every look at it goes through mcisd; the hypervisor's own tools only confirm.
"""

import time
from dataclasses import dataclass

from mcisd.client.transport import Json
from mcisd.demo import hypervisor_world as world
from mcisd.demo.hypervisor import Hypervisor
from mcisd.demo.show import Show, until
from mcisd.demo.telling import StepFailedError, expect
from mcisd.demo.world import INFRA, NS

MARK = "~/was-here"
FACTS = "uname -sr; systemd-detect-virt; awk '/^btime/ {print $2}' /proc/stat; ls /etc/ssh/ssh_host_*_key"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
ONE_KEY = ["/etc/ssh/ssh_host_ed25519_key"]
BOOT_TIMEOUT, AGENT_TIMEOUT, SAMPLE_TIMEOUT, REFUSED_TIMEOUT = 300.0, 300.0, 120.0, 120.0
ANSWER_TIMEOUT, OFF_TIMEOUT, END_TIMEOUT = 60.0, 90.0, 90.0
"""Seconds after which a step has failed; an emulated machine on a busy host is several times slower than alone."""

CHANGE_KEY = """
set -e
rm -f ~/other ~/other.pub
ssh-keygen -q -t ed25519 -N '' -f ~/other
sudo cp ~/other /etc/ssh/ssh_host_ed25519_key
sudo cp ~/other.pub /etc/ssh/ssh_host_ed25519_key.pub
sudo systemctl restart ssh
nohup sh -c 'sleep 0.5; pkill -u "$(id -un)" -x sshd' > /dev/null 2>&1 < /dev/null &
"""
"""At last it ends the logins there are: the next one meets the other key."""


@dataclass(slots=True)
class Guest:
    """What is known of the VM as the story goes on."""

    boot_id: str = ""
    booted: float = 0.0


async def connect(show: Show, hypervisor: Hypervisor) -> None:
    """The hypervisor as a cloud, and two regions beside it; each is checked."""
    with show.tell.step("connections", "the hypervisor and two regions beside it connected and checked"):
        await show.client.register_credential(world.ROOM, "libvirt", {"uri": hypervisor.uri})
        info = {
            "Region": world.ROOM, "Provider": "libvirt", "images": str(hypervisor.images), "pool": "default",
            "network_mode": "nat", "domain_type": "qemu", "disk_cache": "unsafe",
        }  # fmt: skip
        await show.client.register_region(world.ROOM, "libvirt", info, world.LOCATION)
        await show.client.create_connection(world.ROOM, "libvirt", world.ROOM, world.ROOM)
        for place in world.NEIGHBOURS:
            secret = {"account": place.cloud, "secret": show.cloud.secrets[place.cloud]}
            await show.client.register_credential(place.cloud, "local", secret)
            region = {"Region": place.region, "Provider": place.cloud}
            await show.client.register_region(place.connection, "local", region, place.location)
            await show.client.create_connection(place.connection, "local", place.cloud, place.connection)
        for name in (world.ROOM, *(place.connection for place in world.NEIGHBOURS)):
            check = await show.client.check_connection(name)
            expect(check["ok"], f"connection {name} to work", check["error"])


async def launch(show: Show, guest: Guest) -> None:
    """One request; a real kernel boots; a verified login; the agent; the first sample of that kernel in the store."""
    await show.client.create_namespace(NS, "the demonstration")
    begun = time.monotonic()
    with show.tell.step("create", f"MCIS {INFRA} asked for: 1 VM on the hypervisor, {world.TOTAL - 1} beside it"):
        operation = await show.client.create_infra(NS, world.REQUEST)
    with show.tell.step("running", "all Running") as step:
        await show.finished(operation, BOOT_TIMEOUT)
        vm = await _vm(show)
        step.text = (
            f"all Running: {world.VM} has {vm['vcpus']} vCPU, {vm['memoryMib']} MiB, address {vm['publicAddress']}"
        )
    with show.tell.step("login", "logged in with the pinned host key") as step:
        kernel, virtual, booted, *keys = (await _answer(show, FACTS, BOOT_TIMEOUT)).splitlines()
        expect(keys == ONE_KEY, "the host key that mcisd made as the VM's only one", keys)
        guest.booted = float(booted)
        guest.boot_id = await _answer(show, BOOT_ID, ANSWER_TIMEOUT)
        step.text = f"logged in, host key verified (it is the one mcisd made, and the only one): {kernel} on {virtual}"
    show.tell.figures["create to verified login on the VM"] = time.monotonic() - begun
    with show.tell.step("agents", f"{world.TOTAL} agents up, installed over SSH"):
        await until(lambda: _agents(show), f"{world.TOTAL} agents up", AGENT_TIMEOUT)
    show.tell.figures["create to agent up on the VM"] = time.monotonic() - begun
    with show.tell.step("sample", "sample of the real kernel stored") as step:
        stored = await _stored_boot_time(show)
        expect(abs(stored - guest.booted) <= 1.0, f"the boot time that the VM tells, {guest.booted:.0f}", stored)
        step.text = (
            f"sample of the real kernel stored: it booted at {time.strftime('%H:%M:%S', time.gmtime(stored))} UTC"
        )


async def control(show: Show, hypervisor: Hypervisor, guest: Guest) -> None:
    """Suspend, resume, reboot: the same disk, each time another boot of the kernel."""
    await _answer(show, f"touch {MARK}", ANSWER_TIMEOUT)
    with show.tell.step("suspend", "suspended") as step:
        await _act(show, "suspend", OFF_TIMEOUT)
        lines = (await hypervisor.virsh("list", "--all")).splitlines()
        states = [line for line in lines if world.VM in line]
        off = len(states) == 1 and "shut off" in states[0] and not hypervisor.guests()
        expect(off, "the domain shut off, no guest running", lines)
        step.text = "suspended: the hypervisor says shut off, no guest's process is left"
    for action, word in (("resume", "resumed"), ("reboot", "rebooted")):
        await _boot_again(show, guest, action, word)


async def _boot_again(show: Show, guest: Guest, action: str, word: str) -> None:
    begun = time.monotonic()
    with show.tell.step(action, word) as step:
        await _act(show, action, OFF_TIMEOUT)
        before, guest.boot_id = guest.boot_id, await _new_boot(show, guest.boot_id)
        since = time.time()
        await _answer(show, f"test -e {MARK}", ANSWER_TIMEOUT)
        step.text = f"{word}: same disk, same host key, boot id {before[:8]} → {guest.boot_id[:8]}"
    show.tell.figures[f"{action} to verified login"] = time.monotonic() - begun
    with show.tell.step(f"agent-after-{action}", "its agent reports again"):
        await show.until_reporting(since, AGENT_TIMEOUT)
    show.tell.figures[f"{action} to samples again"] = time.monotonic() - begun


async def intrude(show: Show) -> None:
    """The VM shows another host key: mcisd does not talk to it any more."""
    with show.tell.step("intruder", "the VM's host key is exchanged: no login any more") as step:
        await _run(show, CHANGE_KEY)

        async def refused() -> tuple[bool, object]:
            result = await _run(show, "true")
            return "did not show its pinned key" in result["error"], result["error"] or result["exitStatus"]

        await until(refused, "a login refused for the wrong host key", REFUSED_TIMEOUT)
        step.text += ", mcisd says so and sends nothing"


async def take_down(show: Show, hypervisor: Hypervisor) -> None:
    """Terminate and delete; mcisd and the hypervisor's own tools say that nothing is left."""
    with show.tell.step("terminate", "all terminated"):
        await show.finished(await show.client.act(NS, INFRA, "terminate"), END_TIMEOUT)
    with show.tell.step("nothing-left", "deleted: no domain, disk, network or process is left at the hypervisor"):
        await show.client.delete_infra(NS, INFRA)

        async def clean() -> tuple[bool, object]:
            found: dict[str, object] = dict(await hypervisor.left())
            found["owned"] = await show.client.list_owned(world.ROOM)
            found["local"] = [*await show.cloud.list_vms(), *show.cloud.directories()]
            return not any(found.values()), found

        await until(clean, "nothing left of any VM", END_TIMEOUT)


async def _vm(show: Show) -> Json:
    return next(vm for vm in await show.vms() if vm["name"] == world.VM)


async def _agents(show: Show) -> tuple[bool, object]:
    vms = await show.vms()
    late = [(vm["name"], vm["agent"], vm["agentError"]) for vm in vms if vm["agent"] != "up"]
    return not late, late


async def _act(show: Show, action: str, timeout: float) -> None:
    await show.finished(await show.client.act(NS, INFRA, action, world.VM), timeout)


async def _run(show: Show, command: str) -> Json:
    result: Json = (await show.client.command(NS, INFRA, command, vms=(world.VM,), timeout=60.0))[0]
    return result


async def _answer(show: Show, command: str, timeout: float) -> str:
    """What a command on the VM prints, asked again until it is reached; StepFailedError if it fails there."""
    results: list[Json] = []

    async def reached() -> tuple[bool, object]:
        results[:] = [await _run(show, command)]
        return results[0]["exitStatus"] is not None, results[0]["error"]

    await until(reached, "a login on the VM", timeout)
    if results[0]["exitStatus"] != 0:
        raise StepFailedError("the command to end with 0", results[0]["stderr"])
    return str(results[0]["stdout"]).strip()


async def _new_boot(show: Show, old: str) -> str:
    """The boot id as soon as it is another one."""
    seen = [old]

    async def another() -> tuple[bool, object]:
        seen[:] = [await _answer(show, BOOT_ID, BOOT_TIMEOUT)]
        return seen[0] != old, seen[0]

    await until(another, "another boot id", BOOT_TIMEOUT)
    return seen[0]


async def _stored_boot_time(show: Show) -> float:
    """The kernel's boot time as the VM's first stored sample tells it (seconds since the epoch)."""
    found: list[float] = []

    async def stored() -> tuple[bool, object]:
        now = time.time()
        answer = await show.client.monitoring(
            NS, INFRA, world.VM, measurement="kernel", fields="boot_time", start=now - 120, end=now + 5
        )
        found[:] = [value for series in answer["series"] for value in series["values"] if value is not None]
        return bool(found), "no stored sample"

    await until(stored, "a stored sample of the VM's kernel", SAMPLE_TIMEOUT)
    return found[-1]
