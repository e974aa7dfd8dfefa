"""The event loop that the daemon runs on. In: a coroutine. Out: its result."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


YOUNG = 50_000
"""Objects made and not gone before a search for cycles. Python's 700 promote what is only under way (a frame on its
way to the bus) to the old ones, and then all of ten thousand links are searched, every second: a quarter of the CPU."""


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``, on uvloop where it is installed: an optional extra that saves CPU on many small messages.

    Cycles are searched for less often than Python would, in the whole process.
    """
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)
