"""One VM as a thing that runs: its init, its SSH listener, its directory. In: orders. Out: processes and files.

It decides nothing: machines.py says what to do when, one order at a time under ``lock``.
"""

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

import asyncssh

from mcisd.aio.clock import Clock
from mcisd.drivers.local import catalogue, proctree, sshd
from mcisd.drivers.local.disk import Item, write_json
from mcisd.drivers.local.init_client import InitClient, Session, close_all, surviving
from mcisd.drivers.local.settings import SSH_PORT
from mcisd.model.errors import CloudCapacityError, CloudTransientError

_STRAY_ROUNDS = 100
BOOT_FILE = ".rc.local"
"""Run from the VM's home at every boot; it stands for the init system of a real host."""
CONSOLE = 64 * 1024


class Machine:
    """The VM of ``item``, living in directory ``where``."""

    def __init__(self, item: Item, where: Path, clock: Clock) -> None:
        self.item = item
        self.lock = asyncio.Lock()
        self.init = InitClient(where)
        self.watched = 0
        """Pid of the init somebody watches."""
        self._where = where
        self._clock = clock
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._guest = sshd.Guest(
            user=item.face["guest_user"],
            public_key=asyncssh.import_public_key(item.inner["public_key"]),
            host_key=asyncssh.import_private_key(item.inner["host_key"]),
            home=where / "home",
            meta=where / "meta.json",
            init=self.init,
        )

    @property
    def processes_live(self) -> bool:
        """Whether the init noted last is still there."""
        return surviving(self.item.inner["init_pid"], self.item.inner["init_started"])

    async def spawn(self) -> None:
        """A fresh init in a directory that may be new; what an interrupted boot left is killed first."""
        self._guest.home.mkdir(mode=0o755, parents=True, exist_ok=True)
        await self._kill_unknown_init()
        pid = await self.init.spawn()
        found = proctree.look(pid)
        self.item.inner.update(init_pid=pid, init_started=found.started if found else 0)

    async def open_door(self, candidates: Iterable[str]) -> None:
        """Listen for SSH at the address the VM has, or at the first free candidate if it has none yet."""
        own = self.item.face["public_address"]
        for address in [own] if own else candidates:
            try:
                self._acceptor = await sshd.listen(self._guest, address, SSH_PORT)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            self.item.face.update(public_address=address, private_address=address, ssh_port=SSH_PORT)
            return
        raise CloudCapacityError(f"address {own} is taken" if own else "no address is free in this region")

    def close_door(self, *, abort: bool) -> None:
        """Refuse new SSH connections; ``abort`` also ends those that are open."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        for connection in list(self._guest.connections) if abort else []:
            connection.abort()

    async def run_boot_file(self) -> None:
        """Write meta.json, then start the boot file if there is one."""
        self._write_meta()
        path = self._guest.home / BOOT_FILE
        if not (path.is_file() and os.access(path, os.X_OK)):
            return
        null = os.open(os.devnull, os.O_RDONLY)
        log = os.open(self._where / "boot.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            env = self._guest.environment()
            session = await self.init.run([str(path)], env, self._guest.home, [null, log, log], detached=True)
            session.close()
        finally:
            close_all([null, log])

    def console(self) -> str:
        """The newest CONSOLE bytes of what the boot file has written."""
        try:
            with (self._where / "boot.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - CONSOLE))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    async def watch(self) -> Session:
        """A session that ends with the init."""
        return await self.init.watch()

    async def freeze(self) -> None:
        """Stop every process; open SSH connections stay, silent."""
        if not await proctree.freeze(self.item.inner["init_pid"], self._clock):
            raise CloudTransientError("a process of the VM did not stop")

    def thaw(self) -> None:
        proctree.thaw(self.item.inner["init_pid"])

    async def power_off(self) -> None:
        """Close the door and kill everything that runs in the VM."""
        self.close_door(abort=True)
        if not self.processes_live:
            await self._kill_strays()
        elif not await proctree.kill(self.item.inner["init_pid"], self._clock):
            raise CloudTransientError("a process of the VM could not be killed")
        await self.init.reap()

    async def erase(self) -> None:
        """Remove the VM's directory."""
        if self._where.exists():
            await asyncio.to_thread(shutil.rmtree, self._where)

    async def _kill_strays(self) -> None:
        """What outlived a VM's init, which somebody must have killed inside the VM."""
        if not self.item.inner["init_pid"]:
            return
        mark = f"MCISD_LOCAL_VM={self._guest.meta}"
        for _ in range(_STRAY_ROUNDS):
            found = proctree.strays(mark, os.path.realpath(self._where))  # noqa: ASYNC240 - /proc is memory, not disk
            if not found:
                return
            for process in found:
                proctree.send(process.pid, signal.SIGKILL)
            await self._clock.sleep(0.02)
        raise CloudTransientError("a process that outlived the VM's init could not be killed")

    async def _kill_unknown_init(self) -> None:
        """A cloud killed between starting an init and noting it leaves one nobody knows; it answers on its socket."""
        try:
            session = await self.init.watch()
        except OSError:
            return
        session.close()
        await proctree.kill(session.pid, self._clock)

    def _write_meta(self) -> None:
        face, spec = self.item.face, catalogue.spec(self.item.face["spec_id"])
        meta = {
            "id": face["id"],
            "name": face["name"],
            "init_pid": self.item.inner["init_pid"],
            "vcpus": spec.vcpus,
            "memory_mib": spec.memory_mib,
            "disk_gib": spec.disk_gib,
            "address": face["public_address"],
            "home": str(self._guest.home),
            "booted_at": face["started_at"],
        }
        write_json(self._guest.meta, meta)
