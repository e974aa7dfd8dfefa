"""The gate: timeouts, retries inside the deadline, history rows, pace, masking; all on a clock that stands still."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from mcisd.aio.clock import ManualClock
from mcisd.aio.retry import Backoff
from mcisd.drivers.calls import CallGate, CallRecord, GateSettings
from mcisd.drivers.ratelimit import Pace
from mcisd.drivers.wire import sent
from mcisd.model.errors import (
    CloudError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTimeoutError,
    CloudTransientError,
)


@dataclass
class Desk:
    """A gate with its clock and the rows it wrote."""

    clock: ManualClock = field(default_factory=ManualClock)
    rows: list[CallRecord] = field(default_factory=list)
    settings: GateSettings = field(default_factory=lambda: GateSettings(backoff=Backoff(1.0, 8.0)))

    def __post_init__(self) -> None:
        self.gate = CallGate(self.clock, self.rows.append, self.settings, rng=random.Random(1))

    async def call(
        self, fn: Callable[[], Awaitable[str]], timeout: float = 10.0, deadline: float = 60.0, name: str = "c1"
    ) -> str:
        return await self.gate.call(
            name, "mock", "seoul", "VM", "get_vm", fn,
            timeout=timeout, deadline=deadline, secrets=("hunter2", "x"),
        )  # fmt: skip

    async def finish(self, task: "asyncio.Task[str]", limit: int = 1000) -> "asyncio.Task[str]":
        for _ in range(limit):
            if task.done():
                return task
            await self.clock.advance(0.25)
        raise AssertionError("the call did not end")


def failing(*errors: Exception) -> Callable[[], Awaitable[str]]:
    """A call that fails with these one after the other, then works."""
    left = list(errors)

    async def fn() -> str:
        if left:
            raise left.pop(0)
        return "fine"

    return fn


async def test_success_writes_one_row() -> None:
    desk = Desk()
    assert await desk.call(failing()) == "fine"
    row = desk.rows[0]
    assert (row.connection, row.provider, row.region, row.resource, row.api) == ("c1", "mock", "seoul", "VM", "get_vm")
    assert (row.attempt, row.error_code, row.error_message, row.time) == (1, None, None, desk.clock.now())
    assert len(desk.rows) == 1


async def test_retriable_errors_are_tried_again_with_a_row_each() -> None:
    desk = Desk()
    task = asyncio.ensure_future(desk.call(failing(CloudTransientError("a"), CloudTimeoutError("b"))))
    assert (await desk.finish(task)).result() == "fine"
    assert [(row.attempt, row.error_code) for row in desk.rows] == [
        (1, "cloud-transient"), (2, "cloud-timeout"), (3, None),
    ]  # fmt: skip
    assert desk.rows[0].time < desk.rows[1].time < desk.rows[2].time


async def test_the_row_says_how_many_requests_were_sent() -> None:
    desk = Desk()
    left = [CloudTransientError("again")]

    async def network() -> str:
        for operation in ("CreateVpc", "CreateSubnet", "CreateRoute"):
            sent(operation)
            if left:
                raise left.pop()
        return "fine"

    assert (await desk.finish(asyncio.ensure_future(desk.call(network)))).result() == "fine"
    await desk.call(failing())
    assert [(row.attempt, row.requests) for row in desk.rows] == [(1, 1), (2, 3), (1, 0)]


async def test_each_request_is_charged_to_the_lane() -> None:
    """A call of five requests uses up what five calls would: the next one waits for the other four."""
    desk = Desk(settings=GateSettings(Pace(rate=2.0, burst=1)))

    async def many() -> str:
        for _ in range(5):
            sent("DescribeInstances")
        return "fine"

    await desk.call(many)
    begun = desk.clock.monotonic()
    await desk.finish(asyncio.ensure_future(desk.call(failing())))
    assert desk.rows[1].time - desk.rows[0].time == pytest.approx(2.5)
    assert desk.clock.monotonic() - begun == pytest.approx(2.5)


async def test_the_remedy_is_masked_too() -> None:
    desk = Desk()
    with pytest.raises(CloudQuotaError) as caught:
        await desk.call(failing(CloudQuotaError("full", remedy="ask for more with hunter2")))
    assert caught.value.remedy == "ask for more with ***"


async def test_final_errors_are_not_tried_again() -> None:
    desk = Desk()
    with pytest.raises(CloudQuotaError):
        await desk.call(failing(CloudQuotaError("full")))
    assert [row.error_message for row in desk.rows] == ["full"]


@pytest.mark.parametrize("lost", [CloudTransientError("reset"), CloudTimeoutError("late"), ValueError("odd")])
async def test_what_may_not_be_done_twice_is_tried_once(lost: Exception) -> None:
    desk = Desk()
    with pytest.raises((CloudTransientError, CloudTimeoutError)):
        await desk.gate.call(
            "c1", "mock", "seoul", "VM", "reboot_vm", failing(lost), timeout=10.0, deadline=60.0, again=False
        )
    assert len(desk.rows) == 1


async def test_what_was_refused_for_now_is_tried_again_in_any_case() -> None:
    desk = Desk()
    work = desk.gate.call(
        "c1", "mock", "seoul", "VM", "reboot_vm", failing(CloudThrottledError("slow")),
        timeout=10.0, deadline=60.0, again=False,
    )  # fmt: skip
    task = asyncio.ensure_future(work)
    assert (await desk.finish(task)).result() == "fine"
    assert [row.error_code for row in desk.rows] == ["cloud-throttled", None]


async def test_retry_after_is_honoured() -> None:
    desk = Desk()
    begun = desk.clock.monotonic()
    task = asyncio.ensure_future(desk.call(failing(CloudThrottledError("slow", retry_after=20.0))))
    await desk.finish(task)
    assert task.result() == "fine"
    assert desk.rows[1].time - desk.rows[0].time >= 20.0
    assert desk.clock.monotonic() - begun < 25.0


async def test_the_deadline_bounds_all_attempts() -> None:
    desk = Desk()
    broken = failing(*[CloudTransientError("no")] * 99)
    task = asyncio.ensure_future(desk.call(broken, deadline=20.0))
    await desk.finish(task)
    assert isinstance(task.exception(), CloudTransientError)
    assert 20.0 >= desk.clock.monotonic() > 5.0
    assert 2 < len(desk.rows) < 12


async def test_a_silent_cloud_is_a_timeout_per_attempt() -> None:
    desk = Desk()
    cancelled = []

    async def silent() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "never"

    task = asyncio.ensure_future(desk.call(silent, timeout=4.0, deadline=9.0))
    await desk.finish(task)
    assert isinstance(task.exception(), CloudTimeoutError)
    assert len(desk.rows) == len(cancelled) == 2
    assert desk.rows[0].elapsed_ms == pytest.approx(4000.0)
    assert desk.clock.monotonic() <= 9.5


async def test_the_callers_cancellation_passes_and_is_recorded() -> None:
    desk = Desk()
    task = asyncio.ensure_future(desk.call(lambda: asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row.error_code for row in desk.rows] == ["cancelled"]
    assert await desk.call(failing()) == "fine"


async def test_foreign_exceptions_become_transient_without_their_text(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    with pytest.raises(CloudTransientError) as caught:
        await desk.call(failing(RuntimeError("password hunter2")), deadline=0.5)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "RuntimeError" in caught.value.message
    assert "hunter2" not in caught.value.message + caplog.text + str(desk.rows)
    assert "test_drivers_calls.py" in caplog.text


async def test_secrets_are_masked_in_our_own_errors() -> None:
    desk = Desk()
    with pytest.raises(CloudQuotaError) as caught:
        await desk.call(failing(CloudQuotaError("no room for hunter2 next to x")))
    assert str(caught.value) == caught.value.message == "no room for *** next to x"
    assert desk.rows[0].error_message == caught.value.message


async def test_slots_bound_the_calls_under_way_per_lane() -> None:
    desk = Desk(settings=GateSettings(Pace(rate=1000.0, burst=1000, concurrency=3)))
    under_way, most = 0, 0

    async def slow() -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await desk.clock.sleep(1.0)
        under_way -= 1
        return "fine"

    tasks = [asyncio.ensure_future(desk.call(slow)) for _ in range(10)]
    await desk.clock.advance(1.5)
    assert most == 3
    assert await desk.call(failing(), name="another") == "fine"
    await desk.finish(tasks[-1])
    assert most == 3
    assert [task.result() for task in tasks] == ["fine"] * 10


async def test_waiting_for_a_slot_ends_with_the_deadline() -> None:
    desk = Desk(settings=GateSettings(Pace(concurrency=1)))
    first = asyncio.ensure_future(desk.call(lambda: asyncio.get_running_loop().create_future(), 50.0, 50.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.ensure_future(desk.call(failing(), 5.0, 5.0))
    await desk.finish(second)
    error = second.exception()
    assert isinstance(error, CloudThrottledError)
    assert "was not sent" in error.message
    assert desk.rows == []
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await desk.call(failing()) == "fine"


async def test_throttling_slows_the_lane_down_and_only_that_one() -> None:
    desk = Desk(settings=GateSettings(Pace(rate=10.0, burst=1, recovery=100.0), backoff=Backoff(1.0, 8.0)))
    task = asyncio.ensure_future(desk.call(failing(CloudThrottledError("slow"))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert desk.gate.rate("mock", "c1", "seoul") == 5.0
    assert desk.gate.rate("mock", "c2", "seoul") == 10.0
    await desk.finish(task)
    await desk.clock.advance(60.0)
    assert desk.gate.rate("mock", "c1", "seoul") == 10.0


async def test_connections_of_one_account_share_a_lane() -> None:
    desk = Desk(settings=GateSettings(providers={"mock": Pace(rate=1.0, burst=1)}))

    async def call(name: str, provider: str) -> str:
        fn = failing()
        return await desk.gate.call(name, provider, "r", "VM", "get_vm", fn, timeout=9.0, deadline=9.0, account="acc")

    tasks = [asyncio.ensure_future(call(name, "mock")) for name in ("c1", "c2", "c3")]
    tasks += [asyncio.ensure_future(call(name, "other")) for name in ("c4", "c5")]
    await desk.finish(tasks[2])
    begun = desk.rows[0].time
    assert {row.connection: row.time - begun for row in desk.rows} == {"c1": 0, "c2": 1, "c3": 2, "c4": 0, "c5": 0}


async def test_the_pace_holds_for_many_calls() -> None:
    desk = Desk(settings=GateSettings(Pace(rate=4.0, burst=2, concurrency=50)))
    tasks = [asyncio.ensure_future(desk.call(failing())) for _ in range(20)]
    await desk.finish(tasks[-1])
    times = sorted(row.time for row in desk.rows)
    assert times[-1] - times[0] == pytest.approx(18 / 4.0)


async def test_no_room_before_the_deadline_is_said_at_once() -> None:
    desk = Desk(settings=GateSettings(Pace(rate=0.2, burst=1)))
    assert await desk.call(failing()) == "fine"
    with pytest.raises(CloudThrottledError, match="rate limit"):
        await desk.call(failing(), deadline=3.0)


async def test_a_broken_history_does_not_lose_the_result(caplog: pytest.LogCaptureFixture) -> None:
    def broken(row: CallRecord) -> None:
        raise RuntimeError(f"disk full for {row.api}")

    gate = CallGate(ManualClock(), broken)
    with caplog.at_level(logging.ERROR):
        assert await gate.call("c", "p", "r", "VM", "start_vm", failing(), timeout=1.0, deadline=1.0) == "fine"
    assert "history row for start_vm was lost" in caplog.text


async def test_every_error_is_of_our_tree() -> None:
    desk = Desk()
    for error in (TimeoutError(), ConnectionResetError(), KeyError("k"), ExceptionGroup("g", [ValueError("v")])):
        with pytest.raises(CloudError):
            await desk.call(failing(error), deadline=0.5)
