"""A mock VM's states follow from the time alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcisd.drivers.mock.machine import Machine
from mcisd.drivers.mock.settings import MockSettings, Spread
from mcisd.model.cloud import CloudVmState, VmRequest
from mcisd.model.errors import CloudConflictError

State = CloudVmState
FIXED = MockSettings(boot=Spread(10.0), stop=Spread(4.0), start=Spread(6.0), terminate=Spread(2.0))


def machine(settings: MockSettings = FIXED, seed: int = 1) -> Machine:
    request = VmRequest("t", "n", "i", "s", "net", "sub", (), "key", "root", "pem")
    made = Machine("i-1", request, "r", "inst", "198.18.0.1", "10.0.0.1", random.Random(seed), settings, 0.0)
    made.begin(0.0)
    return made


def test_a_life() -> None:
    vm = machine()
    assert [vm.look(now) for now in (0.0, 9.9, 10.0)] == [State.PENDING, State.PENDING, State.RUNNING]
    vm.reboot(11.0)
    assert vm.look(11.0) is State.RUNNING
    vm.suspend(20.0)
    vm.suspend(21.0)
    assert [vm.look(now) for now in (20.0, 23.9, 24.0)] == [State.STOPPING, State.STOPPING, State.STOPPED]
    vm.resume(30.0)
    vm.resume(31.0)
    assert [vm.look(now) for now in (35.9, 36.0)] == [State.PENDING, State.RUNNING]
    assert vm.terminate(40.0)
    assert not vm.terminate(41.0)
    assert vm.occupies(41.9)
    assert not vm.occupies(42.0)
    assert vm.shown(101.9)
    assert not vm.shown(102.0)


def test_actions_that_make_no_sense() -> None:
    vm = machine()
    for action in (vm.suspend, vm.reboot):
        with pytest.raises(CloudConflictError, match="it is pending"):
            action(1.0)
    vm.suspend(10.0)
    with pytest.raises(CloudConflictError, match="it is stopping"):
        vm.resume(11.0)
    vm.terminate(12.0)
    for action in (vm.suspend, vm.resume, vm.reboot):
        with pytest.raises(CloudConflictError, match="it is terminat"):
            action(20.0)


def test_boot_failures_and_crashes() -> None:
    dud = machine(MockSettings(boot=Spread(1.0), boot_failures=1.0))
    assert dud.look(2.0) is State.FAILED
    assert dud.reason == "boot failed"
    assert dud.terminate(3.0)
    frail = machine(MockSettings(boot=Spread(1.0), crashes_per_hour=60.0))
    assert frail.look(1.0) is State.RUNNING
    assert frail.look(100_000.0) is State.FAILED
    assert frail.reason


@given(st.integers(0, 2**32), st.lists(st.floats(0, 200), min_size=1, max_size=30))
def test_looking_more_often_changes_nothing(seed: int, looks: list[float]) -> None:
    settings = MockSettings(crashes_per_hour=30.0, boot_failures=0.2)
    often, once = machine(settings, seed), machine(settings, seed)
    for now in sorted(looks):
        often.look(now)
    assert often.look(max(looks)) is once.look(max(looks))
    assert often.reason == once.reason


@given(st.integers(0, 2**32))
def test_times_have_a_bound(seed: int) -> None:
    rng = random.Random(seed)
    assert 0 < Spread(10.0, 2.0, 30.0).draw(rng) <= 30.0
    assert Spread().draw(rng) == 0.0
