"""Scene 3: one VM is really loaded; the alarm fires, two receivers are told, a policy acts, the alarm resolves."""

from mcisd.client.transport import Json
from mcisd.demo.receivers import FIRING, RESOLVED, Received, until_received
from mcisd.demo.show import Show
from mcisd.demo.telling import StepFailedError, expect
from mcisd.demo.watching import about
from mcisd.demo.world import INFRA, NS, TOTAL

RULE, HELD = "cpu-busy", 4.0
MORE_LOOPS, PATIENCE = 5, 12.0
SCALE_OUT, REPLACE = "elsewhere", "heal"
LOAD = """
for i in $(seq {loops}); do nohup sh -c 'while :; do :; done' > /dev/null 2>&1 < /dev/null & echo $! >> load.pids; done
date +%s.%N
"""
UNLOAD = "kill $(cat load.pids); rm load.pids; date +%s.%N"


async def prepare(show: Show) -> None:
    """Channels, one threshold with hysteresis, and two policies."""
    text = (
        f"told: webhook, mail ({show.mail.software}); threshold: cpu > 50 for {HELD:g} s; policies: scale out, replace"
    )
    with show.tell.step("thresholds", text):
        await show.client.create_channel("webhook", show.webhook.url)
        await show.client.create_channel("mail", show.mail.url)
        rule = {
            "name": RULE, "metric": "cpu.usage_active", "tags": {"cpu": "cpu-total"}, "comparison": ">",
            "threshold": 50, "recovery": 30, "forS": HELD, "severity": "critical", "channels": ["webhook", "mail"],
        }  # fmt: skip
        rules = await show.client.set_thresholds(NS, INFRA, [rule])
        expect([one["name"] for one in rules] == [RULE], f"the threshold {RULE} alone", rules)
        scale_out = {"name": SCALE_OUT, "rule": RULE, "action": "scaleOut", "maximum": TOTAL + 1}
        await show.client.create_policy(NS, INFRA, scale_out)
        await show.client.create_policy(NS, INFRA, {"name": REPLACE, "action": "replace", "cooldownS": 5})


async def load(show: Show) -> None:
    """Load, firing, messages, one VM more."""
    vm = next(vm for vm in await show.vms() if vm["region"] == "koreacentral")
    show.loaded = vm["name"]
    since = show.events.place
    with show.tell.step("load", f"{show.loaded} loaded: {vm['vcpus']} busy loop(s), all its CPU"):
        loaded_at = await on_loaded(show, LOAD.format(loops=max(1, vm["vcpus"])))
    with show.tell.step("firing", "alarm fires") as step:
        event, more = await until_firing(show, since)
        busy = f" (this machine is busy: {more} more loop(s) were needed)" if more else ""
        step.text = f"alarm fires{busy}: cpu {float(event['data']['value']):.1f} > 50 held for {HELD:g} s"
    with show.tell.step("messages", "webhook and mail received it") as step:
        messages = await messages_of(show, FIRING)
        step.text = f"webhook and mail received: {messages[0].title}"
        only_once(show, FIRING, messages)
    delivered = max(message.at for message in messages) - loaded_at
    if more:  # the first load was none yet: this says nothing about how fast the product is
        show.tell.figures["first loop to both messages (on a busy machine)"] = delivered
    else:
        show.tell.figures[f"load to both messages delivered (threshold held {HELD:g} s)"] = delivered
        show.tell.figures["the same without the time held"] = delivered - HELD
    with show.tell.step("scale-out", "policy adds a VM elsewhere") as step:
        acted = await show.events.until("policy.acted", 10.0, since=since)
        await show.finished({"id": acted["data"]["operation"], "kind": "expand"}, 40.0)
        new = next((one for one in await show.vms() if one["name"].startswith(SCALE_OUT)), None)
        where = new["connConfigName"] if new else "no new VM"
        expect(where not in ("no new VM", vm["connConfigName"]), "a VM on another connection", where)
        step.text = f"policy adds a VM elsewhere: {SCALE_OUT}-1 on {where}, because {vm['connConfigName']} is busy"


async def until_firing(show: Show, since: int) -> tuple[Json, int]:
    """The alarm; where other programs take the cores, one loop more at a time until the VM really is loaded."""
    for more in range(MORE_LOOPS):
        try:
            return await show.events.until("alarm.firing", PATIENCE, about(show.loaded), since), more
        except StepFailedError:
            await on_loaded(show, LOAD.format(loops=1))
    return await show.events.until("alarm.firing", PATIENCE, about(show.loaded), since), MORE_LOOPS


async def relax(show: Show) -> None:
    """The load ends; both receivers get one message that it did."""
    since = show.events.place
    with show.tell.step("resolved", "load ends, alarm resolves"):
        ended_at = await on_loaded(show, UNLOAD)
        await show.events.until("alarm.resolved", 30.0, about(show.loaded), since)
        messages = await messages_of(show, RESOLVED)
        only_once(show, RESOLVED, messages)
    show.tell.figures["end of load to both messages delivered"] = max(message.at for message in messages) - ended_at


async def on_loaded(show: Show, command: str) -> float:
    """Run a command on the loaded VM that prints the time; returns that time."""
    result = (await show.client.command(NS, INFRA, command, vms=(show.loaded,)))[0]
    expect(result["exitStatus"] == 0, "the command to end with 0", result["error"] or result["stderr"])
    return float(result["stdout"].split()[-1])


async def messages_of(show: Show, kind: str) -> list[Received]:
    return [
        await until_received(show.webhook, kind, "webhook", 15.0),
        await until_received(show.mail, kind, "mail server", 15.0),
    ]


def only_once(show: Show, kind: str, messages: list[Received]) -> None:
    """Each receiver got exactly one message of this kind, about the loaded VM."""
    expect(all(show.loaded in message.title for message in messages), f"messages about {show.loaded}", messages)
    counts(show, kind, 1)


def counts(show: Show, kind: str, wanted: int) -> None:
    """Exactly so many messages of a kind at each receiver."""
    for name, receiver in (("webhook", show.webhook), ("mail server", show.mail)):
        got = [message.title for message in receiver.received if message.kind == kind]
        expect(len(got) == wanted, f"exactly {wanted} {kind} message(s) at the {name}", got)
