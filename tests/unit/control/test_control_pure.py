"""Status, rules, outcomes and events of VMs; choice of image and spec; steps of resources. Pure."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.aio.clock import ManualClock
from mcisd.daemon.events import EventMaker
from mcisd.daemon.mcis import outcome
from mcisd.daemon.mcis.rules import check_action, goal_of, state_while, wish
from mcisd.daemon.mcis.status import aggregate, counts
from mcisd.daemon.resources.actions import default_image, default_spec, first_choice
from mcisd.daemon.resources.auto import default_architecture, spec_for
from mcisd.daemon.resources.decide import ResourceStep, decide_resource, users
from mcisd.drivers.images import ALIASES
from mcisd.model.cloud import CloudVmState, ImageInfo, SpecInfo, VmInfo
from mcisd.model.errors import CloudNotFoundError, CloudQuotaError, CloudTransientError, InputError
from mcisd.model.records import Resource, Vm
from mcisd.model.states import Action, AgentState, Goal, ResourceKind, ResourceState, VmState


def _vm(**fields: object) -> Vm:
    base: dict[str, object] = {"uid": "vm-1", "mcis": "mc", "mcis_name": "web", "ns": "demo", "name": "a-1"}
    return Vm(**(base | {"connection": "c1"} | fields))  # type: ignore[arg-type] # fields are chosen by name


R, S, F, T, C = VmState.RUNNING, VmState.SUSPENDED, VmState.FAILED, VmState.TERMINATED, VmState.CREATING


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ([], "Empty"),
        ([R, R, R], "Running:3 (R:3/3)"),
        ([S, S, R], "Partial-Suspended:2 (R:1/3)"),
        ([R, S], "Partial-Suspended:1 (R:1/2)"),
        ([F, R], "Partial-Failed:1 (R:1/2)"),
        ([C, R, C, R], "Partial-Running:2 (R:2/4)"),
        ([T], "Terminated:1 (R:0/1)"),
    ],
)
def test_status_text(states: list[VmState], text: str) -> None:
    assert aggregate(states) == text


@given(st.lists(st.sampled_from(VmState), min_size=1), st.randoms())
def test_status_does_not_depend_on_the_order(states: list[VmState], rng: Random) -> None:
    shuffled = list(states)
    rng.shuffle(shuffled)
    assert aggregate(shuffled) == aggregate(states)
    assert sum(counts(states).values()) == len(states)
    assert aggregate(states).startswith("Partial-") == (len(set(states)) > 1)


@given(st.sampled_from(VmState), st.one_of(st.none(), st.sampled_from(Action)), st.sampled_from(Action))
def test_rules_answer_for_every_state(state: VmState, pending: Action | None, action: Action) -> None:
    if action is Action.CREATE:
        return
    vm = _vm(state=state, pending=pending)
    why = check_action(vm, action)
    if why is None:
        after = wish(vm, action, "op-1")
        assert (after.pending, after.state, after.goal) == (action, state_while(action), goal_of(action))
        assert after.state.transitional
        assert check_action(after, action) is not None, "what was asked for is not asked for twice"
    else:
        assert vm.name in why


def test_terminate_is_allowed_in_the_middle_of_a_creation() -> None:
    assert check_action(_vm(state=C, pending=Action.CREATE), Action.TERMINATE) is None
    assert check_action(_vm(state=C, pending=Action.CREATE), Action.SUSPEND) == "a-1 is busy (Creating)"


def test_done_clears_what_was_under_way() -> None:
    vm = _vm(acted=True, attempts=3, error="x", error_code="y", next_try_at=9.0, agent_token_hash="h")
    after = outcome.done(vm, R)
    assert (after.pending, after.acted, after.dirty, after.error, after.next_try_at) == (None, False, False, "", 0.0)
    assert after.agent_token_hash == "h"
    ended = outcome.done(vm, T)
    assert (ended.agent, ended.agent_token_hash) == (AgentState.REMOVED, "")


def test_a_trip_is_tried_again_until_it_is_given_up() -> None:
    vm, delays = _vm(), []
    for _ in range(outcome.MAX_ATTEMPTS - 1):
        vm = outcome.tripped(vm, CloudTransientError("no luck"), 100.0)
        delays.append(vm.next_try_at - 100.0)
        assert vm.pending is Action.CREATE
    assert delays == sorted(delays)
    vm = outcome.tripped(vm, CloudTransientError("no luck"), 100.0)
    assert (vm.state, vm.pending, vm.error_code, vm.error) == (F, None, "cloud-transient", "no luck")


def test_a_final_error_ends_it_at_once_and_a_control_leaves_it_undefined() -> None:
    assert outcome.tripped(_vm(), CloudQuotaError("full"), 0.0).state is F
    suspended = outcome.tripped(_vm(state=R, pending=Action.SUSPEND), CloudQuotaError("full"), 0.0)
    assert (suspended.state, suspended.pending, suspended.error_code) == (VmState.UNDEFINED, None, "cloud-quota")


def test_removing_what_nobody_will_ask_for_again_is_never_given_up() -> None:
    vm = _vm(pending=Action.TERMINATE, disposable=True)
    for _ in range(300):
        vm = outcome.tripped(vm, CloudQuotaError("away"), 0.0)
    assert vm.pending is Action.TERMINATE
    assert vm.next_try_at == outcome.MAX_DELAY


def test_lost_says_whether_it_ever_ran() -> None:
    assert outcome.lost(_vm(), "gone").error_code == "create-failed"
    assert outcome.lost(_vm(pending=None, state=R), "gone").error_code == "lost"
    assert outcome.lost(_vm(pending=Action.SUSPEND, state=R), "gone").state is F


def test_what_is_overdue_is_looked_at_again() -> None:
    vm = outcome.accepted(_vm(state=VmState.SUSPENDING, pending=Action.SUSPEND), 0.0, 50.0)
    assert (vm.acted, vm.accepted_at) == (True, 50.0)
    late = outcome.overdue(vm, "too slow")
    assert (late.state, late.pending, late.error_code, late.error) == (VmState.UNDEFINED, None, "overdue", "too slow")


def test_a_wish_says_whether_to_keep_the_memory() -> None:
    asleep = wish(_vm(state=R, accepted_at=5.0), Action.SUSPEND, "op-1", hibernate=True)
    assert (asleep.hibernate, asleep.accepted_at) == (True, 0.0)
    assert not wish(asleep, Action.RESUME, "op-2").hibernate


def test_drift_takes_over_what_the_operator_did() -> None:
    assert outcome.drifted(_vm(pending=None, state=R), S).goal is Goal.SUSPENDED


def test_facts_are_merged_and_never_taken_away() -> None:
    info = VmInfo("i-1", "n", "vm-1", CloudVmState.RUNNING, "r", public_address="", private_address="10.0.0.1")
    after = outcome.with_facts(_vm(public_address="1.2.3.4"), info)
    assert (after.cloud_id, after.public_address, after.private_address) == ("i-1", "1.2.3.4", "10.0.0.1")


def test_events_tell_a_change_once_and_by_its_right_name() -> None:
    events = EventMaker(ManualClock())
    before = _vm(state=R, pending=None)
    assert outcome.told(events, before, before) == []
    (lost,) = outcome.told(events, before, outcome.lost(before, "gone"))
    assert lost.type == "vm.failed"
    assert str(lost.data["text"]).endswith("Failed: gone")
    # An old error does not make a failure of a VM that runs again.
    old = _vm(state=VmState.UNDEFINED, pending=None, error="e", error_code="c")
    (back,) = outcome.told(events, old, outcome.drifted(old, R), "the cloud reports it running")
    assert back.type == "vm.running"


def test_default_image_and_spec() -> None:
    images = [ImageInfo("z", "Debian 12", "linux"), ImageInfo("b", "Ubuntu 22.04", "linux"), ImageInfo("a", "X", "l")]
    assert default_image(images).id == "b"
    assert default_image([*images, ImageInfo("ubuntu-24.04", "", "linux")]).id == "ubuntu-24.04"
    specs = [
        SpecInfo("tiny", "", 1, 256, price=0.001),
        SpecInfo("free", "", 1, 512),
        SpecInfo("s", "", 2, 512, price=1),
    ]
    assert default_spec(specs).id == "s"
    assert default_spec(specs[:2]).id == "free"
    arm = SpecInfo("arm", "", 1, 512, architecture="arm64", price=0.001)
    assert default_spec([*specs, arm]).id == "s"
    assert default_spec([*specs, arm], "arm64").id == "arm"
    assert default_image([ImageInfo("ubuntu-24.04", "", "linux", "arm64"), images[0]]).id == "z"
    with pytest.raises(CloudNotFoundError):
        default_spec(specs[:1])
    with pytest.raises(CloudNotFoundError):
        default_image([])


class _Images:
    """A cloud that knows one image by alias; ``asked`` is what it was asked for."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.asked: list[str] = []

    async def get_image(self, image_id: str) -> ImageInfo:
        self.asked.append(image_id)
        if image_id != self.alias:
            raise CloudNotFoundError("not here")
        return ImageInfo("ami-1", "", "linux", alias=image_id)

    async def list_images(self) -> list[ImageInfo]:
        return [ImageInfo("own", "Debian", "linux")]


async def test_the_first_alias_that_the_cloud_has_is_the_default() -> None:
    cloud = _Images(ALIASES[2])
    assert (await first_choice(cloud)).alias == ALIASES[2]
    assert cloud.asked == list(ALIASES[:3])
    assert (await first_choice(_Images("none"))).id == "own"


@pytest.mark.parametrize(
    ("image", "info", "spec"),
    [
        ("default", {}, ""),
        ("debian-12", {}, ""),
        ("ami-1", {}, ""),
        ("ami-1", {"architecture": "arm64"}, "default:arm64"),
        ("debian-12:arm64", {}, "default:arm64"),
    ],
)
def test_a_spec_is_chosen_that_fits_the_image(image: str, info: dict[str, object], spec: str) -> None:
    row = replace(_resource(ResourceKind.IMAGE, ResourceState.CREATING, cloud_id=image), info=info)
    assert spec_for(row, "f") == spec
    assert default_architecture(spec or "default") == ("arm64" if spec else "x86_64")
    with pytest.raises(InputError, match="sparc"):
        spec_for(_resource(ResourceKind.IMAGE, ResourceState.CREATING, cloud_id="debian-12:sparc"), "f")


def _resource(kind: ResourceKind, state: ResourceState, name: str = "net", **body: object) -> Resource:
    return Resource(uid=f"r-{kind}-{name}", ns="demo", kind=kind, name=name, connection="c1", state=state, body=body)


@pytest.mark.parametrize(
    ("network", "step"),
    [
        (ResourceState.CREATING, ResourceStep.WAIT),
        (ResourceState.READY, ResourceStep.MAKE),
        (ResourceState.FAILED, ResourceStep.FAIL),
        (ResourceState.DELETING, ResourceStep.FAIL),
        (None, ResourceStep.FAIL),
    ],
)
def test_a_security_group_waits_for_its_network(network: ResourceState | None, step: ResourceStep) -> None:
    group = _resource(ResourceKind.SECURITY_GROUP, ResourceState.CREATING, "sg", network="net")
    others = [group] + ([_resource(ResourceKind.NETWORK, network)] if network else [])
    assert decide_resource(group, others, 0.0) is step


def test_a_network_goes_after_its_groups() -> None:
    network = _resource(ResourceKind.NETWORK, ResourceState.DELETING)
    group = _resource(ResourceKind.SECURITY_GROUP, ResourceState.DELETING, "sg", network="net")
    assert decide_resource(network, [network, group], 0.0) is ResourceStep.WAIT
    assert decide_resource(network, [network], 0.0) is ResourceStep.REMOVE


def test_terminated_vms_use_nothing() -> None:
    network = _resource(ResourceKind.NETWORK, ResourceState.READY)
    assert users(network, [_vm(network=network.uid, state=T)]) == []
    assert len(users(network, [_vm(network=network.uid, state=F)])) == 1
