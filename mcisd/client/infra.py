"""Calls about MCIS: create, control, command, and operations to follow."""

from collections.abc import Awaitable, Callable
from typing import cast

from mcisd.client.paths import at, infra
from mcisd.client.transport import Json, Transport

Progress = Callable[[Json], Awaitable[None]]
RUNNING = "running"
_ROOM = 15.0
"""Seconds an answer may be late beyond what was asked to wait."""
_CLOUD = 75.0
"""Seconds for what the daemon asks of a cloud before it answers."""


class InfraCalls(Transport):
    """``ns`` is a namespace, ``name`` an MCIS in it. What takes long answers an operation, see follow_operation."""

    async def create_infra(self, ns: str, request: Json, key: str | None = None) -> Json:
        return await self.begin(at("ns", ns, "infra"), request, key)

    async def expand_infra(self, ns: str, name: str, groups: list[Json]) -> Json:
        return await self.begin(infra(ns, name, "vms"), {"vmRequestList": groups})

    async def list_infra(self, ns: str) -> list[Json]:
        return cast("list[Json]", await self.get(at("ns", ns, "infra")))

    async def get_infra(self, ns: str, name: str) -> Json:
        return cast(Json, await self.get(infra(ns, name)))

    async def status(self, ns: str, name: str) -> Json:
        return cast(Json, await self.get(infra(ns, name, "status")))

    async def act(self, ns: str, name: str, action: str, vm: str = "", *, hibernate: bool = False) -> Json:
        """Suspend, resume, reboot, terminate one VM or all; or retry, rollback of the whole. ``hibernate`` goes with
        suspend."""
        parts = ("vms", vm, action) if vm else (action,)
        return await self.begin(infra(ns, name, *parts), query={"hibernate": "true"} if hibernate else None)

    async def delete_infra(self, ns: str, name: str) -> None:
        await self.delete(infra(ns, name))

    async def get_vm(self, ns: str, name: str, vm: str) -> Json:
        return cast(Json, await self.get(infra(ns, name, "vms", vm)))

    async def console_output(self, ns: str, name: str, vm: str) -> Json:
        """The newest text of a VM's serial console."""
        return cast(Json, await self.get(infra(ns, name, "vms", vm, "console"), timeout=_CLOUD))

    async def delete_vm(self, ns: str, name: str, vm: str) -> None:
        await self.delete(infra(ns, name, "vms", vm))

    async def command(
        self, ns: str, name: str, command: str, *, vms: tuple[str, ...] = (), timeout: float = 60.0
    ) -> list[Json]:
        """Run a command on the named VMs (none: on all that run); one output per VM."""
        body = {"command": command, "timeoutS": timeout, "vms": list(vms)}
        answer = await self.post(infra(ns, name, "command"), body, timeout=timeout * 2 + _ROOM)
        return cast("list[Json]", answer["results"])

    async def list_operations(self, state: str = "") -> list[Json]:
        return cast("list[Json]", await self.get("/operations", {"state": state}))

    async def get_operation(self, operation: str, wait: float = 0.0) -> Json:
        """The operation now, or after up to ``wait`` seconds (30 at most) if it still runs."""
        query = {"wait": f"{wait:g}"} if wait else None
        return cast(Json, await self.get(at("operations", operation), query, timeout=wait + _ROOM))

    async def follow_operation(self, operation: str, progress: Progress | None = None, every: float = 1.0) -> Json:
        """Wait until the operation has ended, however long that takes; ``progress`` is told about every ``every``
        seconds while it runs. Returns the ended operation; its ``state`` says how."""
        wait = every if progress is not None else 25.0
        while True:
            now = await self.get_operation(operation, wait)
            if now["state"] != RUNNING:
                return now
            if progress is not None:
                await progress(now)
