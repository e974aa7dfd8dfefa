"""Long-lived tasks with an owner: started, restarted when they fail, stopped within a bound."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from mcisd.aio.clock import Clock
from mcisd.aio.retry import Backoff

log = logging.getLogger(__name__)


class Service:
    """One named body that runs until stopped.

    The body is restarted with growing delays when it raises; it is logged once when it goes down and once when it
    has come back (stayed up for ``settled`` seconds). ``CancelledError`` always ends it.
    """

    def __init__(self, name: str, body: Callable[[], Awaitable[None]], clock: Clock, settled: float = 10.0) -> None:
        self.name = name
        self.failures = 0
        self.error: str | None = None
        self._body = body
        self._clock = clock
        self._settled = settled
        self._task: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """Running, and its last run did not just fail."""
        return self._task is not None and not self._task.done() and self.error is None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self.name)

    async def stop(self, grace: float = 5.0) -> None:
        """Cancel and wait at most ``grace`` seconds; a body that will not end is named in the log."""
        if self._task is None:
            return
        self._task.cancel()
        done, _ = await asyncio.wait({self._task}, timeout=grace)
        if not done:
            log.error("service %s did not stop within %.0f s", self.name, grace)
        self._task = None

    async def _run(self) -> None:
        backoff, rng, attempt = Backoff(0.2, 10.0), random.Random(), 0  # noqa: S311 - jitter, not a secret
        while True:
            begun = self._clock.monotonic()
            try:
                await self._body()
                self.error = None
                return
            except Exception as error:
                if self._clock.monotonic() - begun > self._settled:
                    attempt = 0
                if attempt == 0:
                    log.exception("service %s went down; restarting it", self.name)
                self.failures += 1
                self.error = f"{type(error).__name__}: {error}"
            await self._clock.sleep(backoff.delay(attempt, rng))
            attempt += 1
            self.error = None


class TaskSet:
    """Owner of short tasks that nobody awaits one by one; failures are logged, ``close`` ends them all."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name or self.name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self, grace: float = 5.0) -> None:
        """Cancel what still runs and wait at most ``grace`` seconds."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                log.error("task %s did not stop within %.0f s", task.get_name(), grace)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task %s failed", task.get_name(), exc_info=task.exception())
