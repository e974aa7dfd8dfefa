"""Which action makes sense in which state (SYSTEM §5), and the row that asks for one. Pure."""

from dataclasses import replace

from mcisd.model.records import Vm
from mcisd.model.states import Action, Goal, VmState

_FROM = {
    Action.SUSPEND: {VmState.RUNNING},
    Action.RESUME: {VmState.SUSPENDED},
    Action.REBOOT: {VmState.RUNNING},
}
_WHILE = {
    Action.CREATE: VmState.CREATING,
    Action.SUSPEND: VmState.SUSPENDING,
    Action.RESUME: VmState.RESUMING,
    Action.REBOOT: VmState.REBOOTING,
    Action.TERMINATE: VmState.TERMINATING,
}


def check_action(vm: Vm, action: Action) -> str | None:
    """None if ``action`` may be asked of ``vm`` now, else the reason. Terminate makes sense from every live state,
    also in the middle of a creation."""
    if action is Action.TERMINATE:
        if vm.state is VmState.TERMINATED:
            return f"{vm.name} is Terminated already"
        if vm.pending is Action.TERMINATE:
            return f"{vm.name} is being terminated already"
        return None
    if vm.pending is not None:
        return f"{vm.name} is busy ({vm.state})"
    if vm.state not in _FROM[action]:
        return f"{vm.name} is {vm.state}, and {action} needs {' or '.join(sorted(_FROM[action]))}"
    return None


def goal_of(action: Action) -> Goal:
    """Where an action leads to."""
    match action:
        case Action.SUSPEND:
            return Goal.SUSPENDED
        case Action.TERMINATE:
            return Goal.TERMINATED
        case _:
            return Goal.RUNNING


def state_while(action: Action) -> VmState:
    """The state shown while it is under way."""
    return _WHILE[action]


def wish(vm: Vm, action: Action, operation: str, *, hibernate: bool = False) -> Vm:
    """The row with ``action`` asked for; ``hibernate`` makes a suspension keep the memory."""
    return replace(
        vm,
        goal=goal_of(action),
        state=state_while(action),
        pending=action,
        acted=False,
        accepted_at=0.0,
        hibernate=hibernate,
        dirty=True,
        operation=operation,
        attempts=0,
        next_try_at=0.0,
        error="",
        error_code="",
    )
