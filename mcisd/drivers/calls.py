"""The one gate all calls to clouds pass.

In: a call, who it is for, how long it may take. Out: its result or an error of our tree, and one call-history row per
attempt. On the way: slots and pace per account and region, a timeout per attempt, retries inside a total deadline.
"""

import asyncio
import logging
import random
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from mcisd.aio.clock import Clock
from mcisd.aio.retry import Backoff, retry
from mcisd.drivers.ratelimit import AdaptiveBucket, Pace
from mcisd.drivers.wire import heard
from mcisd.model.errors import CloudError, CloudThrottledError, CloudTimeoutError, CloudTransientError

log = logging.getLogger(__name__)
T = TypeVar("T")
SHORTEST_SECRET = 6
"""Characters; masking shorter ones would garble ordinary words and hide nothing worth hiding."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One attempt of one call: a row of the call history.

    ``time`` is seconds since the epoch at its start, ``attempt`` counts from 1, ``error_code`` is None on success
    and ``cancelled`` when the caller gave up. ``requests`` went over the wire for it.
    """

    time: float
    connection: str
    provider: str
    region: str
    resource: str
    api: str
    elapsed_ms: float
    attempt: int
    error_code: str | None = None
    error_message: str | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Pace of every lane, other paces by provider name, and the delays between attempts."""

    pace: Pace = field(default_factory=Pace)
    providers: dict[str, Pace] = field(default_factory=dict)
    backoff: Backoff = field(default_factory=Backoff)


class _Lane:
    """What the calls of one account in one region share."""

    def __init__(self, pace: Pace, now: float) -> None:
        self.slots = asyncio.Semaphore(pace.concurrency)
        self.bucket = AdaptiveBucket(pace, now)


@dataclass(frozen=True, slots=True)
class _Call:
    """Who calls what: the part that all attempts of a call have in common."""

    connection: str
    provider: str
    region: str
    resource: str
    api: str
    secrets: tuple[str, ...]


class _Once(Exception):  # noqa: N818 - carries an error past the retries
    """The error of a call that may not be made twice, where the cloud may have heard it."""

    def __init__(self, error: CloudError) -> None:
        super().__init__(error.message)
        self.error = error


class CallGate:
    """Takes every call to a cloud; one per process.

    ``record`` gets a row per attempt; it is called in the loop and may not block.
    """

    def __init__(
        self,
        clock: Clock,
        record: Callable[[CallRecord], None],
        settings: GateSettings | None = None,
        *,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._record = record
        self._settings = settings or GateSettings()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._lanes: dict[tuple[str, str, str], _Lane] = {}

    def rate(self, provider: str, account: str, region: str) -> float:
        """Calls per second the lane may make now, after what the cloud has asked of it."""
        return self._lane(provider, account, region).bucket.rate(self._clock.monotonic())

    async def call(
        self,
        connection_name: str,
        provider: str,
        region: str,
        resource: str,
        api: str,
        fn: Callable[[], Awaitable[T]],
        *,
        timeout: float,
        deadline: float,
        account: str = "",
        secrets: Iterable[str] = (),
        again: bool = True,
        paced: bool = True,
    ) -> T:
        """The result of ``fn``, tried again on retriable errors; without ``again`` only if it was refused for now.

        ``timeout`` bounds one attempt, ``deadline`` all of them with the waits between (seconds). Connections that
        share a limit at the cloud name the same ``account``; without one each connection has a lane of its own.
        ``secrets`` (of 6 characters and more) are masked in messages. What is not ``paced`` sends nothing and waits for
        no turn. Raises only CloudError and below; the last one
        when the deadline is over.
        """
        call = _Call(
            connection_name, provider, region, resource, api, tuple(s for s in secrets if len(s) >= SHORTEST_SECRET)
        )
        lane = self._lane(provider, account or connection_name, region)
        end = self._clock.monotonic() + deadline
        attempts = 0

        async def attempt() -> T:
            nonlocal attempts
            attempts += 1
            if paced:
                await self._enter(call, lane, end)
            try:
                left = end - self._clock.monotonic()
                return await self._attempt(call, lane, attempts, fn, min(timeout, left))
            except (CloudTransientError, CloudTimeoutError) as error:
                if again:
                    raise
                raise _Once(error) from error
            finally:
                if paced:
                    lane.slots.release()

        backoff = self._settings.backoff
        try:
            return await retry(attempt, clock=self._clock, deadline=deadline, backoff=backoff, rng=self._rng)
        except _Once as once:
            raise once.error from once.error.__cause__

    def _lane(self, provider: str, account: str, region: str) -> _Lane:
        key = (provider, account, region)
        lane = self._lanes.get(key)
        if lane is None:
            pace = self._settings.providers.get(provider, self._settings.pace)
            lane = self._lanes[key] = _Lane(pace, self._clock.monotonic())
        return lane

    async def _enter(self, call: _Call, lane: _Lane, end: float) -> None:
        """Wait for a slot and for the pace, both inside the deadline; the caller gives the slot back."""
        now = self._clock.monotonic()
        try:
            if lane.slots.locked():
                await within(self._clock, end - now, lane.slots.acquire)
            else:
                await lane.slots.acquire()
        except TimeoutError:
            raise CloudThrottledError(f"{call.api} was not sent: no free slot for {call.provider} in time") from None
        try:
            now = self._clock.monotonic()
            wait = lane.bucket.wait(now)
            if now + wait >= end:
                raise CloudThrottledError(
                    f"{call.api} was not sent: the rate limit of {call.provider} leaves no room before the deadline",
                    retry_after=wait,
                )
            await self._pause(lane.bucket.take(now))
        except BaseException:
            lane.slots.release()
            raise

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)

    async def _attempt(
        self, call: _Call, lane: _Lane, number: int, fn: Callable[[], Awaitable[T]], timeout: float
    ) -> T:
        started, begun = self._clock.now(), self._clock.monotonic()
        error: CloudError | None = None
        cancelled = True
        sent: list[str] = []
        try:
            with heard(sent.append):
                result = await within(self._clock, timeout, fn)
            cancelled = False
            return result
        except Exception as caught:
            cancelled = False
            error = _translate(call, caught, timeout)
            if isinstance(error, CloudThrottledError):
                lane.bucket.throttled(self._clock.monotonic(), error.retry_after)
            if error is caught:
                raise
            raise error from caught
        finally:
            elapsed = (self._clock.monotonic() - begun) * 1000.0
            if len(sent) > 1:  # the first was paid for on the way in; the next call waits for the others
                lane.bucket.charge(self._clock.monotonic(), len(sent) - 1)
            code = "cancelled" if cancelled else error.code if error else None
            self._keep(
                CallRecord(
                    started, call.connection, call.provider, call.region, call.resource, call.api, elapsed, number,
                    code, error.message if error else None, len(sent),
                )
            )  # fmt: skip

    def _keep(self, row: CallRecord) -> None:
        try:
            self._record(row)
        except Exception:
            # A VM that was just made must not be lost because its history row was.
            log.exception("call history row for %s was lost", row.api)


async def within(clock: Clock, seconds: float, fn: Callable[[], Awaitable[T]]) -> T:
    """The result of ``fn``, or TimeoutError after ``seconds`` of ``clock``; ``fn`` is cancelled then."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:

        async def expire() -> None:
            await clock.sleep(seconds)
            limit.reschedule(loop.time())

        timer = loop.create_task(expire(), name="call timeout")
        try:
            return await fn()
        finally:
            timer.cancel()


def _translate(call: _Call, caught: Exception, timeout: float) -> CloudError:
    """Our error for what came out of a driver; the text of a foreign exception may hold secrets and is left out."""
    if isinstance(caught, CloudError):
        _mask(caught, call.secrets)
        return caught
    if isinstance(caught, TimeoutError):
        return CloudTimeoutError(f"{call.provider} gave no answer to {call.api} within {timeout:.3g} s")
    frames = traceback.extract_tb(caught.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    log.warning("%s %s raised an unexpected %s at %s", call.provider, call.api, type(caught).__name__, where)
    return CloudTransientError(f"{call.provider} {call.api} failed unexpectedly: {type(caught).__name__}")


def _mask(error: CloudError, secrets: tuple[str, ...]) -> None:
    for secret in secrets:
        if secret in error.message:
            error.message = error.message.replace(secret, "***")
            error.args = (error.message,)
        if error.remedy is not None:
            error.remedy = error.remedy.replace(secret, "***")
