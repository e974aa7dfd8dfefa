"""Notes of requests: who hears them, in which task and thread, and what the gate makes of them."""

import asyncio

import pytest

from mcisd.drivers.wire import heard, sent


def test_without_a_listener_nothing_happens() -> None:
    sent("RunInstances")


def test_inner_and_outer_listeners_hear() -> None:
    outer: list[str] = []
    inner: list[str] = []
    with heard(outer.append):
        sent("a")
        with heard(inner.append):
            sent("b")
        sent("c")
    sent("d")
    assert (outer, inner) == (["a", "b", "c"], ["b"])


def test_a_failure_inside_ends_the_hearing() -> None:
    notes: list[str] = []
    with pytest.raises(ValueError, match="broken"), heard(notes.append):
        raise ValueError("broken")
    sent("late")
    assert notes == []


async def test_tasks_and_threads_of_a_call_are_heard_and_no_others() -> None:
    notes: list[str] = []
    other: list[str] = []

    async def work(name: str) -> None:
        sent(name)
        await asyncio.to_thread(sent, f"{name} in a thread")

    async def listen(into: list[str], name: str) -> None:
        with heard(into.append):
            await asyncio.gather(work(name), work(f"{name} beside"))

    await asyncio.gather(listen(notes, "one"), listen(other, "two"))
    assert sorted(notes) == ["one", "one beside", "one beside in a thread", "one in a thread"]
    assert sorted(other) == ["two", "two beside", "two beside in a thread", "two in a thread"]
