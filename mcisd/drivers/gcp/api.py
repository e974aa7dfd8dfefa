"""Google's API as coroutines. In: a method's name and its parameters. Out: its answer, all pages, a finished operation.

A creation or a change is an *operation* at Google: it is accepted first and done, or failed, later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mcisd.drivers.gcp.faults import operation_fault
from mcisd.drivers.gcp.names import request_id, tail
from mcisd.drivers.gcp.threads import Threads
from mcisd.model.errors import CloudConflictError, CloudNotFoundError, CloudTransientError

if TYPE_CHECKING:
    from mcisd.drivers.gcp.edge import Edge

Json = dict[str, Any]
T = TypeVar("T")
Look = Callable[[], Awaitable[Json | None]]
WAIT = 60.0
"""Seconds for which one request may wait for an operation; Google answers after two minutes at the latest."""
POLL = "poll "
MOST_PER_PAGE = 500
ATTEMPTS = 8


class Api:
    """One account's requests about one project, each in a thread of a small pool."""

    def __init__(self, edge: "Edge", project: str, threads: Threads) -> None:
        self._edge = edge
        self.project = project
        self._threads = threads

    async def call(self, name: str, **parameters: object) -> Json:
        """The answer of one request about our project, unless ``project`` names another."""
        full = {"project": self.project, **parameters}
        return await self._threads.run(partial(self._edge.call, name, full))

    async def pages(self, name: str, **parameters: object) -> list[Json]:
        """All pages of a list."""
        pages: list[Json] = []
        page: str | None = None
        while page != "":
            more = {"pageToken": page} if page else {}
            pages.append(await self.call(name, maxResults=MOST_PER_PAGE, **parameters, **more))
            page = str(pages[-1].get("nextPageToken", ""))
        return pages

    async def items(self, name: str, **parameters: object) -> list[Json]:
        """What is on all pages of a list."""
        return [item for page in await self.pages(name, **parameters) for item in page.get("items", [])]

    async def scoped(self, name: str, kind: str, region: str, **parameters: object) -> list[Json]:
        """What is on all pages of a list over all zones, of the zones of one region.

        CloudTransientError if one of them cannot be reached now: its objects are not gone, only not shown.
        """
        found: list[Json] = []
        for page in await self.pages(name, **parameters):
            for scope, part in page.get("items", {}).items():
                if scope.startswith(f"zones/{region}-"):
                    if part.get("warning", {}).get("code") == "UNREACHABLE":
                        raise CloudTransientError(f"Google Cloud cannot reach {scope} now")
                    found += part.get(kind, [])
        return found

    async def skus(self, service: str, page: str) -> Json:
        """One page of the price list."""
        return await self._threads.run(partial(self._edge.skus, service, page))

    async def finish(self, operation: Json) -> Json:
        """The operation once it is done; raises what it failed with."""
        while operation["status"] != "DONE":
            name, where = _waiting(operation, "wait")
            full = {"project": self.project, **where}
            operation = await self._threads.run(partial(self._edge.call, name, full, WAIT, POLL))
        fault = operation_fault(operation)
        if fault is not None:
            raise fault
        return operation

    async def watch(self, operation: Json, pauses: tuple[float, ...]) -> Json:
        """The operation after a look at it after each pause, until it is done; raises what it failed with.

        For operations whose end is far: it tells the refusals that come soon, and waits no longer.
        """
        for pause in pauses:
            if operation["status"] == "DONE":
                break
            await asyncio.sleep(pause)
            name, where = _waiting(operation, "get")
            full = {"project": self.project, **where}
            operation = await self._threads.run(partial(self._edge.call, name, full, note=POLL))
        fault = operation_fault(operation)
        if fault is not None:
            raise fault
        return operation

    async def change(self, name: str, **parameters: object) -> None:
        """Ask for a change and wait for its end."""
        await self.finish(await self.call(name, **parameters))

    async def remove(self, name: str, **parameters: object) -> None:
        """Delete and wait for the end; nothing to delete is fine."""
        try:
            await self.change(name, **parameters)
        except CloudNotFoundError:
            return

    async def ask(self, name: str, seed: str, **parameters: object) -> Json:
        """Ask for a creation once, however often it is asked: the operation.

        A request id that Google has seen gives the operation of that time; if that one failed, the id is used up, and
        the next one is taken.
        """
        operation: Json = {}
        for attempt in range(ATTEMPTS):
            operation = await self.call(name, requestId=request_id(seed, attempt), **parameters)
            if operation["status"] != "DONE" or operation_fault(operation) is None:
                return operation
        return operation

    async def make(self, name: str, seed: str, look: Look, **parameters: object) -> Json | None:
        """Create what ``look`` would find, and wait for it. What was there already, or None if it is new."""
        try:
            for _ in range(ATTEMPTS):
                operation = await self.ask(name, seed, **parameters)
                if operation["status"] != "DONE" or operation_fault(operation) is not None:
                    await self.finish(operation)
                    return None
                found = await look()  # somebody was here before; what he made may be gone again
                if found is not None:
                    return found
                seed = f"{seed}\n{operation['id']}"
        except CloudConflictError:
            found = await look()
            if found is None:
                raise
            return found
        raise CloudConflictError(f"{name} was asked for and undone {ATTEMPTS} times with the same token")

    async def close(self) -> None:
        await self._threads.close()
        self._edge.close()


def _waiting(operation: Json, verb: str) -> tuple[str, Json]:
    """The method that asks after an operation, and its parameters beside the project."""
    for scope in ("zone", "region"):
        if operation.get(scope):
            return f"{scope}Operations.{verb}", {"operation": operation["name"], scope: tail(operation[scope])}
    return f"globalOperations.{verb}", {"operation": operation["name"]}


async def together(*work: Awaitable[T]) -> list[T]:
    """The results of all, which run at the same time; the first error once all have ended."""
    ended = await asyncio.gather(*work, return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException):
            raise result
    return [result for result in ended if not isinstance(result, BaseException)]
