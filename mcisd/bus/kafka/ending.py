"""Ending the client library's objects. In: what would end one. Out: an end within a bound, whatever state it is in."""

import asyncio
import logging
from collections.abc import Awaitable

from mcisd.bus.kafka.errors import KafkaError

log = logging.getLogger(__name__)


async def end_within(seconds: float, ending: Awaitable[object], what: str) -> None:
    """Await ``ending``, at most so long; what goes wrong is logged.

    At times the library lets the cancellation of its own tasks escape. Only one that is meant for us may end us.
    """
    try:
        async with asyncio.timeout(seconds):
            await ending
    except (KafkaError, TimeoutError) as error:
        log.warning("%s did not end in order: %s", what, error or f"no answer for {seconds:g} s")
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
