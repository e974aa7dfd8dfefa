"""What a process is made of: services that run until the end, and ends in the reverse order of the beginnings."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from mcisd.aio.clock import Clock
from mcisd.aio.supervise import Service
from mcisd.daemon.leases import Work
from mcisd.daemon.telemetry import Telemetry

log = logging.getLogger(__name__)
END = 10.0
"""Seconds each part has to end."""
Body = Callable[[], Awaitable[None]]


class Host:
    """Owner of the services of this process."""

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        self.stack = AsyncExitStack()
        self._clock = clock
        self._services: dict[str, Service] = {}
        telemetry.add("service_up", lambda: {(name,): float(not s.error) for name, s in self._services.items()})
        telemetry.add("service_failures_total", lambda: {(n,): float(s.failures) for n, s in self._services.items()})

    def run(self, name: str, body: Body) -> None:
        """Run a service under supervision until the end."""
        service = self._begin(name, body)
        self.end(name, service.stop)

    def end(self, name: str, end: Callable[[], Awaitable[Any]], seconds: float = END) -> None:
        """Register how a part ends; its failure is logged and does not stop the others."""

        async def bounded() -> None:
            try:
                async with asyncio.timeout(seconds):
                    await end()
            except TimeoutError:
                log.error("%s did not end within %.0f s", name, seconds)
            except Exception:
                log.exception("%s did not end cleanly", name)

        self.stack.push_async_callback(bounded)

    def single(self, role: str, bodies: Mapping[str, Body]) -> Work:
        """Services of which only one process of the role runs each at a time, as work for leases."""

        async def names() -> list[str]:
            return list(bodies)

        async def begin(name: str) -> None:
            self._begin(name, bodies[name])

        async def end(name: str) -> None:
            service = self._services.pop(name, None)
            if service is not None:
                await service.stop()

        return Work(role, names, begin, end)

    async def close(self) -> None:
        """End everything, the newest first."""
        await self.stack.aclose()

    def health(self) -> dict[str, str]:
        """Service name → "ok" or its last error."""
        return {service.name: service.error or "ok" for service in self._services.values()}

    def _begin(self, name: str, body: Body) -> Service:
        service = Service(name, body, self._clock)
        self._services[name] = service
        service.start()
        return service
