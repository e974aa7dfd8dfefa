"""Between processes: short requests and answers over the topic ``control``.

Every process follows the topic. A request is told to all; whoever it concerns answers. Nothing is kept: a request that
is not answered in time has failed, and whoever asked decides what that means. One process alone uses the same way.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from mcisd.aio.supervise import TaskSet
from mcisd.bus.base import Bus, Delivery
from mcisd.bus.topics import CONTROL
from mcisd.model.errors import BusError, HostCommandError, HostTimeoutError, McisdError
from mcisd.model.ids import new_id

log = logging.getLogger(__name__)
Body = dict[str, object]
Handler = Callable[[Body], Awaitable[Body | None]]
"""A request in, the answer out; None: it does not concern this process."""
MOST = 256
"""Requests served at once; more are not served, and counted."""


class Control:
    """``me`` is this process's node uid."""

    def __init__(self, bus: Bus, me: str) -> None:
        self.refused = 0
        self._bus = bus
        self._me = me
        self._handlers: dict[str, Handler] = {}
        self._waiting: dict[str, asyncio.Future[Body]] = {}
        self._tasks = TaskSet("control")

    def serve(self, op: str, handler: Handler) -> None:
        """Answer requests ``op`` with ``handler``. A McisdError of it is the answer, too."""
        self._handlers[op] = handler

    async def ask(self, op: str, body: Body, timeout: float) -> Body:
        """The first answer. HostTimeoutError if there is none in time, HostCommandError if it says what went wrong."""
        number = new_id("rq")
        future: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(timeout):
                await self._publish({"op": op, "id": number, "from": self._me, "body": body})
                answer = await future
        except TimeoutError:
            raise HostTimeoutError(f"nobody answered {op} within {timeout:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise HostCommandError(str(answer["error"])[:300])
        return answer

    async def tell(self, op: str, body: Body) -> None:
        """Tell all; nobody answers."""
        await self._publish({"op": op, "id": "", "from": self._me, "body": body})

    async def run(self) -> None:
        """Serve and hear answers, for ever."""
        subscription = self._bus.follow(CONTROL.name, "control")
        try:
            while True:
                for delivery in await subscription.fetch():
                    self._take(delivery)
        finally:
            await subscription.close()

    async def close(self) -> None:
        await self._tasks.close()

    def _take(self, delivery: Delivery) -> None:
        try:
            match json.loads(delivery.value):
                case {"re": str(number), "to": str(to), "body": dict(body)}:
                    future = self._waiting.get(number) if to == self._me else None
                    if future is not None and not future.done():
                        future.set_result(body)
                case {"op": str(op), "id": str(number), "from": str(asker), "body": dict(body)}:
                    self._begin(op, number, asker, body)
                case _:
                    log.warning("message %d of topic control is none of ours", delivery.offset)
        except ValueError as error:
            log.warning("message %d of topic control cannot be read: %s", delivery.offset, error)

    def _begin(self, op: str, number: str, asker: str, body: Body) -> None:
        handler = self._handlers.get(op)
        if handler is None:
            return
        if len(self._tasks) >= MOST:
            self.refused += 1
            return
        self._tasks.spawn(self._serve(handler, number, asker, body), name=f"control {op}")

    async def _serve(self, handler: Handler, number: str, asker: str, body: Body) -> None:
        try:
            answer = await handler(body)
        except McisdError as error:
            answer = {"error": error.message}
        if answer is None or not number:
            return
        try:
            await self._publish({"re": number, "to": asker, "body": answer})
        except BusError as error:
            log.warning("an answer was not sent: %s", error.message)

    async def _publish(self, message: Body) -> None:
        await self._bus.publish(CONTROL.name, self._me, json.dumps(message, separators=(",", ":")).encode())
