"""Rules for bad days: which error for what, and one VM whatever happens. In: a bench with troubles. Out: tests."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from mcisd.aio.clock import SystemClock
from mcisd.drivers.base import ConsoleHandler, HibernateHandler, VmHandler
from mcisd.drivers.calls import CallGate, CallRecord, GateSettings
from mcisd.drivers.gated import Lane, Limit, gate, handler
from mcisd.drivers.ratelimit import Pace
from mcisd.drivers.wire import heard
from mcisd.model.cloud import CloudVmState, VmInfo
from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTimeoutError,
    CloudTransientError,
)
from tests.conformance.driver_bench import ENDED, DriverBench, Trouble
from tests.conformance.driver_suite_base import NOWHERE, Rules, attempt, need
from tests.conformance.driver_suite_vms import living, opened

State = CloudVmState
HASTE = 40.0


class QuickClock(SystemClock):
    """Real time, but a minute takes a second and a half."""

    def monotonic(self) -> float:
        return super().monotonic() * HASTE

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / HASTE)


async def retried(work: Callable[[], Awaitable[VmInfo]], tries: int = 8) -> tuple[VmInfo, list[CloudError]]:
    """What comes of trying again on retriable errors, and the errors on the way."""
    met: list[CloudError] = []
    for _ in range(tries):
        try:
            return await work(), met
        except CloudError as error:
            if not error.retriable:  # nobody would try again
                raise
            met.append(error)
    raise AssertionError(f"never came through: {met}")


async def _throttled(rows: list[CallRecord]) -> int:
    return len([row for row in rows if row.error_code == "cloud-throttled"])


class TroubleRules(Rules):
    async def test_expired_key(self, bench: DriverBench) -> None:
        async with bench.trouble(Trouble.EXPIRED_KEY):
            with pytest.raises(CloudAuthError) as caught:
                await attempt(bench, bench.spec)
        assert caught.value.remedy

    async def test_clock_skew(self, bench: DriverBench) -> None:
        async with bench.trouble(Trouble.CLOCK_SKEW):
            with pytest.raises(CloudAuthError) as caught:
                await attempt(bench, bench.spec)
        assert "clock" in f"{caught.value.message} {caught.value.remedy}"

    async def test_missing_permission(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        async with bench.trouble(Trouble.NO_PERMISSION):
            with pytest.raises(CloudAuthError) as caught:
                await vms.start_vm(request)
        assert caught.value.remedy
        assert await living(vms) == []

    async def test_unknown_zone(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        with pytest.raises(CloudInvalidError):
            await vms.start_vm(replace(request, zone=NOWHERE))
        assert await living(vms) == []

    async def test_quota_reached(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        async with bench.trouble(Trouble.QUOTA):
            with pytest.raises(CloudQuotaError):
                await vms.start_vm(request)
        assert await living(vms) == []

    async def test_no_capacity(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        async with bench.trouble(Trouble.NO_CAPACITY):
            try:
                accepted = await vms.start_vm(request)
            except CloudCapacityError:
                assert await living(vms) == []
            else:  # some clouds see it only when they look for a host
                assert (await bench.reach(connection, accepted.id, State.FAILED)).reason

    async def test_throttled(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        async with bench.trouble(Trouble.THROTTLED, 3):
            made, met = await retried(lambda: vms.start_vm(request))
        assert met
        assert all(isinstance(error, CloudThrottledError) for error in met)
        assert [vm.id for vm in await self._listed(bench, vms)] == [made.id]

    async def test_throttled_for_a_minute(self, bench: DriverBench) -> None:
        """Through the gate: few calls while it lasts, a slower lane afterwards, and one VM."""
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        rows: list[CallRecord] = []
        clock, pace = QuickClock(), Pace(rate=20.0, burst=20)
        calls = CallGate(clock, rows.append, GateSettings(pace))
        lane = Lane("minute", bench.driver.provider, bench.spec.region)
        gated = handler(gate(connection, calls, lane, {"start_vm": Limit(6_000.0, 12_000.0)}), VmHandler)
        async with bench.trouble(Trouble.THROTTLED, 10_000):
            task = asyncio.create_task(gated.start_vm(request))
            try:
                await bench.eventually(lambda: _throttled(rows), lambda count: count > 0, "the first refusal")
                await clock.sleep(60.0)
                assert not task.done()
                rate = calls.rate(lane.provider, lane.connection, lane.region)
            except BaseException:
                task.cancel()
                raise
        made = await task
        assert rate < pace.rate
        assert await _throttled(rows) <= 20
        assert [vm.id for vm in await self._listed(bench, vms)] == [made.id]

    async def test_server_faults(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        async with bench.trouble(Trouble.BROKEN_SERVER, 2):
            made, met = await retried(lambda: vms.start_vm(request))
        assert met
        assert all(isinstance(error, CloudTransientError) for error in met)
        assert [vm.id for vm in await self._listed(bench, vms)] == [made.id]

    async def test_answer_lost_after_the_effect(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        async with bench.trouble(Trouble.LOST_ANSWER):
            made, met = await retried(lambda: vms.start_vm(request))
        assert met
        assert all(isinstance(error, CloudTransientError | CloudTimeoutError) for error in met)
        assert [vm.id for vm in await self._listed(bench, vms)] == [made.id]

    async def test_reboot_whose_answer_is_lost(self, bench: DriverBench) -> None:
        """The driver asks once: a second restart would hit a VM that has just come up."""
        connection, vms = await opened(bench)
        vm = await bench.running(connection)
        sent: list[str] = []
        async with bench.trouble(Trouble.LOST_ANSWER):
            with heard(sent.append), pytest.raises((CloudTransientError, CloudTimeoutError)):
                await vms.reboot_vm(vm.id)
        assert len(sent) == len(set(sent)), sent
        await bench.reach(connection, vm.id, State.RUNNING)

    async def test_made_but_not_listed_yet(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        async with bench.trouble(Trouble.LATE_LISTS):
            first = await vms.start_vm(request)
            again = await vms.start_vm(request)
        assert first.id == again.id
        assert [vm.id for vm in await self._listed(bench, vms)] == [first.id]

    async def test_gone_but_still_listed(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        vm = await bench.running(connection)
        async with bench.trouble(Trouble.STALE_LISTS):
            await vms.terminate_vm(vm.id)
            await bench.ended(connection, vm.id)
            await vms.list_vm_status()
            await vms.terminate_vm(vm.id)
        await bench.eventually(lambda: living(vms), lambda found: not found, "an empty list")

    async def test_removed_by_hand(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        vm = await bench.running(connection)
        await bench.remove_by_hand(vm.id)
        await bench.ended(connection, vm.id)
        await bench.eventually(lambda: living(vms), lambda found: not found, "an empty list")
        assert [row for row in await vms.list_vm_status() if row.state not in ENDED] == []
        await vms.terminate_vm(vm.id)

    async def test_certificate_not_trusted(self, bench: DriverBench) -> None:
        with pytest.raises(CloudInvalidError) as caught:
            await attempt(bench, bench.unreachable("tls"))
        assert "certificate" in f"{caught.value.message} {caught.value.remedy}"

    async def test_name_not_resolved(self, bench: DriverBench) -> None:
        with pytest.raises(CloudTransientError):
            await attempt(bench, bench.unreachable("dns"))

    async def test_hibernate(self, bench: DriverBench) -> None:
        connection, vms = await opened(bench)
        need(connection, HibernateHandler)
        vm = await bench.running(connection)
        await handler(connection, HibernateHandler).hibernate_vm(vm.id)
        await bench.reach(connection, vm.id, State.STOPPED)
        await vms.resume_vm(vm.id)
        await bench.reach(connection, vm.id, State.RUNNING)

    async def test_console(self, bench: DriverBench) -> None:
        connection, _ = await opened(bench)
        need(connection, ConsoleHandler)
        console = handler(connection, ConsoleHandler)
        vm = await bench.running(connection)
        assert isinstance(await console.console_output(vm.id), str)
        with pytest.raises(CloudNotFoundError):
            await console.console_output(NOWHERE)

    async def test_first_boot_data(self, bench: DriverBench) -> None:
        """The cloud was given the user, the key and the host key: the first connection is verified."""
        connection, vms = await opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        text = await bench.first_boot((await vms.start_vm(request)).id)
        assert request.guest_user in text
        assert request.public_key.split()[1] in text
        assert request.host_key.splitlines()[1] in text

    async def _listed(self, bench: DriverBench, vms: VmHandler) -> list[VmInfo]:
        return await bench.eventually(lambda: living(vms), lambda found: bool(found), "the VM in the list")
