"""A thousand VMs in one MCIS on the scripted cloud: all run, few calls, a loop that stays awake.

In: one request. Out: the numbers of calls and the time it took, printed. Emulated: the cloud and its speed.
"""

import sys
import time
from pathlib import Path

import pytest

from mcisd.aio.clock import SystemClock
from mcisd.daemon.mcis.requests import Caller
from mcisd.daemon.mcis.worker import Pace
from mcisd.drivers.mock.cloud import MockCloud
from mcisd.drivers.mock.settings import MockSettings, Spread
from mcisd.model.states import Action, OperationState
from tests.integration.control.harness import NS, Core, group, running

VMS = 1000
BOOT = 2.0
CLOUD = MockSettings(latency=Spread(0.01), boot=Spread(BOOT), terminate=Spread(0.5), shown_terminated=30.0)


def _lists(core: Core) -> int:
    return core.cloud.calls["list_vms"] + core.cloud.calls["list_vm_status"]


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_thousand_vms(tmp_path: Path) -> None:
    cloud = MockCloud(CLOUD, SystemClock())
    async with running(tmp_path, cloud=cloud, pace=Pace()) as core:
        begun = time.monotonic()
        done = await core.finished(await core.create("web", group("a", "c1", VMS)), 120.0)
        created = time.monotonic() - begun
        assert (done.state, done.succeeded) == (OperationState.SUCCEEDED, VMS)
        assert core.cloud.calls["start_vm"] == VMS
        # One look per half second whatever the number of VMs, and nobody is asked for one by one.
        assert _lists(core) <= created / 0.5 + 3
        assert core.cloud.calls["get_vm"] == 0
        before, begun = _lists(core), time.monotonic()
        ended = await core.mcis.control(NS, "web", Action.TERMINATE, Caller())
        done = await core.finished(ended.operation, 120.0)
        took = time.monotonic() - begun
        assert (done.state, done.succeeded) == (OperationState.SUCCEEDED, VMS)
        assert core.cloud.calls["terminate_vm"] == VMS
        assert _lists(core) - before <= took / 0.5 + 3
        await core.check()
        sys.stdout.write(f"\n{VMS} VMs: Running after {created:.1f} s (boot {BOOT} s), Terminated after {took:.1f} s\n")
