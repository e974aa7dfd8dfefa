"""States of domains in our words. Pure. In: libvirt's numbers and what we know of the VM. Out: state and reason."""

from enum import IntEnum

from mcisd.model.cloud import CloudVmState


class Domain(IntEnum):
    """virDomainState."""

    NONE = 0
    RUNNING = 1
    BLOCKED = 2
    PAUSED = 3
    SHUTDOWN = 4
    SHUTOFF = 5
    CRASHED = 6
    SLEEPING = 7


ACTIVE = frozenset({Domain.RUNNING, Domain.BLOCKED, Domain.PAUSED, Domain.SHUTDOWN, Domain.SLEEPING})
"""The host's memory is in use."""
_PAUSED_SAVING, _PAUSED_STARTING = 3, 11
_PAUSED_BROKEN = {5: "its disk cannot be written", 6: "its watchdog fired", 10: "its kernel crashed"}
_OFF_BROKEN = {3: "its emulator ended unexpectedly", 6: "it could not be started"}


def vm_state(state: int, reason: int, *, made: bool, stopping: bool, addressed: bool) -> tuple[CloudVmState, str]:
    """``made``: its creation went to the end; ``stopping``: we asked it to; ``addressed``: its address is known."""
    if state in (Domain.RUNNING, Domain.BLOCKED):
        if stopping:
            return CloudVmState.STOPPING, ""
        return (CloudVmState.RUNNING if addressed else CloudVmState.PENDING), ""
    if state == Domain.PAUSED:
        return _paused(reason)
    if state == Domain.SHUTDOWN:
        return CloudVmState.STOPPING, ""
    if state == Domain.CRASHED:
        return CloudVmState.FAILED, "its kernel crashed"
    if not made:
        return CloudVmState.PENDING, ""
    if state == Domain.SHUTOFF and reason in _OFF_BROKEN:
        return CloudVmState.FAILED, _OFF_BROKEN[reason]
    return CloudVmState.STOPPED, ""


def _paused(reason: int) -> tuple[CloudVmState, str]:
    if reason in _PAUSED_BROKEN:
        return CloudVmState.FAILED, _PAUSED_BROKEN[reason]
    if reason == _PAUSED_SAVING:
        return CloudVmState.STOPPING, ""
    if reason == _PAUSED_STARTING:
        return CloudVmState.PENDING, ""
    return CloudVmState.STOPPED, "paused at the hypervisor"
