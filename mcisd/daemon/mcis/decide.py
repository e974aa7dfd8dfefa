"""The pure next step of one VM and one resource: facts in, step out. No await, no clock, no third party.

The reconciler loads the facts, asks here, acts, and writes the outcome if the row is unchanged. Every step is safe to
do twice: creations carry the VM's uid as idempotency token, controls are no-ops where the cloud is there already.
"""

from dataclasses import dataclass
from enum import StrEnum

from mcisd.model.cloud import CloudVmState
from mcisd.model.records import Resource, Vm
from mcisd.model.states import Action, Goal, ResourceState, VmState

LOST_AFTER = 30.0
"""Seconds that a creation whose answer was lost may stay invisible in the cloud's lists before we believe that it
never took effect (eventual consistency)."""
OVERDUE_AFTER = 900.0
"""Seconds that a cloud may take for what it has accepted (a setting)."""
REBOOT_SETTLE = 1.0
"""Seconds after an accepted reboot before "running" is believed to be the new boot (next_try_at is set so)."""


class Step(StrEnum):
    """What to do now."""

    NOTHING = "nothing"
    WAIT = "wait"
    CREATE = "create"
    SUSPEND = "suspend"
    RESUME = "resume"
    REBOOT = "reboot"
    TERMINATE = "terminate"
    DONE = "done"
    FAIL = "fail"
    OVERDUE = "overdue"
    LOST = "lost"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, for DONE and DRIFT the state that follows, and one sentence for the log."""

    step: Step
    state: VmState | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cloud told of a VM last: its state, None where it does not list it; and when we asked.

    A VM without a cloud id is looked for by its token.
    """

    state: CloudVmState | None
    at: float
    reason: str = ""
    addressed: bool = True


WAIT = Decision(Step.WAIT)
NOTHING = Decision(Step.NOTHING)

_SETTLED = {
    CloudVmState.RUNNING: VmState.RUNNING,
    CloudVmState.STOPPED: VmState.SUSPENDED,
}


def decide(
    vm: Vm,
    needs: list[Resource],
    seen: Seen | None,
    now: float,
    born: float = 0.0,
    overdue_after: float = OVERDUE_AFTER,
) -> Decision:
    """The next step of one VM. ``seen`` None means that nobody has asked its cloud since the last step.

    ``born`` is when this process began: a creation that an earlier process left behind may have reached the cloud as
    late as that.
    """
    if vm.next_try_at > now:
        return WAIT
    match vm.pending:
        case None:
            return _watch(vm, seen)
        case Action.CREATE:
            decision = _create(vm, needs, seen, born)
        case Action.TERMINATE:
            decision = _terminate(vm, seen, born)
        case action:
            decision = _control(vm, action, seen)
    accepted = vm.accepted_at or born or now
    if decision.step is Step.WAIT and vm.acted and seen is not None and seen.at > accepted + overdue_after:
        return _overdue(vm, vm.pending, seen)
    return decision


def _overdue(vm: Vm, action: Action, seen: Seen) -> Decision:
    """The cloud has accepted the action, and had time enough for it."""
    if action is Action.TERMINATE and vm.disposable:
        return Decision(Step.TERMINATE)  # nobody else will ask again
    lack = " without an address" if seen.state is CloudVmState.RUNNING and not seen.addressed else ""
    return Decision(
        Step.OVERDUE, reason=f"its cloud accepted the {action} long ago and still reports it {seen.state}{lack}"
    )


def _create(vm: Vm, needs: list[Resource], seen: Seen | None, born: float) -> Decision:
    broken = [need for need in needs if need.state in (ResourceState.FAILED, ResourceState.DELETING)]
    if broken and not vm.acted:
        return Decision(Step.FAIL, reason=f"its {broken[0].kind} {broken[0].name} is not there: {broken[0].error}")
    if any(need.state is not ResourceState.READY for need in needs):
        return WAIT
    if not vm.acted:
        return Decision(Step.CREATE)
    if seen is None:
        return WAIT
    match seen.state:
        case CloudVmState.RUNNING if seen.addressed:
            return Decision(Step.DONE, VmState.RUNNING)
        case CloudVmState.STOPPED:
            return Decision(Step.DONE, VmState.SUSPENDED)
        case CloudVmState.FAILED | CloudVmState.TERMINATED | CloudVmState.TERMINATING:
            return Decision(Step.LOST, reason=seen.reason or f"the cloud reports it {seen.state}")
        case None if _would_show(vm, seen, born):
            return Decision(Step.LOST, reason="the cloud accepted it and does not list it any more")
    return WAIT


def _terminate(vm: Vm, seen: Seen | None, born: float) -> Decision:
    if not vm.cloud_id:
        if not vm.create_tried_at:
            return Decision(Step.DONE, VmState.TERMINATED)
        if seen is not None and seen.state is None and _would_show(vm, seen, born):
            return Decision(Step.DONE, VmState.TERMINATED)
        return WAIT  # if it is there, the look brings its cloud id
    if not vm.acted:
        return Decision(Step.TERMINATE)
    if seen is not None and seen.state in (None, CloudVmState.TERMINATED):
        return Decision(Step.DONE, VmState.TERMINATED)
    return WAIT


def _would_show(vm: Vm, seen: Seen, born: float) -> bool:
    """Had its creation taken effect, the look ``seen`` would have shown it."""
    return seen.at - max(vm.create_tried_at, born) > LOST_AFTER


_CONTROL = {
    Action.SUSPEND: (Step.SUSPEND, CloudVmState.STOPPED, VmState.SUSPENDED),
    Action.RESUME: (Step.RESUME, CloudVmState.RUNNING, VmState.RUNNING),
    Action.REBOOT: (Step.REBOOT, CloudVmState.RUNNING, VmState.RUNNING),
}


def _control(vm: Vm, action: Action, seen: Seen | None) -> Decision:
    step, wanted, state = _CONTROL[action]
    if not vm.acted:
        return Decision(step)
    if seen is None:
        return WAIT
    if seen.state in (CloudVmState.FAILED, CloudVmState.TERMINATED, CloudVmState.TERMINATING, None):
        return Decision(Step.LOST, reason=seen.reason or "the cloud has lost it")
    if seen.state is wanted and (action is not Action.REBOOT or seen.at >= vm.next_try_at):
        return Decision(Step.DONE, state)
    return WAIT


def _watch(vm: Vm, seen: Seen | None) -> Decision:
    """Nothing is asked for: does the world still look as we believe?"""
    if seen is None or vm.goal is Goal.TERMINATED or vm.state is VmState.TERMINATED or not vm.cloud_id:
        return NOTHING
    if seen.state in (CloudVmState.FAILED, CloudVmState.TERMINATED, CloudVmState.TERMINATING, None):
        if vm.state is VmState.FAILED:
            return NOTHING
        return Decision(Step.LOST, reason=seen.reason or "the cloud does not have it any more")
    state = _SETTLED.get(seen.state)
    if state is not None and state is not vm.state:
        return Decision(Step.DRIFT, state, reason=f"the cloud reports it {seen.state}")
    return NOTHING
