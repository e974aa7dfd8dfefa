"""The way to a hypervisor: threads, broken connections, passwords. In: a library that plays dead. Out: tests."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from mcisd.drivers.libvirt import events
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.drivers.libvirt.link import THREADS, Link
from mcisd.drivers.libvirt.settings import Access
from mcisd.drivers.wire import heard
from mcisd.model.errors import CloudAuthError, CloudTransientError


class LibvirtError(Exception):
    def get_error_code(self) -> int:
        return 45

    def get_error_message(self) -> str:
        return "authentication failed: no"


class Library:
    """As much of libvirt-python as opening takes; each handle says whether it is alive."""

    VIR_CRED_AUTHNAME, VIR_CRED_PASSPHRASE = 2, 5
    libvirtError = LibvirtError  # noqa: N815 - libvirt's own name

    def __init__(self) -> None:
        self.handles: list[Any] = []
        self.answers: list[Any] = []

    def virEventRegisterDefaultImpl(self) -> None:  # noqa: N802 - libvirt's own name
        raise AssertionError("the loop of events is none of these tests")

    def openAuth(self, _uri: str, auth: list[Any], _flags: int) -> Any:  # noqa: N802 - libvirt's own name
        questions = [[self.VIR_CRED_AUTHNAME, "", "", "", None], [self.VIR_CRED_PASSPHRASE, "", "", "", None]]
        if auth[1](questions, None) < 0:
            raise LibvirtError
        self.answers.append([question[4] for question in questions])
        handle = SimpleNamespace(alive=True, closed=False)
        handle.setKeepAlive = lambda _seconds, _missed: 0
        handle.isAlive = lambda: handle.alive
        handle.close = lambda: setattr(handle, "closed", True)
        self.handles.append(handle)
        return handle


@pytest.fixture(autouse=True)
def no_events() -> Iterator[None]:
    """As if the loop ran already."""
    with mock.patch.object(events, "_running", [threading.current_thread()]):
        yield


def link(library: Library, password: str = "pencil") -> Link:
    return Link(library, Access("qemu+tcp://host-1/system", "me", password))  # type: ignore[arg-type]  # a library


def name(_hv: Hypervisor) -> str:
    return threading.current_thread().name


async def test_opened_once_by_the_first_call() -> None:
    library, noted = Library(), list[str]()
    way = link(library)
    assert library.handles == []
    with heard(noted.append):
        assert await way.run(name) == "libvirt"
        await asyncio.gather(*(way.run(name) for _ in range(5)))
    assert noted == ["virConnectOpenAuth"]
    assert library.answers == [["me", "pencil"]]
    await way.close()
    await way.close()
    assert library.handles[0].closed
    with pytest.raises(CloudTransientError, match="closed"):
        await way.run(name)


async def test_opened_anew_when_it_broke() -> None:
    library = Library()
    way = link(library)
    await way.run(name)
    library.handles[0].alive = False
    await way.run(name)
    assert [handle.closed for handle in library.handles] == [True, False]
    await way.close()


async def test_without_a_password_it_gives_up() -> None:
    with pytest.raises(CloudAuthError):
        await link(Library(), "").run(name)


async def test_errors_come_back_and_few_threads_run() -> None:
    way, gate, full = link(Library()), threading.Event(), threading.Event()
    running, most = list[int](), list[int]()
    await way.run(name)

    def work(_hv: Hypervisor) -> None:
        running.append(1)
        most.append(len(running))
        if len(running) == THREADS:
            full.set()
        gate.wait(5)
        running.pop()
        raise KeyError("mine")

    tasks = [asyncio.create_task(way.run(work)) for _ in range(THREADS * 2)]
    assert await asyncio.to_thread(full.wait, 5)
    gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, KeyError) for result in results)
    assert max(most) == THREADS
    await way.close()


async def test_a_cancelled_call_keeps_its_place_until_its_thread_ends() -> None:
    way, gate = link(Library()), threading.Event()
    await way.run(name)
    tasks = [asyncio.create_task(way.run(lambda _hv: gate.wait(5))) for _ in range(THREADS)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    late = asyncio.create_task(way.run(name))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not late.done()
    gate.set()
    assert await late == "libvirt"
    await way.close()
