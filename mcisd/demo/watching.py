"""The event stream as the story's eye. In: the API's events, no gap over a restart. Out: the one waited for."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from mcisd.client import Client
from mcisd.client.transport import Json
from mcisd.demo.telling import StepFailedError

Wanted = Callable[[Json], bool]


class EventWatch:
    """Keeps every event since its start; run ``run`` as a task."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._events: list[Json] = []
        self._more = asyncio.Condition()

    async def run(self) -> None:
        """Follow the stream for ever."""
        async with aclosing(self._client.events(after=0)) as stream:
            async for event in stream:
                async with self._more:
                    self._events.append(event)
                    self._more.notify_all()

    @property
    def place(self) -> int:
        """How many events there are now: a place to search from."""
        return len(self._events)

    async def until(self, kind: str, timeout: float, wanted: Wanted = lambda _: True, since: int = 0) -> Json:
        """The first event of this type since a place that is ``wanted``; StepFailedError if none comes in time."""
        found: list[Json] = []

        def there() -> bool:
            found[:] = [event for event in self._events[since:] if event["type"] == kind and wanted(event)]
            return bool(found)

        try:
            async with asyncio.timeout(timeout), self._more:
                await self._more.wait_for(there)
        except TimeoutError:
            last = [f"{event['type']} {event['subject']}" for event in self._events[-3:]]
            raise StepFailedError(f"an event {kind} within {timeout:g} s", f"none; the last ones: {last}") from None
        return found[0]

    def count(self, kind: str, wanted: Wanted = lambda _: True) -> int:
        return sum(1 for event in self._events if event["type"] == kind and wanted(event))


def about(vm: str) -> Wanted:
    """Events whose subject is this VM."""
    return lambda event: str(event["subject"]).endswith(f"/vm/{vm}")
