"""The alarm's part of the private cloud's story: the real VM is loaded, webhook and mail are told, it resolves."""

import time

from mcisd.demo import hypervisor_world as world
from mcisd.demo.receivers import FIRING, RESOLVED
from mcisd.demo.scene_alarm import HELD, LOAD, RULE, UNLOAD, messages_of, on_loaded, only_once
from mcisd.demo.show import Show, until
from mcisd.demo.telling import expect
from mcisd.demo.watching import about
from mcisd.demo.world import INFRA, NS

LIMIT, RECOVERY = 80, 60
FIRING_TIMEOUT, RESOLVED_TIMEOUT, CALM_TIMEOUT = 40.0, 40.0, 60.0


async def alarm(show: Show) -> None:
    """One threshold, one episode, one message of each kind at each receiver; then the rule goes, as boots are busy."""
    show.loaded = world.VM
    with show.tell.step("thresholds", f"told: webhook, mail; threshold: cpu > {LIMIT} for {HELD:g} s; the VM is calm"):
        await show.client.create_channel("webhook", show.webhook.url)
        await show.client.create_channel("mail", show.mail.url)
        await until(lambda: _calm(show), f"less than {RECOVERY} % of its CPU used", CALM_TIMEOUT)
        await _threshold(show)
    since = show.events.place
    with show.tell.step("load", f"{world.VM} loaded: a busy loop, all its CPU"):
        await on_loaded(show, LOAD.format(loops=1))
    begun = time.time()
    with show.tell.step("firing", "alarm fires") as step:
        event = await show.events.until("alarm.firing", FIRING_TIMEOUT, about(world.VM), since)
        step.text = f"alarm fires: cpu {float(event['data']['value']):.1f} > {LIMIT} held for {HELD:g} s"
    with show.tell.step("messages", "webhook and mail received it") as step:
        messages = await messages_of(show, FIRING)
        only_once(show, FIRING, messages)
        step.text = f"webhook and mail received: {messages[0].title}"
    show.tell.figures[f"load to both messages (threshold held {HELD:g} s)"] = max(m.at for m in messages) - begun
    with show.tell.step("resolved", "load ends, alarm resolves, both are told once"):
        await on_loaded(show, UNLOAD)
        await show.events.until("alarm.resolved", RESOLVED_TIMEOUT, about(world.VM), since)
        only_once(show, RESOLVED, await messages_of(show, RESOLVED))
        await show.client.set_thresholds(NS, INFRA, [])


async def _threshold(show: Show) -> None:
    rule = {
        "name": RULE, "metric": "cpu.usage_active", "tags": {"cpu": "cpu-total"}, "comparison": ">",
        "threshold": LIMIT, "recovery": RECOVERY, "forS": HELD, "severity": "critical", "channels": ["webhook", "mail"],
    }  # fmt: skip
    rules = await show.client.set_thresholds(NS, INFRA, [rule])
    expect([one["name"] for one in rules] == [RULE], f"the threshold {RULE} alone", rules)


async def _calm(show: Show) -> tuple[bool, object]:
    """Whether the VM has less to do than would keep an alarm from resolving: what it did to boot is over."""
    found = await show.client.monitoring(
        NS, INFRA, world.VM, measurement="cpu", fields="usage_active", start=time.time() - 20, end=time.time() + 1,
        step=2, **{"tag.cpu": "cpu-total"},
    )  # fmt: skip
    values = [value for series in found["series"] for value in series["values"] if value is not None]
    return bool(values) and values[-1] < RECOVERY, values[-3:]
