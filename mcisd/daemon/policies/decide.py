"""Should a policy act on an event, and how. Pure."""

from collections import Counter
from dataclasses import dataclass

from mcisd.model.alarms import Policy, PolicyAction
from mcisd.model.events import Event, locate
from mcisd.model.records import Vm
from mcisd.model.states import Goal, VmState

AUTO_LABEL = "mcisd-policy"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``act`` False: ``reason`` says why not. ``connection`` and ``vms`` say where and on what."""

    act: bool
    reason: str
    connection: str = ""
    vms: tuple[str, ...] = ()
    count: int = 0


def concerns(policy: Policy, event: Event) -> bool:
    """Is this event the condition of this policy?"""
    if not policy.enabled:
        return False
    place = locate(event.subject)
    if (place.ns, place.mcis) != (policy.ns, policy.mcis):
        return False
    if policy.rule:
        return event.type == "alarm.firing" and event.data.get("rule") == policy.rule
    return event.type == "vm.failed" and event.data.get("errorCode") == "lost"


def decide(policy: Policy, event: Event, vms: list[Vm], now: float) -> Verdict:
    """What to do about ``event``; ``vms`` are those of the policy's MCIS."""
    left = policy.last_run_at + policy.cooldown_s - now
    if left > 0:
        return Verdict(False, f"cooling down for another {left:.0f} s")
    alive = [vm for vm in vms if vm.goal is not Goal.TERMINATED and not vm.disposable]
    subject = locate(event.subject).vm
    match policy.action:
        case PolicyAction.SCALE_OUT:
            return _scale_out(policy, alive, subject)
        case PolicyAction.SCALE_IN:
            return _scale_in(policy, alive)
        case PolicyAction.REPLACE:
            if not any(vm.name == subject for vm in alive):
                return Verdict(False, f"there is no VM {subject!r} to replace")
            return Verdict(True, f"replace {subject}", policy.connection, (subject,), 1)
        case PolicyAction.COMMAND:
            return _command(alive, subject if event.type == "alarm.firing" else "")


def _command(alive: list[Vm], subject: str) -> Verdict:
    """On the VM the alarm is about; on all that run where it is about the whole MCIS, or about a VM that is lost."""
    running = [vm.name for vm in alive if vm.state is VmState.RUNNING]
    chosen = tuple(name for name in running if subject in ("", name))
    if not chosen:
        return Verdict(False, f"{subject} is not running" if subject else "no VM is running")
    return Verdict(True, f"run the command on {len(chosen)} VM(s)", "", chosen, len(chosen))


def _scale_out(policy: Policy, alive: list[Vm], subject: str) -> Verdict:
    room = policy.maximum - len(alive)
    if room <= 0:
        return Verdict(False, f"there are {len(alive)} VMs, and the maximum is {policy.maximum}")
    count = min(policy.count, room)
    connection = policy.connection or _elsewhere(alive, subject)
    if not connection:
        return Verdict(False, "there is no connection to scale out on")
    return Verdict(True, f"add {count} VM(s) on {connection}", connection, (), count)


def _elsewhere(alive: list[Vm], subject: str) -> str:
    """The connection with the fewest VMs, not that of the VM in trouble if there is another one."""
    load = Counter(vm.connection for vm in alive)
    trouble = next((vm.connection for vm in alive if vm.name == subject), "")
    others = [name for name in load if name != trouble] or list(load)
    return min(others, key=lambda name: (load[name], name), default="")


def _scale_in(policy: Policy, alive: list[Vm]) -> Verdict:
    spare = len(alive) - policy.minimum
    if spare <= 0:
        return Verdict(False, f"there are {len(alive)} VMs, and the minimum is {policy.minimum}")
    newest = sorted(alive, key=lambda vm: (AUTO_LABEL in vm.labels, vm.created_at, vm.name), reverse=True)
    chosen = tuple(vm.name for vm in newest[: min(policy.count, spare)])
    return Verdict(True, f"remove {', '.join(chosen)}", "", chosen, len(chosen))
