"""The way to one hypervisor: opened when first needed, opened anew when it broke, used by few threads at a time.

In: blocking work. Out: its result in the event loop. A thread belongs to its call and is a daemon thread, because
libvirt may hang in a dead network for minutes and must not keep the program from ending.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from mcisd.drivers.libvirt import errors, events
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.drivers.libvirt.settings import Access
from mcisd.drivers.wire import sent
from mcisd.model.errors import CloudTransientError

T = TypeVar("T")
THREADS = 4
"""Calls at once on one connection; more wait here, in the event loop.

libvirtd reads nothing from a client that has five calls going (max_client_requests), not even the answers to its own
questions whether we live: with more, one slow call too many would look like a broken connection.
"""


class Link:
    """Thread-safe. ``library`` is the module libvirt."""

    def __init__(self, library: ModuleType, access: Access) -> None:
        self._lib: Any = library
        self._access = access
        self._slots = asyncio.Semaphore(THREADS)
        self._opening = threading.Lock()
        self._open: Hypervisor | None = None
        self._closed = False

    async def run(self, work: Callable[[Hypervisor], T]) -> T:
        """``work`` with the open hypervisor, in a thread; a cancelled caller leaves it to end by itself."""
        return await self._in_thread(lambda: work(self._hypervisor()))

    async def close(self) -> None:
        """Close it; what still runs ends by itself."""
        self._closed = True
        if self._open is not None:
            await self._in_thread(self._drop)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()

        def finish(result: T | None, error: BaseException | None) -> None:
            self._slots.release()
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # None is a T where work returns None

        def body() -> None:
            result, error = None, None
            try:
                result = context.run(work)
            except BaseException as caught:  # noqa: BLE001 - the caller gets it
                error = caught
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, result, error)

        threading.Thread(target=body, name="libvirt", daemon=True).start()
        return await done

    def _hypervisor(self) -> Hypervisor:
        """The open one, if it still is; runs in a thread."""
        with self._opening:
            if self._closed:
                raise CloudTransientError("the connection to the hypervisor is closed")
            if self._open is not None and not self._open.alive():
                self._open.close()
                self._open = None
            if self._open is None:
                self._open = Hypervisor(self._lib, self._handle())
            return self._open

    def _handle(self) -> Any:
        wanted = [self._lib.VIR_CRED_AUTHNAME, self._lib.VIR_CRED_PASSPHRASE]
        events.ensure(self._lib)
        sent("virConnectOpenAuth")
        try:
            handle = self._lib.openAuth(self._access.uri, [wanted, self._answer, None], 0)
        except self._lib.libvirtError as error:
            raise errors.translated(error.get_error_code() or 0, error.get_error_message() or "") from error
        events.watch(self._lib, handle)
        return handle

    def _answer(self, questions: list[list[Any]], _opaque: object) -> int:
        """Fill in what the hypervisor asks for; -1 gives up."""
        known = {
            self._lib.VIR_CRED_AUTHNAME: self._access.user,
            self._lib.VIR_CRED_PASSPHRASE: self._access.password,
        }
        for question in questions:
            answer = known.get(question[0], "")
            if not answer:
                return -1
            question[4] = answer
        return 0

    def _drop(self) -> None:
        with self._opening:
            if self._open is not None:
                self._open.close()
                self._open = None
