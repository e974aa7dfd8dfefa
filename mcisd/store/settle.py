"""An awaitable that must not be torn in the middle in; its result, or CancelledError only after it has ended, out."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def settled(work: Coroutine[Any, Any, T] | asyncio.Future[T], hasten: Callable[[], None] | None = None) -> T:
    """The result of ``work``. A caller that is cancelled waits until it has ended; ``hasten`` may bring that about.

    A driver torn out of a statement leaves its connection in the middle of a transaction, holding the lock. Each call
    of a driver ends by itself within its own timeout, so this wait is bounded too.
    """
    future = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            if hasten is not None and cancelled is None:
                hasten()
            cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # seen: the caller is gone and nobody else will ask
        raise cancelled
    return future.result()
