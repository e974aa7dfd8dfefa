"""One mock VM: its state is worked out from the time when somebody looks, so 10 000 of them need no task.

In: actions and the time. Out: the state now, or an error of our tree where the action makes no sense.
"""

import math
import random
from dataclasses import dataclass, field

from mcisd.drivers.mock import errors
from mcisd.drivers.mock.settings import MockSettings
from mcisd.model.cloud import CloudVmState, VmRequest

_SETTLES = {
    CloudVmState.PENDING: CloudVmState.RUNNING,
    CloudVmState.STOPPING: CloudVmState.STOPPED,
    CloudVmState.TERMINATING: CloudVmState.TERMINATED,
}
_GONE = (CloudVmState.TERMINATING, CloudVmState.TERMINATED)


@dataclass(slots=True, eq=False)
class Machine:
    """A VM of the cloud; times are the clock's monotonic seconds, ``started_at`` is epoch seconds."""

    id: str
    request: VmRequest
    region: str
    installation: str
    address: str
    private_address: str
    rng: random.Random
    settings: MockSettings
    started_at: float
    state: CloudVmState = CloudVmState.PENDING
    until: float = math.inf
    crash_at: float = math.inf
    reason: str = ""
    addressed: bool = False
    ended_at: float = math.inf
    fails_boot: bool = field(default=False)

    def begin(self, now: float) -> None:
        """First boot."""
        self.fails_boot = self.rng.random() < self.settings.boot_failures
        self._change(CloudVmState.PENDING, now + self.settings.boot.draw(self.rng))

    def look(self, now: float) -> CloudVmState:
        """The state at ``now``; everything that fell due before has happened."""
        if now >= self.until and self.state in _SETTLES:
            self._settle()
        if self.state is CloudVmState.RUNNING and now >= self.crash_at:
            self.fail("the host of this VM died")
        return self.state

    def shown(self, now: float) -> bool:
        """Whether the cloud still tells of it: a terminated VM fades away after a while."""
        return self.look(now) is not CloudVmState.TERMINATED or now < self.until + self.settings.shown_terminated

    def alive(self, now: float) -> bool:
        """Whether it exists and nobody has asked for its end."""
        return self.look(now) not in _GONE

    def occupies(self, now: float) -> bool:
        """Whether it still holds its network and security groups."""
        return self.look(now) is not CloudVmState.TERMINATED

    def suspend(self, now: float) -> None:
        state = self.look(now)
        if state in (CloudVmState.STOPPED, CloudVmState.STOPPING):
            return
        self._need("suspend", state, CloudVmState.RUNNING)
        self._change(CloudVmState.STOPPING, now + self.settings.stop.draw(self.rng))

    def resume(self, now: float) -> None:
        state = self.look(now)
        if state in (CloudVmState.RUNNING, CloudVmState.PENDING):
            return
        self._need("resume", state, CloudVmState.STOPPED)
        self._change(CloudVmState.PENDING, now + self.settings.start.draw(self.rng))

    def reboot(self, now: float) -> None:
        """Stays ``running`` as far as the cloud tells, as with most clouds."""
        self._need("reboot", self.look(now), CloudVmState.RUNNING)

    def terminate(self, now: float) -> bool:
        """True if this call began the end."""
        if not self.alive(now):
            return False
        self.ended_at = now
        self._change(CloudVmState.TERMINATING, now + self.settings.terminate.draw(self.rng))
        return True

    def vanish(self, now: float) -> bool:
        """Gone without a trace of its end; True if nobody had asked for that before."""
        alive = self.alive(now)
        self._change(CloudVmState.TERMINATED, -math.inf)
        return alive

    def fail(self, reason: str) -> None:
        self.state, self.until, self.reason = CloudVmState.FAILED, math.inf, reason

    def _need(self, action: str, state: CloudVmState, needed: CloudVmState) -> None:
        if state is not needed:
            raise errors.wrong_state(action, self.id, state)

    def _change(self, state: CloudVmState, until: float) -> None:
        self.state, self.until, self.reason = state, until, ""

    def _settle(self) -> None:
        self.state = _SETTLES[self.state]
        if self.state is not CloudVmState.RUNNING:
            return
        if self.fails_boot:
            self.fails_boot = False
            self.fail("boot failed")
            return
        self.addressed = True
        if self.settings.crashes_per_hour > 0:
            self.crash_at = self.until + self.rng.expovariate(self.settings.crashes_per_hour / 3600.0)
