"""One creation per token at a time in this process. In: a token and its work. Out: the work's result.

A caller that gives up does not stop its work: a request on its way cannot be called back, and the next call with the
same token waits for what became of it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from uuid import uuid4

from mcisd.drivers.turns import Turns

T = TypeVar("T")
REMEMBERED = 4096


class Memory:
    """What all connections of one driver share: locks, a name for this process, and the ids of the VMs it made last."""

    def __init__(self) -> None:
        self.claimant = f"mcisd-{uuid4().hex[:12]}"
        self._turns = Turns()
        self._vms: OrderedDict[tuple[str, str], str] = OrderedDict()

    def lock(self, *key: str) -> asyncio.Lock:
        """The lock of this key, common to all connections of the driver."""
        return self._turns.of(*key)

    def keep(self, installation: str, token: str, vm_id: str) -> None:
        self._vms[installation, token] = vm_id
        while len(self._vms) > REMEMBERED:
            self._vms.popitem(last=False)

    def vm(self, installation: str, token: str) -> str | None:
        return self._vms.get((installation, token))

    def token(self, installation: str, vm_id: str) -> str:
        """The token of a VM made here, "" if it is not remembered."""
        return next((key[1] for key, known in self._vms.items() if known == vm_id and key[0] == installation), "")

    def drop(self, installation: str, token: str) -> None:
        self._vms.pop((installation, token), None)


class Works:
    """Owner of the works of one connection; ``close`` ends those still going."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, lock: asyncio.Lock, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of ``work``, which runs under ``lock`` to its end even if the caller is cancelled."""

        async def locked() -> T:
            async with lock:
                return await work()

        task = asyncio.get_running_loop().create_task(locked(), name="openstack creation")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel what still runs and wait for it. Safe to call twice."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a caller that has given up does not ask for it; the next call meets its cause
