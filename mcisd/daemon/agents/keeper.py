"""Every running VM has an agent: installs it, again when it stays silent, and in place when there is a newer one."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from mcisd.aio.clock import Clock
from mcisd.aio.signal import Signal
from mcisd.aio.supervise import TaskSet
from mcisd.daemon.agents.doorkeeper import new_token
from mcisd.daemon.events import EventMaker
from mcisd.model.errors import McisdError
from mcisd.model.records import Vm
from mcisd.model.states import AgentState, VmState
from mcisd.store.base import MetadataStore, Transaction

log = logging.getLogger(__name__)
WANTING = (AgentState.ABSENT.value, AgentState.INSTALLING.value, AgentState.FAILED.value, AgentState.SILENT.value)
CALL_WITHIN = 20.0
"""Seconds an installed agent may take until its first link."""
MAX_DELAY = 60.0
BOOT_S, BOOT_DELAY = 180.0, 4.0
"""A VM that was started so lately may still boot: it is tried this often, as its agent should come up with its sshd."""
UPGRADE_EVERY = 30.0
"""Seconds between two looks for agents of another version."""
UPGRADE_PAUSE = 300.0
"""Seconds until an upgrade that failed is tried again."""

Install = Callable[[Vm, str], Awaitable[str]]
"""Install the agent with this token on this VM; returns the version installed. Raises HostError."""


class AgentKeeper:
    """Owner of agent installations: those on VMs of connections that are this process's (``owns``).

    ``version`` names what ``install`` installs; agents of another version are replaced in place, a few at a time, and
    keep their spool and their sequence.
    """

    def __init__(
        self,
        store: MetadataStore,
        clock: Clock,
        events: EventMaker,
        install: Install,
        *,
        version: str,
        owns: Callable[[str], bool] = lambda connection: True,
        enabled: bool = True,
        concurrency: int = 16,
    ) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._install = install
        self._version = version
        self._owns = owns
        self._enabled = enabled
        self._concurrency = concurrency
        self._signal = Signal()
        self._tasks = TaskSet("agent installations")
        self._busy: set[str] = set()
        self._upgrade_due = 0.0

    def wake(self) -> None:
        self._signal.set()

    async def run(self) -> None:
        """Work for ever: a pass at each wake-up, and once a second while something waits."""
        while True:
            waiting = await self._pass() if self._enabled else False
            await self._signal.wait(1.0 if waiting else 10.0)
            await self._clock.sleep(0.05)

    async def close(self) -> None:
        await self._tasks.close()

    # -- installing ---------------------------------------------------------------------------------------------------

    async def _pass(self) -> bool:
        async with self._store.reading() as tx:
            vms = await tx.find(Vm, state=VmState.RUNNING.value, agent=list(WANTING))
            vms = [vm for vm in vms if self._owns(vm.connection)]
            vms += await self._outdated(tx)
        now = self._clock.now()
        for vm in vms:
            if len(self._busy) >= self._concurrency:
                break
            if vm.uid not in self._busy and vm.agent_next_try_at <= now and vm.pending is None:
                self._busy.add(vm.uid)
                self._tasks.spawn(self._one(vm), name=f"agent of {vm.name}")
        return bool(vms)

    async def _outdated(self, tx: Transaction) -> list[Vm]:
        """Agents that are up and of another version, looked for now and then."""
        now = self._clock.monotonic()
        if now < self._upgrade_due:
            return []
        self._upgrade_due = now + UPGRADE_EVERY
        up = await tx.find(Vm, state=VmState.RUNNING.value, agent=AgentState.UP.value)
        return [vm for vm in up if vm.agent_version not in ("", self._version) and self._owns(vm.connection)]

    async def _one(self, vm: Vm) -> None:
        try:
            token, hashed = new_token()
            upgrade = vm.agent is AgentState.UP
            kind, text = ("upgrading", "upgraded") if upgrade else ("installing", "installed")
            if not await self._set(
                vm.uid, f"agent.{kind}", f"its agent is being {text}", agent=AgentState.INSTALLING,
                agent_token_hash=hashed, agent_next_try_at=self._clock.now() + CALL_WITHIN,
            ):  # fmt: skip
                return
            version = await self._install(vm, token)
            await self._set(vm.uid, "", "", agent_version=version, agent_error="")
        except McisdError as error:
            await (self._not_upgraded(vm, error) if vm.agent is AgentState.UP else self._failed(vm, error))
        finally:
            self._busy.discard(vm.uid)
            self.wake()

    async def _not_upgraded(self, vm: Vm, error: McisdError) -> None:
        """The old agent goes on, with the token it has; tried again in a while."""
        log.info("agent of %s/%s/%s stays as it is: %s", vm.ns, vm.mcis_name, vm.name, error.message)
        async with self._store.transaction() as tx:
            now = await tx.get(Vm, vm.uid)
            if now is not None and now.agent is AgentState.INSTALLING:
                state = AgentState.UP if now.agent_node else AgentState.SILENT
                later = self._clock.now() + UPGRADE_PAUSE
                kept = replace(now, agent=state, agent_token_hash=vm.agent_token_hash, agent_next_try_at=later)
                kept = await tx.update(replace(kept, agent_error=error.message))
                text = f"{vm.name}: its agent could not be upgraded and goes on as it is: {error.message}"
                await tx.emit(self._events.vm("agent.failed", kept, text))

    async def _failed(self, vm: Vm, error: McisdError) -> None:
        attempts = vm.agent_attempts + 1
        first = 0.5 if error.retriable else 15.0
        booting = error.retriable and self._clock.now() - (vm.started_at or 0.0) < BOOT_S
        delay = min(BOOT_DELAY if booting else MAX_DELAY, first * 2.0 ** min(attempts - 1, 10))
        log.info("agent of %s/%s/%s: %s", vm.ns, vm.mcis_name, vm.name, error.message)
        # A host that is still booting refuses for a while: these tries are not worth an event.
        kind = "" if booting or (error.retriable and attempts < 5) else "agent.failed"
        await self._set(
            vm.uid, kind, f"its agent could not be installed: {error.message}", agent=AgentState.FAILED,
            agent_attempts=attempts, agent_error=error.message, agent_next_try_at=self._clock.now() + delay,
        )  # fmt: skip

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
