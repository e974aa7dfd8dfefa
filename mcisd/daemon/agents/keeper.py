"""Every running VM has an agent: installs it, follows its link, installs it again when it stays silent."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mcisd.aio.clock import Clock
from mcisd.aio.queue import BoundedQueue
from mcisd.aio.signal import Signal
from mcisd.aio.supervise import TaskSet
from mcisd.daemon.agents.doorkeeper import new_token
from mcisd.daemon.events import EventMaker
from mcisd.model.errors import McisdError
from mcisd.model.records import Vm
from mcisd.model.states import AgentState, VmState
from mcisd.store.base import MetadataStore

log = logging.getLogger(__name__)
WANTING = (AgentState.ABSENT.value, AgentState.INSTALLING.value, AgentState.FAILED.value, AgentState.SILENT.value)
CALL_WITHIN = 20.0
"""Seconds an installed agent may take until its first link."""
SILENT_FOR = 60.0
"""Seconds of silence on a running VM after which the agent is installed again."""
MAX_DELAY = 60.0

Install = Callable[[Vm, str], Awaitable[str]]
"""Install the agent with this token on this VM; returns the version installed. Raises HostError."""


@dataclass(frozen=True, slots=True)
class LinkNews:
    kind: str
    vm: str
    data: dict[str, object]


class AgentKeeper:
    """Owner of agent installations. ``news`` is called by the receiver and must not wait."""

    def __init__(
        self,
        store: MetadataStore,
        clock: Clock,
        events: EventMaker,
        install: Install,
        connected: Callable[[str], bool],
        *,
        enabled: bool = True,
        concurrency: int = 16,
    ) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._install = install
        self._connected = connected
        self._enabled = enabled
        self._concurrency = concurrency
        self._signal = Signal()
        self._news: BoundedQueue[LinkNews] = BoundedQueue(50_000)
        self._tasks = TaskSet("agent installations")
        self._busy: set[str] = set()

    def wake(self) -> None:
        self._signal.set()

    def news(self, kind: str, vm: str, data: dict[str, object]) -> None:
        """Something happened to a VM's link: up, down, clock-skew, refused, stopped."""
        if not self._news.closed:
            self._news.push(LinkNews(kind, vm, data))
            self.wake()

    async def run(self) -> None:
        """Work for ever: a pass at each wake-up, and once a second while something waits."""
        while True:
            await self._take_news()
            waiting = await self._pass() if self._enabled else False
            await self._signal.wait(1.0 if waiting else 10.0)
            await self._clock.sleep(0.05)

    async def close(self) -> None:
        self._news.close()
        await self._tasks.close()

    # -- installing ---------------------------------------------------------------------------------------------------

    async def _pass(self) -> bool:
        async with self._store.reading() as tx:
            vms = await tx.find(Vm, state=VmState.RUNNING.value, agent=list(WANTING))
        now = self._clock.now()
        for vm in vms:
            if len(self._busy) >= self._concurrency:
                break
            if vm.uid not in self._busy and vm.agent_next_try_at <= now and vm.pending is None:
                self._busy.add(vm.uid)
                self._tasks.spawn(self._one(vm), name=f"agent of {vm.name}")
        return bool(vms)

    async def _one(self, vm: Vm) -> None:
        try:
            if self._connected(vm.uid):
                await self._set(vm.uid, "agent.up", "its agent is up", agent=AgentState.UP)
                return
            token, hashed = new_token()
            if not await self._set(
                vm.uid, "agent.installing", "its agent is being installed", agent=AgentState.INSTALLING,
                agent_token_hash=hashed, agent_next_try_at=self._clock.now() + CALL_WITHIN,
            ):  # fmt: skip
                return
            version = await self._install(vm, token)
            await self._set(vm.uid, "", "", agent_version=version, agent_error="")
        except McisdError as error:
            await self._failed(vm, error)
        finally:
            self._busy.discard(vm.uid)
            self.wake()

    async def _failed(self, vm: Vm, error: McisdError) -> None:
        attempts = vm.agent_attempts + 1
        first = 0.5 if error.retriable else 15.0
        delay = min(MAX_DELAY, first * 2.0 ** min(attempts - 1, 10))
        log.info("agent of %s/%s/%s: %s", vm.ns, vm.mcis_name, vm.name, error.message)
        # A host that is still booting refuses for a moment: the first tries are not worth an event.
        kind = "" if error.retriable and attempts < 5 else "agent.failed"
        await self._set(
            vm.uid, kind, f"its agent could not be installed: {error.message}", agent=AgentState.FAILED,
            agent_attempts=attempts, agent_error=error.message, agent_next_try_at=self._clock.now() + delay,
        )  # fmt: skip

    # -- links --------------------------------------------------------------------------------------------------------

    async def _take_news(self) -> None:
        while len(self._news):
            for item in await self._news.get_many(1000):
                await self._hear(item)

    async def _hear(self, item: LinkNews) -> None:
        match item.kind:
            case "up":
                await self._set(
                    item.vm, "agent.up", "its agent is up", agent=AgentState.UP, agent_error="", agent_attempts=0
                )
            case "down" if not self._connected(item.vm):
                await self._silent(item.vm)
            case "clock-skew":
                await self._set(item.vm, "agent.clock-skew", _skew(item.data), data=item.data)
            case "refused":
                await self._refused(item.vm, str(item.data.get("code")))

    async def _refused(self, uid: str, code: str) -> None:
        log.warning("an agent that says it is %s was refused: %s", uid, code)
        async with self._store.transaction() as tx:
            vm = await tx.get(Vm, uid)
            # While an agent is installed its predecessor may still call with the token it had.
            if vm is not None and vm.agent is not AgentState.INSTALLING:
                text = f"an agent that says it is {vm.name} was refused: its token is {code}"
                await tx.emit(self._events.vm("agent.refused", vm, text, code=code))

    async def _silent(self, uid: str) -> None:
        async with self._store.reading() as tx:
            vm = await tx.get(Vm, uid)
        if vm is None or vm.agent is not AgentState.UP:
            return
        if vm.state is VmState.RUNNING:
            again = self._clock.now() + SILENT_FOR
            await self._set(
                uid, "agent.silent", "its agent has gone silent", agent=AgentState.SILENT, agent_next_try_at=again
            )
        else:
            await self._set(uid, "", "", agent=AgentState.SILENT, agent_next_try_at=self._clock.now() + SILENT_FOR)

    async def _set(
        self, uid: str, kind: str, text: str, data: dict[str, object] | None = None, **fields: object
    ) -> bool:
        """Change a VM's agent fields and tell it; False if the VM is not there or not running any more."""
        async with self._store.transaction() as tx:
            vm = await tx.get(Vm, uid)
            if vm is None or vm.state in (VmState.TERMINATED, VmState.FAILED, VmState.TERMINATING):
                return False
            after = replace(vm, **fields)  # type: ignore[arg-type]  # field names are checked by replace itself
            if after != vm:
                vm = await tx.update(after)
            if kind:
                await tx.emit(self._events.vm(kind, vm, f"{vm.name}: {text}", **(data or {})))
        return True


def _skew(data: dict[str, object]) -> str:
    """``skew_ms`` is what is added to the times of its samples: positive for a clock that is slow."""
    skew = data.get("skew_ms")
    if not isinstance(skew, int) or skew == 0:
        return "its clock is right again"
    return f"its clock is {abs(skew) / 1000:.0f} s {'slow' if skew > 0 else 'fast'}; its samples are corrected"
