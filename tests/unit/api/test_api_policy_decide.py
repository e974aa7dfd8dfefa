"""Policies decide within their bounds, never while cooling down, and only on what concerns them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.daemon.policies.decide import AUTO_LABEL, concerns, decide
from mcisd.model.alarms import Policy, PolicyAction
from mcisd.model.events import Event, mcis_subject, vm_subject
from mcisd.model.records import Vm
from mcisd.model.states import Goal, VmState

NOW = 1_000_000.0


def make_vm(
    number: int,
    *,
    goal: Goal = Goal.RUNNING,
    auto: bool = False,
    connection: str = "a",
    state: VmState = VmState.RUNNING,
) -> Vm:
    return Vm(
        uid=f"vm-{number}", mcis="mc-1", mcis_name="site", ns="here", name=f"web-{number}", connection=connection,
        goal=goal, state=state, labels={AUTO_LABEL: "grow"} if auto else {}, created_at=float(number),
    )  # fmt: skip


def make_policy(action: PolicyAction = PolicyAction.SCALE_OUT, **more: object) -> Policy:
    fields: dict[str, object] = {"rule": "hot", "cooldown_s": 60.0, "minimum": 1, "maximum": 5} | more
    return Policy(uid="po-1", ns="here", mcis="site", name="grow", action=action, **fields)  # type: ignore[arg-type]  # checked by the tests that use it


def fired(vm: str = "web-0", rule: str = "hot") -> Event:
    return Event("ev-1", "alarm.firing", vm_subject("here", "site", vm), NOW, {"rule": rule})


vms = st.lists(
    st.tuples(st.sampled_from([Goal.RUNNING, Goal.TERMINATED]), st.booleans(), st.sampled_from("abc")), max_size=12
).map(lambda rows: [make_vm(n, goal=goal, auto=auto, connection=c) for n, (goal, auto, c) in enumerate(rows)])
policies = st.builds(
    lambda action, count, minimum, maximum, cooldown, last: make_policy(
        action, count=count, minimum=minimum, maximum=maximum, cooldown_s=cooldown, last_run_at=last
    ),
    st.sampled_from(list(PolicyAction)),
    st.integers(1, 20),
    st.integers(0, 10),
    st.integers(1, 10),
    st.floats(0, 1000),
    st.floats(NOW - 2000, NOW),
)


@given(policies, vms)
def test_bounds_and_cooldown_are_never_violated(policy: Policy, rows: list[Vm]) -> None:
    verdict = decide(policy, fired(), rows, NOW)
    assert verdict.reason
    if not verdict.act:
        return
    alive = [vm for vm in rows if vm.goal is not Goal.TERMINATED]
    assert policy.last_run_at + policy.cooldown_s <= NOW
    assert set(verdict.vms) <= {vm.name for vm in alive}
    if policy.action is PolicyAction.SCALE_OUT:
        assert 1 <= verdict.count <= policy.count
        assert len(alive) + verdict.count <= policy.maximum
        assert verdict.connection in {vm.connection for vm in alive}
    if policy.action is PolicyAction.SCALE_IN:
        assert 1 <= len(verdict.vms) <= policy.count
        assert len(alive) - len(verdict.vms) >= policy.minimum


@given(st.floats(0, 10_000), st.floats(0, 10_000))
def test_it_acts_again_exactly_when_the_cooldown_is_over(cooldown: float, since: float) -> None:
    policy = make_policy(cooldown_s=cooldown, last_run_at=NOW - since)
    assert decide(policy, fired(), [make_vm(0)], NOW).act == (policy.last_run_at + cooldown <= NOW)


def test_scale_out_goes_elsewhere_to_the_least_loaded() -> None:
    rows = [
        make_vm(0, connection="a"),
        make_vm(1, connection="b"),
        make_vm(2, connection="b"),
        make_vm(3, connection="c"),
    ]
    assert decide(make_policy(), fired("web-0"), rows, NOW).connection == "c"
    assert decide(make_policy(connection="z"), fired("web-0"), rows, NOW).connection == "z"
    assert decide(make_policy(), fired("web-0"), rows[:1], NOW).connection == "a"


def test_scale_in_takes_its_own_vms_first_then_the_newest() -> None:
    rows = [make_vm(0), make_vm(1, auto=True), make_vm(2), make_vm(3)]
    assert decide(make_policy(PolicyAction.SCALE_IN, count=2), fired(), rows, NOW).vms == ("web-1", "web-3")


def test_replace_and_command_mean_the_vm_of_the_event() -> None:
    rows = [make_vm(0), make_vm(1)]
    assert decide(make_policy(PolicyAction.REPLACE), fired("web-1"), rows, NOW).vms == ("web-1",)
    assert not decide(make_policy(PolicyAction.REPLACE), fired("web-9"), rows, NOW).act
    assert decide(make_policy(PolicyAction.COMMAND), fired("web-1"), rows, NOW).vms == ("web-1",)
    whole = Event("ev-2", "alarm.firing", mcis_subject("here", "site"), NOW, {"rule": "hot"})
    assert decide(make_policy(PolicyAction.COMMAND), whole, rows, NOW).vms == ("web-0", "web-1")
    assert not decide(make_policy(PolicyAction.COMMAND), fired("web-9"), rows, NOW).act


def test_a_command_because_of_a_lost_vm_runs_on_the_others() -> None:
    rows = [make_vm(0, state=VmState.FAILED), make_vm(1), make_vm(2, state=VmState.SUSPENDED)]
    lost = Event("ev-4", "vm.failed", vm_subject("here", "site", "web-0"), NOW, {"errorCode": "lost"})
    assert decide(make_policy(PolicyAction.COMMAND, rule=""), lost, rows, NOW).vms == ("web-1",)
    assert not decide(make_policy(PolicyAction.COMMAND, rule=""), lost, rows[:1], NOW).act


def happened(kind: str, mcis: str = "site", **data: object) -> Event:
    return Event("ev-3", kind, vm_subject("here", mcis, "web-0"), NOW, data)


@pytest.mark.parametrize(
    ("policy", "event", "expected"),
    [
        (make_policy(), happened("alarm.firing", rule="hot"), True),
        (make_policy(), happened("alarm.firing", rule="cold"), False),
        (make_policy(enabled=False), happened("alarm.firing", rule="hot"), False),
        (make_policy(), happened("alarm.resolved", rule="hot"), False),
        (make_policy(), happened("alarm.firing", "other", rule="hot"), False),
        (make_policy(rule=""), happened("vm.failed", errorCode="lost"), True),
        (make_policy(rule=""), happened("vm.failed", errorCode="cloud-quota"), False),
    ],
)
def test_what_concerns_a_policy(policy: Policy, event: Event, expected: bool) -> None:
    assert concerns(policy, event) is expected
