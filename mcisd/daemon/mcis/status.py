"""The state of an MCIS: an aggregate of its VMs' states, never stored. Pure."""

from collections.abc import Iterable

from mcisd.model.states import VmState

ORDER = (
    VmState.FAILED,
    VmState.SUSPENDED,
    VmState.RUNNING,
    VmState.TERMINATED,
    VmState.CREATING,
    VmState.SUSPENDING,
    VmState.RESUMING,
    VmState.REBOOTING,
    VmState.TERMINATING,
    VmState.UNDEFINED,
)
"""Ties go to the state that stands first."""

EMPTY = "Empty"


def counts(states: Iterable[VmState]) -> dict[str, int]:
    """State → number of VMs, in the fixed order, only what occurs."""
    tally = dict.fromkeys(ORDER, 0)
    for state in states:
        tally[state] += 1
    return {state.value: number for state, number in tally.items() if number}


def aggregate(states: Iterable[VmState]) -> str:
    """The status text: ``Running:3 (R:3/3)``, ``Partial-Suspended:2 (R:1/3)``, or ``Empty``."""
    tally = counts(states)
    if not tally:
        return EMPTY
    total = sum(tally.values())
    leader = max(tally, key=lambda state: tally[state])
    prefix = "" if tally[leader] == total else "Partial-"
    return f"{prefix}{leader}:{tally[leader]} (R:{tally.get(VmState.RUNNING.value, 0)}/{total})"
