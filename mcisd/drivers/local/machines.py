"""All VMs of the cloud: which state may follow which, and the work between. In: requests. Out: documents of VMs.

A request is checked, its intention (``action``) written down with the transitional state, and the answer given; the
work is done afterwards, VM by VM under a lock. A cloud that was killed takes the written actions up again.
"""

import logging
import random
from pathlib import Path

from mcisd.aio.clock import Clock
from mcisd.aio.supervise import TaskSet
from mcisd.drivers.local.addresses import Addresses
from mcisd.drivers.local.disk import Disk, Document, Item
from mcisd.drivers.local.machine import Machine
from mcisd.drivers.local.orders import new_item
from mcisd.drivers.local.resources import VM, Resources
from mcisd.drivers.local.settings import CloudSettings
from mcisd.model.cloud import CloudVmState as State
from mcisd.model.errors import CloudConflictError, CloudError, CloudNotFoundError, CloudQuotaError

log = logging.getLogger(__name__)
_DEATH_ROUNDS = 100


class Machines:
    """The VMs under ``home``/vms."""

    def __init__(self, home: Path, disk: Disk, resources: Resources, settings: CloudSettings, clock: Clock) -> None:
        self._home, self._disk, self._resources = home, disk, resources
        self._settings, self._clock = settings, clock
        self._addresses = Addresses(home)
        self._tasks = TaskSet("vms")
        self._machines: dict[str, Machine] = {}
        self._gone: dict[str, tuple[float, Item]] = {}
        self._work = {
            "boot": self._boot,
            "reboot": self._reboot,
            "stop": self._stop,
            "start": self._start,
            "terminate": self._terminate,
            "crash": self._crash,
        }

    # -- requests ---------------------------------------------------------------------------------------------------

    def start(self, account: str, region: str, request: Document) -> Document:
        """Accept a new VM, or return the one made earlier with the same token."""
        known = self._by_token(account, region, request["token"])
        if known is not None:
            return known.face
        if len(self._disk.within(VM, account, region)) >= self._settings.vm_quota:
            limit = self._settings.vm_quota
            raise CloudQuotaError(
                f"the account has {limit} VMs in {region}, which is its quota", remedy="terminate some"
            )
        item = new_item(self._resources, account, region, request)
        self._machines[item.id] = self._machine(item)
        self._begin(item, "boot", State.PENDING)
        return item.face

    def suspend(self, account: str, region: str, vm_id: str) -> None:
        item = self._need(account, region, vm_id)
        if item.face["state"] not in {State.STOPPED, State.STOPPING}:
            self._require(item, State.RUNNING, "suspended")
            self._begin(item, "stop", State.STOPPING)

    def resume(self, account: str, region: str, vm_id: str) -> None:
        item = self._need(account, region, vm_id)
        if item.face["state"] not in {State.RUNNING, State.PENDING}:
            self._require(item, State.STOPPED, "resumed")
            self._begin(item, "start", State.PENDING)

    def reboot(self, account: str, region: str, vm_id: str) -> None:
        item = self._need(account, region, vm_id)
        self._require(item, State.RUNNING, "rebooted")
        self._begin(item, "reboot", State.PENDING)

    def terminate(self, account: str, region: str, vm_id: str) -> None:
        item = self._own(account, region, vm_id)
        if item is not None and item.inner["action"] != "terminate":
            self._begin(item, "terminate", State.TERMINATING)

    def crash(self, account: str, region: str, vm_id: str) -> None:
        item = self._need(account, region, vm_id)
        if item.inner["action"] != "terminate":
            item.face["reason"] = "the cloud lost this VM (a crash was asked for)"
            self._begin(item, "crash", State.FAILED)

    def listing(self, account: str, region: str, tags: dict[str, str]) -> list[Document]:
        """VMs that carry all of ``tags``; terminated ones for a short while."""
        items = [*self._disk.within(VM, account, region), *self._recently_gone(account, region)]
        return [item.face for item in items if tags.items() <= item.face["tags"].items()]

    def get(self, account: str, region: str, vm_id: str) -> Document:
        for item in self._recently_gone(account, region):
            if item.id == vm_id:
                return item.face
        return self._need(account, region, vm_id).face

    def console(self, account: str, region: str, vm_id: str) -> str:
        """What the VM's boot file has written so far, the newest part of it."""
        return self._machines[self._need(account, region, vm_id).id].console()

    def quotas(self, account: str, region: str) -> list[Document]:
        used = len(self._disk.within(VM, account, region))
        return [{"name": "vms", "limit": self._settings.vm_quota, "used": used}]

    # -- life of the cloud ------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """After a restart: find the VMs again, finish what was begun, report what was lost."""
        for item in self._disk.all(VM):
            machine = self._machines[item.id] = self._machine(item)
            if item.inner["action"]:
                self._tasks.spawn(self._perform(machine, item.inner["action"]))
            elif item.face["state"] in {State.RUNNING, State.STOPPED} and not machine.processes_live:
                await self._fail(machine, "its processes were lost while the cloud was away")
            elif item.face["state"] == State.RUNNING:
                await self._attach(machine)

    async def close(self, *, terminate: bool) -> None:
        """End the cloud: VMs go on without it, unless ``terminate``."""
        await self._tasks.close()
        for machine in list(self._machines.values()):
            machine.close_door(abort=True)
            if terminate:
                await self._terminate(machine)

    # -- work -------------------------------------------------------------------------------------------------------

    def _begin(self, item: Item, action: str, state: State) -> None:
        item.inner["action"] = action
        item.face["state"] = state
        self._disk.put(item)
        log.info("%s %s (%s): %s", item.id, item.face["name"], item.region, action)
        self._tasks.spawn(self._perform(self._machines[item.id], action), name=f"{action} {item.id}")

    async def _perform(self, machine: Machine, action: str) -> None:
        """Do one action unless a later one has overtaken it."""
        async with machine.lock:
            item = machine.item
            if item.inner["action"] != action:
                return
            try:
                state = await self._work[action](machine)
                if item.inner["action"] == action:  # else somebody asked for more meanwhile, and that says the state
                    self._settle(item, state)
            except (OSError, CloudError) as error:
                log.exception("%s of %s failed", action, item.id)
                await self._fail(machine, f"{action} failed: {error}")

    async def _boot(self, machine: Machine) -> State:
        low, high = self._settings.create_delay
        share = random.Random(machine.item.token).random()  # noqa: S311 - a spread that is the same for the same VM
        await self._clock.sleep(low + (high - low) * share)
        return await self._power_on(machine)

    async def _reboot(self, machine: Machine) -> State:
        await machine.power_off()
        await self._clock.sleep(self._settings.change_delay)
        return await self._power_on(machine)

    async def _power_on(self, machine: Machine) -> State:
        await machine.power_off()
        await machine.spawn()
        self._disk.put(machine.item)  # its pid must be known before anything else can go wrong
        await self._listen(machine)
        machine.item.face["started_at"] = self._clock.now()
        await machine.run_boot_file()
        self._watch_soon(machine)
        return State.RUNNING

    async def _stop(self, machine: Machine) -> State:
        machine.close_door(abort=False)
        await self._clock.sleep(self._settings.change_delay)
        await machine.freeze()
        return State.STOPPED

    async def _start(self, machine: Machine) -> State:
        await self._clock.sleep(self._settings.change_delay)
        await self._listen(machine)
        machine.thaw()
        self._watch_soon(machine)
        return State.RUNNING

    async def _crash(self, machine: Machine) -> State:
        await machine.power_off()
        return State.FAILED

    async def _terminate(self, machine: Machine) -> State:
        await machine.power_off()
        await machine.erase()
        item = machine.item
        self._machines.pop(item.id, None)
        self._gone[item.id] = (self._clock.monotonic() + self._settings.terminated_kept, item)
        return State.TERMINATED

    async def _attach(self, machine: Machine) -> None:
        try:
            await self._listen(machine)
            self._watch_soon(machine)
        except (OSError, CloudError) as error:
            await self._fail(machine, f"could not be reached again: {error}")

    async def _fail(self, machine: Machine, reason: str) -> None:
        """The VM is lost: nothing of it may run on. A termination that was asked for stays asked for."""
        machine.item.face["reason"] = reason
        if machine.item.inner["action"] != "terminate":
            self._settle(machine.item, State.FAILED)
        await machine.power_off()

    def _settle(self, item: Item, state: State) -> None:
        item.face["state"] = state
        item.inner["action"] = ""
        if state == State.TERMINATED:
            self._disk.remove(VM, item.id)
        else:
            self._disk.put(item)

    async def _watch(self, machine: Machine) -> None:
        """Notice an init that ends although nobody asked for it."""
        pid = machine.item.inner["init_pid"]
        try:
            session = await machine.watch()
        except (OSError, TimeoutError):
            log.warning("%s: its init does not answer", machine.item.id)
        else:
            await session.wait()
            session.close()
            await self._await_death(machine)
        async with machine.lock:
            inner = machine.item.inner
            if inner["init_pid"] == pid and not inner["action"] and not machine.processes_live:
                await self._lost(machine)

    async def _await_death(self, machine: Machine) -> None:
        """A process that exits gives back its sockets a moment before it is dead."""
        for _ in range(_DEATH_ROUNDS):
            if not machine.processes_live:
                return
            await self._clock.sleep(0.02)

    async def _lost(self, machine: Machine) -> None:
        if machine.item.face["state"] in {State.RUNNING, State.STOPPED}:
            log.error("%s: its init process ended", machine.item.id)
            await self._fail(machine, "its first process ended")

    def _watch_soon(self, machine: Machine) -> None:
        if machine.watched != machine.item.inner["init_pid"]:
            machine.watched = machine.item.inner["init_pid"]
            self._tasks.spawn(self._watch(machine), name=f"watch {machine.item.id}")

    async def _listen(self, machine: Machine) -> None:
        used = {item.face["public_address"] for item in self._disk.all(VM)}
        await machine.open_door(self._addresses.candidates(machine.item.region, used))

    # -- look-up ----------------------------------------------------------------------------------------------------

    def _machine(self, item: Item) -> Machine:
        return Machine(item, self._home / "vms" / item.id, self._clock)

    def _own(self, account: str, region: str, vm_id: str) -> Item | None:
        item = self._disk.get(VM, vm_id)
        return item if item is not None and (item.account, item.region) == (account, region) else None

    def _need(self, account: str, region: str, vm_id: str) -> Item:
        item = self._own(account, region, vm_id)
        if item is None:
            raise CloudNotFoundError(f"VM {vm_id[:60]!r} does not exist in {region}", field="vm_id")
        return item

    def _require(self, item: Item, state: State, done: str) -> None:
        now = item.face["state"]
        if now != state:
            raise CloudConflictError(f"VM {item.id} is {now} and cannot be {done}", remedy=f"wait until it is {state}")

    def _recently_gone(self, account: str, region: str) -> list[Item]:
        now = self._clock.monotonic()
        self._gone = {vm_id: entry for vm_id, entry in self._gone.items() if entry[0] > now}
        return [item for _, item in self._gone.values() if (item.account, item.region) == (account, region)]

    def _by_token(self, account: str, region: str, token: str) -> Item | None:
        known = self._disk.by_token(VM, account, region, token)
        return known or next((item for item in self._recently_gone(account, region) if item.token == token), None)
