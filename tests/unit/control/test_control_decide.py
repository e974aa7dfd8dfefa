"""The pure next step of a VM: every combination of wish, progress and look has a defined step. Facts in, steps out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.daemon.mcis.decide import LOST_AFTER, OVERDUE_AFTER, Decision, Seen, Step, decide
from mcisd.model.cloud import CloudVmState
from mcisd.model.records import Resource, Vm
from mcisd.model.states import Action, Goal, ResourceKind, ResourceState, VmState

NOW = 1_000_000.0


def _vm(**fields: object) -> Vm:
    base: dict[str, object] = {"uid": "vm-1", "mcis": "mc", "mcis_name": "web", "ns": "demo", "name": "a-1"}
    return Vm(**(base | {"connection": "c1"} | fields))  # type: ignore[arg-type] # fields are chosen by name


def _need(state: ResourceState) -> Resource:
    return Resource(uid="r-1", ns="demo", kind=ResourceKind.NETWORK, name="net", connection="c1", state=state)


seen_states = st.one_of(
    st.none(),
    st.builds(
        Seen,
        state=st.one_of(st.none(), st.sampled_from(CloudVmState)),
        at=st.floats(NOW - 100, NOW),
        addressed=st.booleans(),
    ),
)
vms = st.builds(
    _vm,
    pending=st.one_of(st.none(), st.sampled_from(Action)),
    acted=st.booleans(),
    goal=st.sampled_from(Goal),
    state=st.sampled_from(VmState),
    cloud_id=st.sampled_from(["", "i-1"]),
    create_tried_at=st.sampled_from([0.0, NOW - 200, NOW - 1]),
    next_try_at=st.sampled_from([0.0, NOW + 5]),
)
needs = st.lists(st.builds(_need, st.sampled_from(ResourceState)), max_size=3)
ACTING = {Step.CREATE, Step.SUSPEND, Step.RESUME, Step.REBOOT, Step.TERMINATE}


@given(vms, needs, seen_states)
def test_every_combination_has_a_step_that_fits_the_wish(vm: Vm, need: list[Resource], seen: Seen | None) -> None:
    step = decide(vm, need, seen, NOW).step
    if step in ACTING:
        assert vm.pending is not None
        assert step.value == vm.pending.value
        assert not vm.acted, "what the cloud has accepted is not asked for again"
    if vm.pending is None:
        assert step in (Step.NOTHING, Step.WAIT, Step.LOST, Step.DRIFT)
    if vm.next_try_at > NOW:
        assert step is Step.WAIT


@given(vms, needs, seen_states)
def test_a_step_to_done_or_drift_names_a_settled_state(vm: Vm, need: list[Resource], seen: Seen | None) -> None:
    decision = decide(vm, need, seen, NOW)
    if decision.step in (Step.DONE, Step.DRIFT):
        assert decision.state in (VmState.RUNNING, VmState.SUSPENDED, VmState.TERMINATED)


@given(vms, needs)
def test_nothing_is_believed_before_a_look(vm: Vm, need: list[Resource]) -> None:
    step = decide(vm, need, None, NOW).step
    assert step not in (Step.LOST, Step.DRIFT)
    if step is Step.DONE:
        assert vm.pending is Action.TERMINATE
        assert not vm.create_tried_at, "only what was never sent needs no look"


@given(vms, seen_states)
def test_terminate_always_comes_to_an_end(vm: Vm, seen: Seen | None) -> None:
    """Following the steps, with a cloud that obeys, leads to Terminated."""
    gone = Seen(None, NOW + 2 * LOST_AFTER)
    row = _vm(
        pending=Action.TERMINATE, cloud_id=vm.cloud_id, create_tried_at=vm.create_tried_at, acted=vm.acted and
        bool(vm.cloud_id)
    )  # fmt: skip
    first = decide(row, [], seen, NOW + 3 * LOST_AFTER)
    if first.step is Step.TERMINATE:
        row = _vm(pending=Action.TERMINATE, cloud_id="i-1", acted=True)
    assert decide(row, [], gone, NOW + 3 * LOST_AFTER) == Decision(Step.DONE, VmState.TERMINATED)


@given(vms, seen_states)
def test_a_vm_whose_end_was_reached_is_left_alone(vm: Vm, seen: Seen | None) -> None:
    row = _vm(pending=None, state=VmState.TERMINATED, goal=Goal.TERMINATED, cloud_id=vm.cloud_id)
    assert decide(row, [], seen, NOW).step is Step.NOTHING


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (ResourceState.CREATING, Step.WAIT),
        (ResourceState.READY, Step.CREATE),
        (ResourceState.FAILED, Step.FAIL),
        (ResourceState.DELETING, Step.FAIL),
    ],
)
def test_creation_waits_for_what_it_needs(state: ResourceState, step: Step) -> None:
    assert decide(_vm(), [_need(ResourceState.READY), _need(state)], None, NOW).step is step


@pytest.mark.parametrize("tried", [NOW - LOST_AFTER - 1, NOW - 1])
def test_a_creation_without_answer_is_looked_for_before_it_counts_as_ended(tried: float) -> None:
    row = _vm(pending=Action.TERMINATE, create_tried_at=tried)
    assert decide(row, [], None, NOW).step is Step.WAIT
    old = NOW - tried > LOST_AFTER
    assert decide(row, [], Seen(None, NOW), NOW).step is (Step.DONE if old else Step.WAIT)
    # A process that began a moment ago cannot know how late its predecessor's last try was.
    assert decide(row, [], Seen(None, NOW), NOW, NOW - 1).step is Step.WAIT


def test_a_reboot_is_not_believed_before_it_can_have_begun() -> None:
    row = _vm(pending=Action.REBOOT, acted=True, cloud_id="i-1", next_try_at=NOW - 1)
    assert decide(row, [], Seen(CloudVmState.RUNNING, NOW - 2), NOW).step is Step.WAIT
    assert decide(row, [], Seen(CloudVmState.RUNNING, NOW), NOW) == Decision(Step.DONE, VmState.RUNNING)


def test_a_vm_without_address_is_not_yet_running() -> None:
    row = _vm(acted=True, cloud_id="i-1", create_tried_at=NOW)
    assert decide(row, [], Seen(CloudVmState.RUNNING, NOW, addressed=False), NOW).step is Step.WAIT


@pytest.mark.parametrize(
    ("action", "state"),
    [
        (Action.SUSPEND, CloudVmState.RUNNING),
        (Action.RESUME, CloudVmState.STOPPED),
        (Action.REBOOT, CloudVmState.STOPPING),
        (Action.CREATE, CloudVmState.PENDING),
        (Action.TERMINATE, CloudVmState.TERMINATING),
    ],
)
def test_what_a_cloud_accepts_and_never_carries_out_ends(action: Action, state: CloudVmState) -> None:
    vm = _vm(pending=action, acted=True, accepted_at=NOW, cloud_id="i-1")
    assert decide(vm, [], Seen(state, NOW + OVERDUE_AFTER), NOW).step is Step.WAIT
    late = decide(vm, [], Seen(state, NOW + OVERDUE_AFTER + 1), NOW)
    assert late.step is Step.OVERDUE
    assert late.reason == f"its cloud accepted the {action} long ago and still reports it {state}"
    assert decide(vm, [], None, NOW + 2 * OVERDUE_AFTER).step is Step.WAIT, "nobody has looked"
    assert decide(vm, [], Seen(state, NOW + 11), NOW, overdue_after=10.0).step is Step.OVERDUE


def test_a_vm_that_is_never_given_an_address_is_not_waited_for() -> None:
    vm = _vm(acted=True, accepted_at=NOW, cloud_id="i-1", create_tried_at=NOW)
    late = decide(vm, [], Seen(CloudVmState.RUNNING, NOW + OVERDUE_AFTER + 1, addressed=False), NOW)
    assert late.step is Step.OVERDUE
    assert late.reason.endswith("still reports it running without an address")


def test_what_nobody_will_ask_for_again_is_terminated_until_it_is_gone() -> None:
    vm = _vm(pending=Action.TERMINATE, acted=True, accepted_at=NOW, cloud_id="i-1", disposable=True)
    assert decide(vm, [], Seen(CloudVmState.TERMINATING, NOW + OVERDUE_AFTER), NOW).step is Step.WAIT
    assert decide(vm, [], Seen(CloudVmState.TERMINATING, NOW + OVERDUE_AFTER + 1), NOW).step is Step.TERMINATE
    assert decide(vm, [], Seen(None, NOW + OVERDUE_AFTER + 1), NOW).step is Step.DONE


def test_what_an_older_version_left_is_given_its_time_from_the_start_on() -> None:
    vm = _vm(pending=Action.SUSPEND, acted=True, cloud_id="i-1")
    running = CloudVmState.RUNNING
    assert decide(vm, [], Seen(running, NOW + 1), NOW, born=NOW).step is Step.WAIT
    assert decide(vm, [], Seen(running, NOW + OVERDUE_AFTER + 1), NOW, born=NOW).step is Step.OVERDUE
