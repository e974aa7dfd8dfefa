"""The pool of threads: bounded, with the caller's context, and closed for good."""

import asyncio
import threading
from functools import partial

import pytest

from mcisd.drivers.gcp.threads import Threads
from mcisd.drivers.wire import heard, sent
from mcisd.model.errors import CloudTransientError


async def test_no_more_at_once_than_threads() -> None:
    threads, lock, now, most = Threads("t", 2), threading.Lock(), 0, 0
    gate = threading.Event()

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait(5)
        with lock:
            now -= 1

    tasks = [asyncio.create_task(threads.run(work)) for _ in range(6)]
    while now < 2:  # noqa: ASYNC110 - the event is in a thread
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    assert most == 2
    await threads.close()


async def test_context_goes_along() -> None:
    threads, notes = Threads("t", 1), list[str]()
    with heard(notes.append):
        await threads.run(lambda: sent("regions.get"))
    assert notes == ["regions.get"]
    await threads.close()


async def test_errors_come_back_and_the_thread_is_free_again() -> None:
    threads = Threads("t", 1)
    for _ in range(3):
        with pytest.raises(KeyError):
            await threads.run(partial({"y": 1}.__getitem__, "x"))
    assert await threads.run(lambda: 7) == 7
    await threads.close()


async def test_a_cancelled_caller_leaves_and_its_thread_returns_later() -> None:
    threads, gate, begun = Threads("t", 1), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return gate.wait(5)

    task = asyncio.create_task(threads.run(work))
    while not begun.is_set():  # noqa: ASYNC110 - the event is in a thread
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await threads.run(lambda: 1) == 1
    await threads.close()


async def test_closed() -> None:
    """Nothing more is taken, and the thread ends."""
    threads = Threads("closing", 1)
    await threads.run(lambda: 1)
    own = [thread for thread in threading.enumerate() if thread.name.startswith("closing_")]
    assert len(own) == 1
    await threads.close()
    await threads.close()
    with pytest.raises(CloudTransientError):
        await threads.run(lambda: 1)
    await asyncio.to_thread(own[0].join, 10)
    assert not own[0].is_alive()
