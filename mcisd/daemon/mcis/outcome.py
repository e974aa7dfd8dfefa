"""What a step did to a VM: new rows from old ones. Pure, apart from the events' ids and times."""

from dataclasses import replace

from mcisd.daemon.events import EventMaker
from mcisd.model.cloud import VmInfo
from mcisd.model.errors import McisdError
from mcisd.model.events import Event
from mcisd.model.records import Resource, Vm
from mcisd.model.states import Action, AgentState, Goal, VmState

MAX_ATTEMPTS = 5
"""Tries of one step, each with the gate's own retries inside, before a VM is called Failed."""
MAX_DELAY = 60.0


def with_facts(vm: Vm, info: VmInfo) -> Vm:
    """The row with what the cloud told; facts are merged whatever was wished meanwhile."""
    return replace(
        vm,
        cloud_id=info.id,
        public_address=info.public_address or vm.public_address,
        private_address=info.private_address or vm.private_address,
        ssh_port=info.ssh_port,
        guest_user=info.guest_user or vm.guest_user,
        zone=info.zone or vm.zone,
        started_at=info.started_at if info.started_at is not None else vm.started_at,
    )


def with_spec(vm: Vm, spec: Resource) -> Vm:
    """The row with size and price of its spec."""
    vcpus, memory, price = spec.info.get("vcpus"), spec.info.get("memory_mib"), spec.info.get("price")
    return replace(
        vm,
        vcpus=vcpus if isinstance(vcpus, int) else 0,
        memory_mib=memory if isinstance(memory, int) else 0,
        price=float(price) if isinstance(price, int | float) else None,
    )


def accepted(vm: Vm, not_before: float, now: float) -> Vm:
    """The cloud has accepted the pending action ``now``; its end is believed from ``not_before`` on."""
    return replace(vm, acted=True, accepted_at=now, attempts=0, next_try_at=not_before, error="", error_code="")


def done(vm: Vm, state: VmState) -> Vm:
    """The pending action has reached its end."""
    agent = vm.agent
    if state is VmState.TERMINATED:
        agent = AgentState.REMOVED
    elif vm.pending is Action.CREATE:
        agent = AgentState.ABSENT
    gone = state is VmState.TERMINATED
    return replace(
        vm,
        state=state,
        pending=None,
        acted=False,
        dirty=False,
        agent=agent,
        agent_token_hash="" if gone else vm.agent_token_hash,
        error="",
        error_code="",
        next_try_at=0.0,
    )


def lost(vm: Vm, reason: str) -> Vm:
    """The cloud has lost it (or never got it to run): Failed, whatever was pending."""
    code = "create-failed" if vm.pending is Action.CREATE else "lost"
    return replace(failed(vm, code, reason), state=VmState.FAILED, agent_token_hash="")


def overdue(vm: Vm, reason: str) -> Vm:
    """The cloud has accepted the pending action and does not carry it out: it is not waited for any longer."""
    return failed(vm, "overdue", reason)


def failed(vm: Vm, code: str, reason: str) -> Vm:
    """The pending action cannot reach its end. After a failed control the VM is Undefined until looked at again."""
    state = VmState.FAILED if vm.pending in (None, Action.CREATE, Action.TERMINATE) else VmState.UNDEFINED
    return replace(
        vm, state=state, pending=None, acted=False, dirty=False, error=reason, error_code=code, next_try_at=0.0
    )


def tried(vm: Vm, now: float) -> Vm:
    """Its creation may have reached the cloud as late as ``now``."""
    return replace(vm, create_tried_at=now)


def tripped(vm: Vm, error: McisdError, now: float) -> Vm:
    """A step raised: try again later, or give up. Removing what nobody will ask for again is never given up."""
    attempts = min(vm.attempts + 1, 100)
    forever = vm.disposable and vm.pending is Action.TERMINATE
    if not forever and (not error.retriable or attempts >= MAX_ATTEMPTS):
        return failed(replace(vm, attempts=attempts), error.code, error.message)
    delay = min(MAX_DELAY, 2.0**attempts)
    return replace(vm, attempts=attempts, next_try_at=now + delay, error=error.message, error_code=error.code)


def doubtful(vm: Vm, error: McisdError) -> Vm:
    """Nobody knows whether a step that must not be done twice was done: it is given up, and the user told."""
    return failed(vm, error.code, f"{error.message}; {vm.pending} may have taken place or not: look, then ask again")


def drifted(vm: Vm, state: VmState) -> Vm:
    """Somebody else changed it at the cloud; the goal follows what is there, so that nothing fights the operator."""
    goal = {VmState.RUNNING: Goal.RUNNING, VmState.SUSPENDED: Goal.SUSPENDED}.get(state, vm.goal)
    return replace(vm, state=state, goal=goal)


def told(events: EventMaker, before: Vm, after: Vm, reason: str = "") -> list[Event]:
    """The events of a change of state (none if the state is the same)."""
    if before.state is after.state and before.pending is after.pending:
        return []
    text = f"{after.name} is {after.state}"
    if after.error and after.state in (VmState.FAILED, VmState.UNDEFINED):
        text += f": {after.error}"
    elif reason:
        text += f" ({reason})"
    failed_now = after.error_code and after.state in (VmState.FAILED, VmState.UNDEFINED)
    kind = "vm.failed" if failed_now else f"vm.{after.state.value.lower()}"
    return [events.vm(kind, after, text, region=after.region, address=after.public_address, errorCode=after.error_code)]
